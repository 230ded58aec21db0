"""Redrive in the ExecutionManager's core: who may go on, what is stored for it, and that restarts agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorfaas.core import redrive
from actorfaas.core.replay import JournalMismatch
from actorfaas.messages import TaskFailed
from tests.core.branching_rig import busy_of, make
from tests.core.test_replay import replay
from tests.core.world import World

STARTED = ("ExecutionStarted", "")


def failed_split() -> World:
    """The second task of the first branch fails, while the last branch has succeeded and one waits."""
    world = make()
    world.start("split", "e1", payload=b"10")
    world.settle()
    world.finish(busy_of(world, "a@1")[0])
    world.settle()
    world.finish(busy_of(world, "c@1")[0])
    world.finish(busy_of(world, "b@1")[0])
    world.settle()
    world.fail(busy_of(world, "c@1")[0])
    world.settle()
    assert world.outcome("e1")[0] == "failed"
    return world


def test_an_execution_goes_on_from_what_failed() -> None:
    world = failed_split()
    world.redrive("e1")
    assert [topic[:2] for topic in world.busy()] == ["c@"]
    world.run()
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")
    types = world.types("e1")
    assert types.count("ExecutionRedriven") == 1
    again = [one for one in types if one.endswith("StateRedriven")]
    assert again == ["ParallelStateRedriven", "TaskStateRedriven", "WaitStateRedriven"]
    entered = [(one.state, one.branch) for one in world.store["e1"].events.values() if one.type == "TaskStateEntered"]
    assert sorted(entered) == [("b1", 1), ("b2", 2), ("c1", 1), ("c3", 3), ("first", 0), ("last", 0)]


def test_a_restart_after_a_redrive_goes_on_as_well() -> None:
    world = failed_split()
    world.redrive("e1")
    world.finish(world.busy()[0])
    world.settle()
    world.restart_manager()
    world.run()
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")


def test_an_execution_that_fails_again_can_go_on_again() -> None:
    world = failed_split()
    world.redrive("e1")
    world.fail(world.busy()[0])
    world.settle()
    assert world.outcome("e1")[0] == "failed"
    world.redrive("e1")
    world.run()
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")
    assert world.types("e1").count("ExecutionRedriven") == 2


def test_what_was_cancelled_goes_on() -> None:
    world = make()
    world.start("split", "e1", payload=b"10")
    world.settle()
    assert world.cancel("e1")
    world.settle()
    assert world.outcome("e1")[0] == "cancelled"
    world.run()
    world.redrive("e1")
    world.run()
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")


def test_iterations_that_had_not_begun_begin_after_a_redrive() -> None:
    world = make()
    world.start("mapped", "e1")
    world.settle()
    world.fail(busy_of(world, "b@1")[0])
    world.settle()
    assert world.outcome("e1")[0] == "failed"
    world.redrive("e1")
    assert len(world.busy()) == 2
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"[2,3,4,5,6]")


def test_news_of_a_task_before_the_redrive_are_not_taken_for_those_after_it() -> None:
    world = make()
    world.start("split", "e1", payload=b"10")
    world.settle()
    lane = world.executions.execution("e1").lanes[0]  # type: ignore[union-attr]  # it runs
    before = lane.current
    assert before is not None
    assert world.cancel("e1")
    world.settle()
    world.redrive("e1")
    late = TaskFailed(
        *(before.claim.worker, before.task_id, "e1", "first", 1, "resident", 1, 1, 1, "handler_error", "E", "", "")
    )
    world.executions.task_failed(late, world.now)
    world.flush()
    world.run()
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"4")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": "running"}, "is running"),
        ({"status": "succeeded"}, "has succeeded"),
        ({"durability": "express"}, "is express"),
        ({"redrive_count": 1000}, "was redriven 1000 times"),
    ],
)
def test_what_cannot_be_redriven_is_told(changes: dict[str, str | int], told: str) -> None:
    journal = failed_split().journal("e1")
    assert redrive.refusal(journal) is None
    refused = redrive.refusal(replace(journal, **changes))  # type: ignore[arg-type]  # fields by name
    assert refused is not None
    assert refused.error == "conflict"
    assert told in refused.detail


def test_the_time_limit_begins_anew() -> None:
    journal = replace(failed_split().journal("e1"), redrive_count=2)
    limited = replace(journal, execution=replace(journal.execution, deadline_at_ms=6_000))
    stored = redrive.reopening(limited, 100_000)
    assert (stored.deadline_at_ms, stored.redrive_count, stored.event.attempt) == (105_000, 3, 3)
    assert stored.event.seq == journal.execution.events[-1].seq + 1
    assert redrive.reopened(limited, stored).events[-1] == stored.event
    assert redrive.reopening(journal, 100_000).deadline_at_ms == (
        100_000 + journal.execution.deadline_at_ms - 1_000 if journal.execution.deadline_at_ms else 0
    )


def test_a_success_is_never_redriven_in_a_journal() -> None:
    whole = (STARTED, ("PassStateEntered", "p"), ("PassStateExited", "p"), ("ExecutionSucceeded", ""))
    with pytest.raises(JournalMismatch, match="had succeeded"):
        replay(b'{"StartAt":"p","States":{"p":{"Type":"Pass","End":true}}}', *whole, ("ExecutionRedriven", ""))
