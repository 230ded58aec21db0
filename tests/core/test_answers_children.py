"""Executions that executions start, and wait for."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.core.children import MAX_DEPTH, child_id, depth_of
from actorfaas.messages import Done, SucceedTask
from tests.core.outside_rig import answer, make, returned, runs
from tests.core.world import World


def described(world: World, name: str) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(world.outcome(name)[1])
    return found


def test_an_execution_is_started_once_and_its_parent_goes_on() -> None:
    world = make()
    world.start("starts", "e", payload=b"5")
    world.settle()
    child = str(described(world, "e")["ExecutionArn"])
    assert world.store[child].finish is None
    assert depth_of(child) == 0
    world.run()
    assert world.outcome(child) == ("succeeded", b"7")


def test_an_execution_waits_for_the_one_it_started() -> None:
    world = make()
    world.start("follows", "e", payload=b"5")
    world.settle()
    assert runs(world, "e")
    world.run()
    assert described(world, "e")["Output"] == "7"
    assert described(world, "e")["Input"] == "5"
    assert described(world, "e")["Status"] == "SUCCEEDED"
    assert world.types("e")[1:4] == ["TaskStateEntered", "TaskSubmitted", "TaskSucceeded"]
    world.start("reads", "f", payload=b"5")
    world.run()
    assert (described(world, "f")["Output"], described(world, "f")["Input"]) == (7, 5)


def test_the_failure_of_a_child_is_told_as_step_functions_does() -> None:
    world = make()
    world.start("fails", "e")
    world.run()
    finish = world.store["e"].finish
    assert finish is not None
    assert finish.error_type == "States.TaskFailed"
    cause = orjson.loads(finish.error_message)
    assert (cause["Status"], cause["Error"], cause["Cause"]) == ("FAILED", "Bad", "it is")


def test_what_cannot_be_started_fails_the_task() -> None:
    world = make()
    world.start("lonely", "e")
    world.run()
    assert world.types("e")[-2:] == ["TaskFailed", "ExecutionFailed"]


@pytest.mark.parametrize("end", ["cancel", "timeout"])
def test_a_child_ends_with_who_waits_for_it(end: str) -> None:
    world = make()
    world.start("hurried", "e", payload=b"5")
    world.settle()
    (child,) = (one for one in world.store if one != "e")
    assert depth_of(child) == 1
    if end == "cancel":
        world.cancel("e")
    else:
        world.advance(11)
    world.settle()
    assert world.outcome(child)[0] == "cancelled"
    assert world.busy() == []


def test_a_child_whose_parent_ends_before_it_began_never_begins() -> None:
    world = make()
    world.start("follows", "e", payload=b"5")
    assert not world.store
    world.cancel("e")
    world.settle()
    assert list(world.store) == ["e"]


def test_executions_wait_for_each_other_only_so_deep() -> None:
    world = make()
    world.start("endless", "e")
    world.run()
    assert max(depth_of(one) for one in world.store) == MAX_DEPTH
    assert world.outcome("e")[0] == "failed"


def test_a_child_may_be_started_and_another_answer_awaited() -> None:
    world = make()
    world.start("answered", "e", payload=b'{"n":5}')
    world.settle()
    (execution,) = (one for one in world.executions.all() if one.execution_id == "e")
    awaited = execution.lanes[0].awaited
    assert awaited is not None
    assert answer(world, SucceedTask(awaited.token, b"9")) == Done()
    assert world.outcome("e") == ("succeeded", b"9")
    world.run()
    assert world.outcome(awaited.child) == ("succeeded", b"7")


def test_an_invocation_of_the_type_event_runs_as_an_execution_of_its_own() -> None:
    world = make()
    world.start("later", "e", payload=b"5")
    world.settle()
    assert described(world, "e") == {"Payload": "", "StatusCode": 202}
    (child,) = (one for one in world.store if one != "e")
    world.run()
    assert world.outcome(child) == ("succeeded", b"6")


@pytest.mark.parametrize("stored", range(8))
def test_a_restart_at_any_moment_starts_a_child_once(stored: int) -> None:
    world = make()
    world.start("reads", "e", payload=b"5", wait_for_commit=True)
    for _ in range(stored):
        world.deliver("to_store")
    world.restart_manager()
    if "e" not in world.store:
        world.start("reads", "e", payload=b"5", wait_for_commit=True)
    world.run()
    assert described(world, "e")["Output"] == 7
    assert len(world.store) == 2


def test_a_restart_ends_a_child_that_nobody_waits_for() -> None:
    world = make()
    orphan = child_id("gone.0.5", 1)
    world.start("waiting", orphan, wait_for_commit=True)
    world.settle()
    returned(world)
    world.restart_manager()
    world.settle()
    assert world.outcome(orphan)[0] == "cancelled"
