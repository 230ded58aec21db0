"""Executions that fail: errors and retries, lost workers, time limits, cancelling, refused starts."""

from __future__ import annotations

import pytest

from actorfaas.core import driving
from actorfaas.messages import ExecutionAccepted, Refused
from tests.core.executions_rig import make, the_busy
from tests.core.specs import chain, function, workflow
from tests.core.world import World


def test_an_id_that_exists_is_a_conflict() -> None:
    world = make()
    world.start("abc", "e1")
    world.start("abc", "e1b")
    assert world.executions.refusal is not None
    world.run()
    world.start("abc", "e2")
    del world.answers["e2"]
    world.start("abc", "e2")
    answer = world.answers["e2"]
    assert isinstance(answer, Refused)
    assert answer.error == "conflict"


def test_too_many_executions_are_refused() -> None:
    world = make(queue_limit=1, concurrency=1)
    for number in range(3):
        world.start("abc", f"e{number}")
    answers = [world.answers[f"e{number}"] for number in range(3)]
    assert [type(answer) for answer in answers] == [ExecutionAccepted, ExecutionAccepted, Refused]
    world.run()
    assert world.outcome("e1")[0] == "succeeded"


def test_a_handler_that_raises_fails_the_execution_with_its_error() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.fail(the_busy(world), "KeyError")
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type, finish.error_message) == ("failed", "KeyError", "boom")
    assert world.executions.guesses.wrong == 2


def test_a_state_is_tried_again_as_it_asks() -> None:
    world = make()
    world.start("retry", "e1")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    world.fail(the_busy(world))
    world.run()
    assert world.store["e1"].finish is None
    world.advance(1.9)
    world.run()
    assert world.store["e1"].finish is None
    world.advance(0.2)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")


def test_an_express_state_with_retries_keeps_the_input_that_was_handed_on() -> None:
    world = make()
    world.start("retry", "e1", durability="express")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    world.die(the_busy(world))
    world.run()
    world.advance(2.1)
    world.run()
    assert world.handed_over == 1
    assert world.outcome("e1") == ("succeeded", b"2")


def test_a_functions_retries_count_for_single_calls() -> None:
    world = make(retries=1, retry_delay_s=0.5)
    world.start("a", "e1")
    world.settle()
    world.fail(the_busy(world))
    world.settle()
    world.advance(0.6)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"1")


def test_a_worker_that_dies_fails_the_state_and_says_how() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.die(the_busy(world), "was killed by signal 11 (SIGSEGV)")
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "WorkerLost")
    assert "SIGSEGV" in finish.error_message


def test_a_reserved_worker_that_dies_costs_only_the_reservation() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    (reserved,) = [topic for topic in world.instances if topic.startswith("b@1")]
    world.die(reserved)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_a_handler_over_its_limit_is_killed_and_the_execution_fails() -> None:
    world = make(timeout_s=2.0)
    world.start("abc", "e1")
    world.settle()
    busy = the_busy(world)
    world.advance(2.1)
    world.run()
    assert busy not in world.instances
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.Timeout")


def test_a_function_call_over_its_limit_has_timed_out() -> None:
    world = make(timeout_s=2.0)
    world.start("a", "e1")
    world.settle()
    world.advance(2.1)
    world.run()
    assert world.outcome("e1")[0] == "timed_out"


def test_the_limit_of_a_state_counts_from_the_hand_off() -> None:
    world = make()
    world.start("limited", "e1")
    world.settle()
    world.advance(10.0)
    world.finish(the_busy(world))
    world.settle()
    busy = the_busy(world)
    world.advance(2.9)
    world.settle()
    assert world.busy() == [busy]
    world.advance(0.2)
    world.run()
    assert busy not in world.instances
    assert world.store["e1"].finish is not None
    assert world.store["e1"].finish.error_type == "States.Timeout"


def test_an_execution_over_its_own_limit_has_timed_out() -> None:
    world = make()
    world.start("waiting", "e1", timeout_s=5.0)
    world.run()
    world.advance(5.1)
    world.run()
    assert world.outcome("e1")[0] == "timed_out"
    assert world.types("e1")[-1] == "ExecutionTimedOut"


def test_a_cancelled_execution_kills_its_worker_and_frees_the_others() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    busy = the_busy(world)
    assert world.cancel("e1")
    assert not world.cancel("e1")
    world.run()
    assert busy not in world.instances
    assert world.outcome("e1")[0] == "cancelled"
    held = [state.held_by for state in world.dispatch.describe(world.now)]
    assert "e1" not in held


def test_cancelling_while_a_result_is_handed_on_kills_whoever_got_it() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    world.finish(the_busy(world))
    second = the_busy(world)
    assert world.cancel("e1")
    world.run()
    assert second not in world.instances
    assert world.outcome("e1")[0] == "cancelled"


def test_a_state_whose_worker_cannot_be_started_fails_in_words() -> None:
    world = World()
    world.start_fails = True
    world.deploy(function("a", warm=0))
    world.start("a", "e1")
    for _ in range(10):
        world.run()
        world.advance(0.5)
    finish = world.store["e1"].finish
    assert finish is not None
    assert finish.error_type == "WorkerUnavailable"
    assert "no memory" in finish.error_message


def test_a_call_may_wait_for_its_worker_although_none_may_queue() -> None:
    world = make(queue_limit=0)
    world.start("abc", "e1")
    world.run()
    assert world.outcome("e1") == ("succeeded", b"3")


def test_too_many_executions_that_wait_for_instances_of_their_own_are_refused() -> None:
    world = make(queue_limit=1)
    for number in range(2):
        world.start("abc", f"e{number}", strategy="fork")
    assert [type(world.answers[f"e{number}"]) for number in range(2)] == [ExecutionAccepted, Refused]


@pytest.mark.parametrize("timeout_s", [-1.0, float("nan"), float("inf")])
def test_a_time_limit_that_cannot_be_is_refused(timeout_s: float) -> None:
    world = make()
    world.start("abc", "e1", timeout_s=timeout_s)
    answer = world.answers["e1"]
    assert isinstance(answer, Refused)
    assert answer.error == "invalid"


def test_a_state_that_waits_for_its_next_attempt_reserves_nobody() -> None:
    world = World()
    world.deploy(function("a", retries=1), function("b", warm=0), workflows=(workflow("ab", chain("a", "b")),))
    world.settle()
    world.start("ab", "e1")
    while world.deliver("to_queue"):
        pass
    world.fail(the_busy(world))
    world.settle()  # the worker for b, asked for while a ran, comes only now
    assert "e1" not in [state.held_by for state in world.dispatch.describe(world.now)]
    world.advance(0.2)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")


def test_a_worker_granted_to_a_state_that_has_come_meanwhile_gets_it_once() -> None:
    world = World()
    world.deploy(function("a", warm=2, concurrency=2), workflows=(workflow("aa", chain("a", "a")),))
    world.settle()
    world.advance(1.0)
    world.settle()  # both are lent
    world.publish("a@1", "r1")
    busy = the_busy(world)
    world.start("aa", "e1")
    world.settle()
    (mine,) = [topic for topic in world.busy() if topic != busy]
    pool = world.dispatch.pools["a@1"]
    pool.workers[busy].refused_ns = 0
    (execution,) = world.executions.all()
    lane = execution.lanes[0]
    assert lane.current is not None
    world.executions._look_ahead(execution, lane, world.now)  # the other is asked for again
    world.finish(mine)
    while world.deliver("from_queue"):  # it is free for the reservation, whose state has come
        pass
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")


def test_ended_executions_leave_no_alarms_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "SPARE_ALARMS", 10)
    world = make()
    for number in range(50):
        world.start("abc", f"e{number}")
        world.run()
    assert len(world.executions._alarms) <= 12
    world.start("abc", "late", timeout_s=5.0)
    world.settle()
    world.advance(5.1)
    world.run()
    assert world.outcome("late")[0] == "timed_out"


def test_nothing_is_remembered_of_reserved_workers_that_died_while_given_up() -> None:
    world = make()
    world.start("abc", "e1")
    world.settle()
    (reserved,) = [topic for topic in world.instances if topic.startswith("b@1")]
    world.fail(the_busy(world))
    while world.deliver("from_queue"):
        pass
    world.die(reserved)
    world.run()
    assert world.outcome("e1")[0] == "failed"
    assert world.executions._given_up == {}


def test_a_reservation_called_back_as_its_state_begins_is_its_own_again() -> None:
    world = World()
    world.deploy(function("a", warm=2, concurrency=4), workflows=(workflow("aa", chain("a", "a")),))
    world.settle()
    world.start("aa", "e1")
    world.settle()
    world.start_fails = True
    for number in range(2):  # both ask for one more, which does not come
        world.start("a", f"call{number}")
    world.settle()
    world.finish(the_busy(world))
    second = the_busy(world)
    world.deliver("from_queue")
    (held,) = [one for one in world.dispatch.describe(world.now) if one.worker_topic == second]
    assert (held.state, held.held_by) == ("busy", "e1")
    world.start_fails = False
    for _ in range(3):
        world.run()
        world.advance(0.5)
    assert second in world.instances, "it was taken for idle and given away"
    assert [world.outcome(one)[0] for one in ("e1", "call0", "call1")] == ["succeeded"] * 3


BEATING = (
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"a","Next":"b"},"b":{"Type":"Task","Resource":"b",'
    b'"HeartbeatSeconds":3,"End":true,"Retry":[{"ErrorEquals":["States.HeartbeatTimeout"],"IntervalSeconds":1,'
    b'"MaxAttempts":1}]}}}'
)


def beating() -> World:
    """A workflow whose second state must be heard of, at that state."""
    world = World()
    world.deploy(function("a"), function("b"), workflows=(workflow("beating", BEATING),))
    world.settle()
    world.start("beating", "e1")
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    assert world.handed_over == 1
    return world


def test_a_task_that_is_heard_of_goes_on() -> None:
    world = beating()
    for _ in range(5):
        world.advance(2.0)
        world.beat(the_busy(world))
        world.settle()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")


def test_a_task_that_is_silent_for_too_long_fails_and_its_worker_ends() -> None:
    world = beating()
    silent = the_busy(world)
    world.advance(2.9)
    world.settle()
    assert silent in world.instances
    world.advance(0.2)
    world.settle()
    assert silent not in world.instances
    world.advance(1.1)
    world.settle()
    (task,) = world.instances[the_busy(world)].tasks
    assert task.attempt == 2, "the retrier was for it"
    world.advance(3.1)
    world.run()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.HeartbeatTimeout")
    assert "no heartbeat for 3 s" in finish.error_message
    assert world.types("e1").count("TaskTimedOut") == 2
