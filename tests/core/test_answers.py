"""Tasks that are answered from outside: tokens, activities, executions that executions start."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.core.activities import Poll
from actorfaas.core.children import MAX_DEPTH, child_id, depth_of
from actorfaas.messages import ActivityTask, Done, FailTask, Refused, SucceedTask
from tests.core.outside_rig import answer, make, poll, returned, token_of
from tests.core.world import World


def runs(world: World, name: str) -> bool:
    """Whether an execution has not ended."""
    return world.store[name].finish is None


def error_of(world: World, name: str) -> str:
    """What an execution failed with."""
    finish = world.store[name].finish
    assert finish is not None
    return finish.error_type


# --- tokens -----------------------------------------------------------------------------------------------------------


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


# --- functions that are given a token and change data -----------------------------------------------------------------


def committing(world: World) -> str:
    """A function that was given a token has returned with changes; they are on their way. The token."""
    world.start("waiting", "e", wait_for_commit=True)
    world.settle()
    token = token_of(world)
    (busy,) = world.busy()
    world.finish_with(busy, b"changes", payload=b'"handed over"')
    while names := [name for name, queue in world.queues.items() if queue and name != "to_store"]:
        world.deliver(names[0])
    return token


def test_what_the_function_changed_is_committed_with_its_return() -> None:
    world = make()
    token = committing(world)
    world.executions.task_answered(SucceedTask(token, b"5"), 3, world.now)
    world.flush()
    assert 3 not in world.replies, "the answer waits for what came before it"
    world.run()
    assert world.replies[3] == Done()
    assert world.store.commits == [b"changes"]
    assert world.types("e")[2:4] == ["TaskSubmitted", "TaskSucceeded"]
    assert world.outcome("e") == ("succeeded", b"6")


@pytest.mark.parametrize("end", ["refused", "cancelled"])
def test_an_answer_that_waits_for_a_commit_hears_of_the_end(end: str) -> None:
    world = make()
    token = committing(world)
    if end == "refused":
        world.store.refuses_data = "data_refused"
    world.executions.task_answered(SucceedTask(token, b"5"), 3, world.now)
    if end == "cancelled":
        world.cancel("e")
    world.run()
    refused = world.replies[3]
    assert isinstance(refused, Refused)
    assert refused.error == "task_timed_out"
    assert world.outcome("e")[0] == ("failed" if end == "refused" else "cancelled")


def test_what_the_function_changed_counts_although_its_task_was_answered_before() -> None:
    world = make()
    world.start("waiting", "e")
    world.settle()
    (busy,) = world.busy()
    assert answer(world, SucceedTask(token_of(world), b"5")) == Done()
    world.finish_with(busy, b"changes", payload=b"1")
    world.run()
    assert world.outcome("e") == ("succeeded", b"6")
    assert world.store.commits == [b"changes"]


def test_a_worker_that_asks_during_a_commit_gets_the_task_afterwards() -> None:
    world = make()
    world.start("split", "e", wait_for_commit=True)
    world.settle()
    (busy,) = world.busy()
    world.finish_with(busy, b"changes", payload=b"1")
    while names := [name for name, queue in world.queues.items() if queue and name != "to_store"]:
        world.deliver(names[0])
    world.executions.poll_activity("knit", Poll(9, ""), world.now)
    world.flush()
    assert 9 not in world.replies
    world.settle()
    task = world.replies.pop(9)
    assert isinstance(task, ActivityTask)
    assert task.token
    assert answer(world, SucceedTask(task.token, b"1")) == Done()


# --- activities -------------------------------------------------------------------------------------------------------


def test_a_worker_outside_gets_tasks_in_order_and_answers_them() -> None:
    world = make()
    assert poll(world, 1) is None
    for name in "ef":
        world.start("knitting", name, payload=b'"wool"')
        world.settle()
    first = world.replies.pop(1)
    assert getattr(first, "payload", b"") == b'"wool"'
    second = poll(world, 2)
    assert second is not None
    assert second.token.startswith("f.")
    assert poll(world, 3) is None
    assert answer(world, SucceedTask(getattr(first, "token", ""), b"1")) == Done()
    assert answer(world, FailTask(second.token, "Torn", "a thread")) == Done()
    world.run()
    assert world.outcome("e") == ("succeeded", b"2")
    assert world.types("e")[1:5] == ["TaskStateEntered", "ActivityScheduled", "ActivityStarted", "ActivitySucceeded"]
    assert world.types("f")[-2:] == ["ActivityFailed", "ExecutionFailed"]
    started = world.store["e"].events[4]
    assert (started.type, started.worker_topic) == ("ActivityStarted", "ada")


def test_the_time_of_an_activity_runs_from_when_a_worker_has_it() -> None:
    world = make()
    world.start("patient", "e")
    world.settle()
    world.advance(1_000_000)
    got = poll(world)
    assert got is not None
    for _ in range(9):
        world.advance(11)
        assert world.executions.task_beats(got.token, world.now) is None
    assert runs(world, "e")
    world.advance(11)
    world.settle()
    assert world.types("e")[-2:] == ["ActivityTimedOut", "ExecutionFailed"]
    assert error_of(world, "e") == "States.Timeout"


def test_a_token_that_no_worker_was_given_answers_nothing() -> None:
    world = make()
    world.start("knitting", "e")
    world.settle()
    lane = world.executions.all().__next__().lanes[0]
    assert lane.awaited is not None
    refused = answer(world, SucceedTask(lane.awaited.token, b"1"))
    assert isinstance(refused, Refused)
    assert refused.error == "task_does_not_exist"


def test_an_activity_that_is_not_there_fails_the_task_as_often_as_it_is_tried() -> None:
    world = make()
    world.start("unknown", "e")
    world.settle()
    world.advance(1)
    world.settle()
    assert world.types("e").count("ActivityScheduleFailed") == 2
    assert error_of(world, "e") == "ActivityDoesNotExist"
    assert isinstance(world.executions.poll_activity("purl", Poll(1, ""), world.now), Refused)


def test_a_cancelled_execution_takes_its_tasks_back() -> None:
    world = make()
    world.start("split", "e")
    world.settle()
    token = returned(world)
    assert world.cancel("e")
    world.settle()
    assert poll(world) is None
    assert isinstance(answer(world, SucceedTask(token, b"1")), Refused)


def test_a_restart_offers_the_tasks_that_nobody_has() -> None:
    world = make()
    for name in "ef":
        world.start("patient", name, wait_for_commit=True)
        world.settle()
    got = poll(world)
    assert got is not None
    world.advance(5)
    world.restart_manager()
    world.settle()
    other = poll(world, 8)
    assert other is not None
    assert other.token != got.token
    assert poll(world, 9) is None
    assert answer(world, SucceedTask(got.token, b"1")) == Done()
    assert world.types("e").count("ActivityScheduled") == 1
    assert world.types("f").count("ActivityScheduled") == 1
    world.advance(21)
    world.settle()
    assert world.types("f")[-2:] == ["ActivityTimedOut", "ExecutionFailed"]


def test_a_task_outlasts_its_activity_also_across_a_restart() -> None:
    world = make()
    world.start("knitting", "e", wait_for_commit=True)
    world.settle()
    world.activities.clear()
    world.executions.activities.remove("knit")
    world.restart_manager()
    world.settle()
    assert runs(world, "e")
    world.executions.activities.know(("knit",))
    task = poll(world)
    assert task is not None
    assert answer(world, SucceedTask(task.token, b"1")) == Done()


# --- executions that executions start ---------------------------------------------------------------------------------


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
