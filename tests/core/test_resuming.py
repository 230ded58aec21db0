"""Executions that go on from their journals after a restart of the ExecutionManager."""

from __future__ import annotations

from dataclasses import replace

from tests.core.executions_rig import make, the_busy
from tests.core.world import World


def test_a_restart_continues_after_the_last_journalled_state() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    assert any(isinstance(event, str) and event == "TaskSucceeded" for event in world.types("e1"))
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.types("e1").count("TaskSucceeded") == 3, "a finished state was run again"


def test_an_execution_that_was_only_created_before_a_restart_has_a_whole_history() -> None:
    world = make()
    world.start("abc", "e1", wait_for_commit=True)
    world.deliver("to_store")
    world.queues["to_store"].clear()  # the answer is lost with the manager
    assert world.types("e1") == []
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")
    assert world.types("e1")[0] == "ExecutionStarted"
    assert world.types("e1").count("ExecutionStarted") == 1


def test_a_wait_goes_on_through_a_restart() -> None:
    world = make()
    world.start("waiting", "e1")
    world.run()
    world.advance(6.0)
    world.restart_manager()
    world.run()
    world.advance(3.0)
    world.run()
    assert world.store["e1"].finish is None
    world.advance(1.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")


def fail_the_attempt(world: World) -> None:
    """Let the attempt under way fail."""
    world.settle()
    world.fail(the_busy(world))
    world.settle()


def test_attempts_before_a_restart_count() -> None:
    world = make()
    world.start("retry", "e1")
    world.settle()
    world.finish(the_busy(world))
    fail_the_attempt(world)
    world.restart_manager()
    world.advance(1.9)
    world.settle()
    assert world.busy() == [], "the delay between attempts began anew"
    world.advance(0.2)
    world.settle()
    (task,) = world.instances[the_busy(world)].tasks
    assert task.attempt == 2
    fail_the_attempt(world)
    world.run()
    assert world.outcome("e1")[0] == "failed", "it was tried more often than asked"
    failed = [event for event in world.store["e1"].events.values() if event.type == "TaskFailed"]
    assert [event.attempt for event in failed] == [1, 2]


def test_the_attempt_that_a_restart_cut_off_is_run_again_under_its_number() -> None:
    world = make(retries=2, retry_delay_s=0.5)
    world.start("a", "e1")
    fail_the_attempt(world)
    world.advance(0.6)
    world.settle()
    busy = the_busy(world)
    world.restart_manager()
    world.settle()
    assert busy not in world.instances
    world.advance(0.001)
    world.settle()
    (task,) = world.instances[the_busy(world)].tasks
    assert task.attempt == 2
    world.run()
    assert world.outcome("e1") == ("succeeded", b"1")


def test_an_execution_whose_last_attempt_had_failed_ends_after_the_restart() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.fail(the_busy(world))
    while world.deliver("from_queue"):
        pass
    ends = world.queues["to_store"]
    ends.clear()  # the last request is lost with the manager
    stored = world.store["e1"]
    entered = max(stored.events)
    failure = replace(stored.events[entered], seq=entered + 1, type="TaskFailed", state="a", error_type="KeyError")
    stored.events[failure.seq] = failure
    world.restart_manager()
    world.run()
    finish = stored.finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "KeyError")
    assert world.types("e1").count("TaskFailed") == 1


def test_a_stopping_node_ends_the_state_under_way_and_continues_after_the_restart() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.executions.pause(world.now)
    world.flush()
    world.settle()
    assert not world.executions.is_settled()
    world.run()
    assert world.executions.is_settled()
    assert world.types("e1").count("TaskSucceeded") == 1
    world.restart_manager()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_a_journal_that_does_not_fit_its_definition_ends_the_execution_and_nothing_else() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    stored = world.store["e1"].events
    seq = next(seq for seq, event in stored.items() if event.type == "TaskSucceeded")
    stored[seq] = replace(stored[seq], state="renamed")
    world.restart_manager()
    world.run()
    assert world.outcome("e1")[0] == "failed"
    world.start("abc", "e2")
    world.run()
    assert world.outcome("e2") == ("succeeded", b"3")
