"""Tasks that somebody outside answers by a token."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.messages import Done, FailTask, Refused, SucceedTask
from tests.core.outside_rig import answer, error_of, make, returned, runs, token_of


def test_an_execution_waits_for_its_token_and_holds_no_worker() -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    token = returned(world)
    assert world.busy() == []
    world.advance(1_000_000)
    assert answer(world, SucceedTask(token, b"5")) == Done()
    world.run()
    assert world.outcome("e") == ("succeeded", b"6")
    types = world.types("e")
    assert types[1:5] == ["TaskStateEntered", "TaskSubmitted", "TaskSucceeded", "TaskStateExited"]


def test_the_answer_may_come_before_the_function_returns() -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    (busy,) = world.busy()
    assert answer(world, SucceedTask(token_of(world), b"5")) == Done()
    assert busy in world.busy(), "a function that still runs is left to end"
    world.run()
    assert world.outcome("e") == ("succeeded", b"6")
    assert "TaskSubmitted" not in world.types("e")
    world.start("waiting", "f")
    world.settle()
    assert answer(world, FailTask(token_of(world), "", "no")) == Done()
    assert world.store["f"].finish is not None
    assert (world.store["f"].finish.error_type, world.store["f"].finish.error_message) == ("States.TaskFailed", "no")
    world.run()


def test_an_answer_counts_once() -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    token = returned(world)
    assert answer(world, SucceedTask(token, b"5")) == Done()
    for again in (SucceedTask(token, b"6"), FailTask(token, "E", "")):
        refused = answer(world, again)
        assert isinstance(refused, Refused)
        assert refused.error == "task_timed_out"
    world.run()
    assert world.outcome("e") == ("succeeded", b"6")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "invalid_token"),
        ("e", "invalid_token"),
        ("e.0.x", "invalid_token"),
        ("e.0.¹", "invalid_token"),
        ("other.0.5", "task_does_not_exist"),
        ("e.0.999", "task_timed_out"),
        ("e.7.5", "task_timed_out"),
    ],
)
def test_tokens_of_nothing_are_refused(token: str, code: str) -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    for refused in (answer(world, SucceedTask(token, b"1")), world.executions.task_beats(token, world.now)):
        assert isinstance(refused, Refused)
        assert refused.error == code


def test_who_answers_hears_when_it_is_on_disk() -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    token = returned(world)
    world.executions.task_answered(SucceedTask(token, b"5"), 3, world.now)
    world.flush()
    assert 3 not in world.replies
    world.deliver("to_store")
    assert world.replies[3] == Done()


def test_who_answers_hears_when_it_never_will_be_on_disk() -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    token = returned(world)
    world.executions.task_answered(SucceedTask(token, b"5"), 3, world.now)
    world.executions.not_stored("e", "not_found", "it was removed", world.now)
    world.flush()
    refused = world.replies[3]
    assert isinstance(refused, Refused)
    assert refused.error == "unavailable"


def test_time_limits_hold_after_the_function_has_returned() -> None:
    world = make()
    for name, beats in (("slow", 7), ("silent", 2)):
        world.start("limited", name)
        world.settle()
        token = returned(world)
        for _ in range(beats):
            world.advance(15)
            world.executions.task_beats(token, world.now)
        world.advance(25)
        world.settle()
        assert error_of(world, name) == ("States.Timeout" if name == "slow" else "States.HeartbeatTimeout")
        assert world.types(name)[-2:] == ["TaskTimedOut", "ExecutionFailed"]
        refused = answer(world, SucceedTask(token, b"1"))
        assert isinstance(refused, Refused)


def test_a_function_that_runs_beyond_the_time_limit_is_ended_and_may_say_that_it_goes_on() -> None:
    world = make(timeout_s=1_000.0)
    world.start("limited", "e")
    world.settle()
    (busy,) = world.busy()
    for _ in range(6):
        world.advance(15)
        world.beat(busy)
        world.settle()
    assert world.busy() == [busy]
    world.advance(15)
    world.settle()
    assert world.busy() == []
    assert world.outcome("e")[0] == "failed"


def test_each_attempt_has_a_token_of_its_own() -> None:
    world = make()
    world.start("again", "e")
    world.settle()
    first = returned(world)
    world.advance(20)
    world.settle()
    world.advance(1)
    world.settle()
    second = returned(world)
    assert first != second
    refused = answer(world, SucceedTask(first, b"1"))
    assert isinstance(refused, Refused)
    assert refused.error == "task_timed_out"
    assert answer(world, SucceedTask(second, b"2")) == Done()
    world.run()
    assert world.outcome("e") == ("succeeded", b"3")


def test_a_failing_function_fails_the_task_without_an_answer() -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    token = token_of(world)
    (busy,) = world.busy()
    world.fail(busy)
    world.settle()
    assert error_of(world, "e") == "ValueError"
    assert isinstance(answer(world, SucceedTask(token, b"1")), Refused)


def test_the_token_of_a_function_that_was_lost_with_the_platform_stays() -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    token = token_of(world)
    world.restart_queue()
    world.settle()
    assert token_of(world) == token
    assert returned(world) == token
    assert answer(world, SucceedTask(token, b"1")) == Done()
    world.run()
    assert world.outcome("e") == ("succeeded", b"2")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_restart_keeps_the_token_and_its_time_limit(moment: str) -> None:
    world = make(timeout_s=1_000.0)
    world.start("limited", "e", wait_for_commit=True)
    world.settle()
    token = token_of(world)
    if moment == "after":
        returned(world)
    world.advance(10)
    world.restart_manager()
    world.settle()
    if moment == "after":
        assert world.busy() == [], "a function that has returned was called again"
    else:
        assert token in {orjson.loads(world.instances[one].tasks[0].payload)["token"] for one in world.busy()}
    for _ in range(8):
        world.advance(10)
        world.executions.task_beats(token, world.now)
    world.settle()
    assert runs(world, "e")
    world.advance(11)
    world.settle()
    assert error_of(world, "e") == "States.Timeout"


def test_an_answer_that_was_on_disk_counts_after_a_restart() -> None:
    world = make()
    world.start("waiting", "e", wait_for_commit=True)
    world.settle()
    token = returned(world)
    assert answer(world, SucceedTask(token, b"5")) == Done()
    world.restart_manager()
    world.run()
    assert world.outcome("e") == ("succeeded", b"6")
    assert world.types("e").count("TaskSucceeded") == 2
