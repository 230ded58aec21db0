"""What holds for an execution from its start to its end: its limit of data, one warning, how its tokens are made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorfaas.config import MAX_DATA_BYTES
from actorfaas.core.terms import DATA_WARNED, STARTED, Terms, terms_of
from actorfaas.messages import Done, HistoryEvent, Refused, SucceedTask
from actorfaas.wire import MAX_HEADER_BYTES
from tests.core import outside_rig
from tests.core.branching_rig import define, machine, task
from tests.core.specs import chain, function, workflow
from tests.core.world import World

GROWING = machine(
    a=task("a", Next="wait"),
    wait={"Type": "Wait", "Seconds": 10, "Next": "grow"},
    grow={"Type": "Pass", "Parameters": {"one.$": "$", "two.$": "$"}, "Next": "b"},
    b=task("b"),
)


def make(**settings: int) -> World:
    world = World(**settings)  # type: ignore[arg-type]  # the World's own keyword arguments
    world.deploy(function("a"), function("b"), workflows=(define("growing", GROWING), workflow("ab", chain("a", "b"))))
    world.settle()
    return world


def give(world: World, size_bytes: int) -> None:
    """The busy function returns so many bytes of JSON."""
    (busy,) = world.busy()
    world.finish(busy, b'"%b"' % (b"x" * (size_bytes - 2)))
    world.settle()


def started(payload: bytes) -> HistoryEvent:
    return HistoryEvent(1, 0, STARTED, "", 0, "", "", 0, 0, 0, 0, "", "", payload)


def test_terms_are_kept_with_the_first_event() -> None:
    terms = Terms(1000, has_secret_tokens=True)
    assert terms_of(started(terms.journalled())) == terms
    assert terms_of(started(b"")) == Terms(MAX_HEADER_BYTES - 1024 * 1024, has_secret_tokens=False)
    assert MAX_HEADER_BYTES - 1024 * 1024 == MAX_DATA_BYTES


# --- the limit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after", "outcome"), [(100, 10_000, "failed"), (10_000, 100, "succeeded")])
def test_an_execution_keeps_its_limit_across_a_restart_with_another(before: int, after: int, outcome: str) -> None:
    world = make(max_data_bytes=before)
    world.start("growing", "e", wait_for_commit=True)
    world.settle()
    give(world, 90)
    world.max_data_bytes = after
    world.restart_manager()
    world.settle()
    world.advance(11)
    world.run()
    finish = world.store["e"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == (outcome, "" if outcome == "succeeded" else "States.DataLimitExceeded")
    world.start("growing", "new")
    world.settle()
    give(world, 110)
    assert (world.store["new"].finish is not None) == (after == 100), "a new one is held to the present limit"


def test_a_redrive_keeps_the_limit() -> None:
    world = make(max_data_bytes=100)
    world.start("growing", "e", wait_for_commit=True)
    world.settle()
    give(world, 101)
    world.max_data_bytes = 10_000
    world.restart_manager()
    world.redrive("e")
    give(world, 101)
    finish = world.store["e"].finish
    assert finish is not None
    assert finish.error_type == "States.DataLimitExceeded"


def test_an_execution_that_had_not_begun_is_held_to_the_present_limit() -> None:
    world = make(max_data_bytes=100)
    world.start("growing", "e", wait_for_commit=True)
    world.settle()
    world.store["e"].events.clear()
    world.max_data_bytes = 10_000
    world.restart_manager()
    world.settle()
    give(world, 110)
    assert world.store["e"].finish is None
    assert terms_of(world.store["e"].events[1]).max_data_bytes == 10_000


def test_an_answer_from_outside_beyond_the_limit_is_refused_and_the_task_goes_on() -> None:
    world = outside_rig.make()
    world.max_data_bytes = 100
    world.restart_manager()
    world.start("waiting", "e")
    world.settle()
    token = outside_rig.returned(world)
    refused = outside_rig.answer(world, SucceedTask(token, b"1" * 101))
    assert isinstance(refused, Refused)
    assert refused.error == "invalid"
    assert outside_rig.answer(world, SucceedTask(token, b"1" * 100)) == Done()


# --- the warning ------------------------------------------------------------------------------------------------------


def warnings_of(world: World, execution_id: str) -> list[str]:
    return [one.error_message for one in world.store[execution_id].events.values() if one.type == DATA_WARNED]


@pytest.mark.parametrize("durability", ["standard", "express"])
def test_large_data_is_told_once(durability: str) -> None:
    world = make(warn_data_bytes=50)
    world.start("ab", "e", durability=durability)
    world.settle()
    give(world, 60)
    give(world, 70)
    told = "the data of state 'a' has 60 bytes, warn_data_bytes is 50"
    assert warnings_of(world, "e") == [told]
    assert [(one.execution_id, one.detail) for one in world.warned] == [("e", told)]


def test_what_a_state_computes_is_told_too_and_not_again_after_a_restart() -> None:
    world = make(warn_data_bytes=50)
    world.start("growing", "e", wait_for_commit=True)
    world.settle()
    give(world, 30)
    world.advance(11)
    world.settle()
    assert warnings_of(world, "e") == ["the data of state 'grow' has 75 bytes, warn_data_bytes is 50"]
    world.restart_manager()
    world.settle()
    give(world, 60)
    assert len(world.warned) == len(warnings_of(world, "e")) == 1
    assert world.outcome("e")[0] == "succeeded"


def test_a_large_input_is_told() -> None:
    world = make(warn_data_bytes=50)
    world.start("ab", "e", payload=b"1" * 51)
    world.run()
    assert warnings_of(world, "e") == ["the input has 51 bytes, warn_data_bytes is 50"]


@pytest.mark.parametrize(("name", "limit"), [("a", 50), ("ab", 60), ("ab", 0)])
def test_nothing_is_told_of_functions_nor_within_the_limit(name: str, limit: int) -> None:
    world = make(warn_data_bytes=limit)
    world.start(name, "e", payload=b"1" * 60)
    world.run()
    assert world.outcome("e")[0] == "succeeded"
    assert warnings_of(world, "e") == []


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_cannot_be_told_from_the_execution() -> None:
    world = outside_rig.make()
    world.start("waiting", "e")
    world.settle()
    token = outside_rig.returned(world)
    guesses = [f"e.0.{place}" for place in range(30)] + [token[:-1] + ("0" if token[-1] != "0" else "1")]
    for guess in guesses:
        refused = outside_rig.answer(world, SucceedTask(guess, b"1"))
        assert isinstance(refused, Refused)
        assert refused.error == "task_timed_out"
    assert outside_rig.runs(world, "e")
    assert outside_rig.answer(world, SucceedTask(token, b"1")) == Done()


def test_an_execution_of_a_version_before_keeps_its_tokens() -> None:
    world = outside_rig.make()
    world.token_key = b""
    world.restart_manager()
    world.start("waiting", "e", wait_for_commit=True)
    world.settle()
    token = outside_rig.returned(world)
    assert token == "e.0.5"
    first = world.store["e"].events[1]
    world.store["e"].events[1] = replace(first, payload=b"")
    world.token_key = b"there is one now"
    world.restart_manager()
    world.settle()
    assert outside_rig.answer(world, SucceedTask(token, b"5")) == Done()
    world.run()
    assert world.outcome("e") == ("succeeded", b"6")
