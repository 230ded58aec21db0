"""Tasks that workers outside ask an activity for."""

from __future__ import annotations

from actorfaas.core.activities import Poll
from actorfaas.messages import Done, FailTask, Refused, SucceedTask
from tests.core.outside_rig import answer, error_of, make, poll, returned, runs


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
