"""Executions from start to result: hand-offs, and where instances come from."""

from __future__ import annotations

from actorfaas.core.facts import take_in
from actorfaas.messages import SessionOpened
from tests.core.executions_rig import make


def test_results_go_directly_from_worker_to_worker() -> None:
    world = make()
    world.start("abc", "e1", payload=b"5")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"8")
    assert world.handed_over == 2
    assert world.executions.guesses.reservations == 2
    assert world.executions.guesses.wrong == 0


def test_without_look_ahead_every_result_comes_to_the_manager() -> None:
    world = make(look_ahead=0)
    world.start("abc", "e1", payload=b"5")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"8")
    assert world.handed_over == 0


def test_a_function_that_comes_again_is_handed_to_its_only_worker() -> None:
    world = make()
    world.start("abab", "e1", payload=b"0")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")
    assert world.handed_over == 3
    assert len(world.instances) == 3


def test_strategy_fork_gives_every_state_an_instance_of_its_own() -> None:
    world = make()
    before = set(world.instances)
    world.start("abc", "e1", strategy="fork")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.handed_over == 0
    results = [event for event in world.store["e1"].events.values() if event.type == "TaskSucceeded"]
    assert [event.start_kind for event in results] == ["fork"] * 3
    assert not {event.worker_topic for event in results} & before
    assert set(world.instances) == before


def test_strategy_cold_starts_interpreters() -> None:
    world = make(warm=0)
    world.start("abc", "e1", strategy="cold")
    world.run()
    results = [event for event in world.store["e1"].events.values() if event.type == "TaskSucceeded"]
    assert [event.start_kind for event in results] == ["cold"] * 3
    assert world.instances == {}


def test_resident_wins_over_a_functions_own_strategy() -> None:
    world = make(strategy="fork")
    world.start("abc", "e1", strategy="resident")
    world.run()
    assert len(world.instances) == 3
    world.start("abc", "e2")
    world.run()
    assert world.outcome("e2")[0] == "succeeded"


def test_the_local_queue_is_told_of_the_end_of_an_execution_with_messages() -> None:
    world = make()
    world.start("abc", "e1")
    world.start("abc", "e2")
    world.settle()
    for execution_id in ("e1", "e9"):
        take_in(SessionOpened(execution_id), world.executions, world.now)
    world.flush()
    world.settle()
    assert world.ended_sessions == ["e9"], "that one is not running"
    world.run()
    assert world.ended_sessions == ["e9", "e1"]
