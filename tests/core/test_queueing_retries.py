"""Redelivery and deadlines of published requests."""

from __future__ import annotations

from actorfaas.messages import (
    InvocationFailed,
    InvocationResult,
    LeaseExpired,
    Task,
)
from tests.core.queueing_rig import MS, Rig, S


def test_redelivery_waits_for_a_doubling_delay_until_attempts_are_used_up() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", attempts=3, delay_ns=100 * MS)
    for attempt, delay_ns in ((1, 100 * MS), (2, 200 * MS)):
        assert rig.task_of("w").attempt == attempt
        rig.raises("w", "r")
        rig.passes(delay_ns - 1)
        assert rig.none(Task)
        rig.passes(1)
    task = rig.task_of("w")
    assert (task.attempt, task.payload) == (3, b"1")
    rig.raises("w", "r")
    failed = rig.one(InvocationFailed)
    assert (failed.attempt, failed.worker_topic) == (3, "w")


def test_a_redelivered_request_goes_behind_those_that_wait() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("a", attempts=2)
    rig.publish("b")
    rig.all(Task)
    rig.raises("w", "a")
    assert rig.task_of("w").request_id == "b"
    rig.returns("w", "b")
    assert rig.task_of("w").request_id == "a"


def test_a_payload_that_is_no_json_is_not_tried_again() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", attempts=5)
    rig.raises("w", "r", reason="bad_payload")
    assert rig.one(InvocationFailed).reason == "bad_payload"


def test_a_retry_that_would_come_after_the_deadline_is_not_waited_for() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", attempts=2, delay_ns=2 * S, timeout_ns=1 * S)
    rig.raises("w", "r")
    assert rig.one(InvocationFailed).reason == "handler_error"


def test_delayed_requests_count_as_queued() -> None:
    rig = Rig()
    rig.declare(limit=1)
    rig.worker("w", "f@1")
    for request in ("a", "b"):
        rig.publish(request, attempts=2, delay_ns=1 * S)
        rig.raises("w", request)
    rig.publish("c")
    assert rig.one(InvocationFailed).reason == "queue_full"


def test_an_expired_request_in_the_queue_is_answered_and_never_delivered() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("r", timeout_ns=50 * MS)
    rig.passes(50 * MS)
    failed = rig.one(InvocationFailed)
    assert (failed.reason, failed.attempt, failed.queue_ns, failed.run_ns) == ("timeout", 0, 50 * MS, 0)
    assert failed.retryable  # it never ran
    rig.worker("w", "f@1")
    assert rig.none(Task)


def test_a_worker_that_comes_between_deadline_and_tick_does_not_get_the_request() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("late", timeout_ns=50 * MS)
    rig.publish("good")
    rig.now += 50 * MS
    rig.worker("w", "f@1")
    assert rig.task_of("w").request_id == "good"
    assert rig.one(InvocationFailed).request_id == "late"


def test_a_request_that_comes_too_late_is_refused() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", timeout_ns=0)
    assert rig.one(InvocationFailed).reason == "timeout"
    assert rig.none(Task)


def test_a_worker_that_overruns_is_reported_and_its_late_result_dropped() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", timeout_ns=100 * MS, attempts=5)
    rig.passes(99 * MS)
    assert rig.none(InvocationFailed)
    rig.passes(1 * MS)
    failed = rig.one(InvocationFailed)
    assert (failed.reason, failed.run_ns, failed.retryable) == ("timeout", 100 * MS, False)
    assert rig.one(LeaseExpired) == LeaseExpired("w", "r")
    rig.returns("w", "r")
    assert rig.none(InvocationResult)
    rig.publish("next")
    rig.all(Task, rig.connections["w"])
    assert rig.core.describe(rig.now).topics[0].waiting == 1
    rig.disconnects("w")
    rig.exited("w")
    assert rig.none(InvocationFailed)


def test_the_deadline_counts_from_publishing_also_for_a_second_attempt() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", timeout_ns=100 * MS, attempts=2)
    rig.now += 60 * MS
    rig.raises("w", "r")
    rig.passes(40 * MS)
    assert rig.one(InvocationFailed).reason == "timeout"
