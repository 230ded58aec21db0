"""Functions that are given a token and change data."""

from __future__ import annotations

import pytest

from actorfaas.core.activities import Poll
from actorfaas.messages import ActivityTask, Done, Refused, SucceedTask
from tests.core.outside_rig import answer, make, token_of
from tests.core.world import World


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
