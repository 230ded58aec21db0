"""Published requests: delivery, answers, limits, cancellation, topics that are withdrawn."""

from __future__ import annotations

from actorfaas.messages import (
    InvocationFailed,
    InvocationResult,
    LeaseExpired,
    Retire,
    Task,
    WorkerReleased,
)
from tests.core.queueing_rig import MS, PAYLOAD_LIMIT_BYTES, Rig, S, Somebody


def test_a_request_goes_to_the_worker_and_its_result_back() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", payload=b'{"a": 1}')
    task = rig.task_of("w")
    assert (task.request_id, task.attempt, task.credit, task.payload) == ("r", 1, 0, b'{"a": 1}')
    assert task.deadline_ns == rig.now + 30 * S
    assert task.next_topic == "reply"
    assert task.traceparent == "trace"
    delivered_ns = rig.now
    rig.now += 10 * MS
    rig.returns("w", "r", payload=b"42", run=(delivered_ns + 1 * MS, delivered_ns + 9 * MS))
    result = rig.one(InvocationResult, rig.frontend)
    assert result.payload == b"42"
    assert (result.worker_topic, result.attempt, result.start_kind) == ("w", 1, "resident")
    assert (result.queue_ns, result.start_ns, result.run_ns) == (0, 1 * MS, 8 * MS)
    assert not rig.core.has_requests


def test_what_a_worker_says_about_time_is_kept_within_its_lease() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.now += 3 * MS
    rig.returns("w", "r", run=(-(2**60), 2**63))
    result = rig.one(InvocationResult)
    assert (result.start_ns, result.run_ns) == (0, 3 * MS)


def test_waiting_requests_are_served_first_in_first_out() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("a")
    rig.publish("b")
    rig.now += 2 * MS
    rig.worker("w", "f@1")
    assert rig.task_of("w").request_id == "a"
    rig.returns("w", "a")
    assert rig.one(InvocationResult).queue_ns == 2 * MS + 1  # the rig gives every worker an instant of its own
    assert rig.task_of("w").request_id == "b"


def test_the_member_that_became_ready_last_is_used_first() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w1", "f@1")
    rig.worker("w2", "f@1", pid=2)
    rig.publish("a")
    assert rig.task_of("w2").request_id == "a"
    rig.returns("w2", "a")
    rig.publish("b")
    assert rig.task_of("w2").request_id == "b"


def test_an_undeclared_topic_is_refused() -> None:
    rig = Rig()
    rig.publish("r", topic="nowhere@1")
    failed = rig.one(InvocationFailed)
    assert (failed.reason, failed.retryable) == ("no_topic", False)
    assert "nowhere@1" in failed.error_message


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    rig = Rig()
    rig.declare(limit=2)
    rig.worker("w", "f@1")
    for request in ("warm", "a", "b", "c"):
        rig.publish(request)
    failed = rig.one(InvocationFailed)
    assert (failed.request_id, failed.reason, failed.retryable) == ("c", "queue_full", True)
    assert failed.retry_after_s == 1.0  # nothing is known yet
    rig.now += 2 * S
    rig.returns("w", "warm")
    rig.publish("d")
    rig.publish("e")
    assert rig.one(InvocationFailed).retry_after_s == 4.0  # two wait for one member that needs 2 s for each


def test_a_queue_limit_of_zero_serves_who_is_ready_and_queues_nobody() -> None:
    rig = Rig()
    rig.declare(limit=0)
    rig.worker("w", "f@1")
    rig.publish("a")
    assert rig.task_of("w").request_id == "a"
    rig.publish("b")
    assert rig.one(InvocationFailed).reason == "queue_full"


def test_a_request_published_again_while_under_way_is_the_same_request() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("a")
    rig.publish("a")
    rig.worker("w", "f@1")
    rig.returns("w", "a")
    rig.one(InvocationResult)
    assert len(rig.all(Task)) == 1
    assert not rig.core.has_requests


def test_two_publishers_may_use_the_same_id() -> None:
    rig = Rig()
    rig.declare()
    other = Somebody("other")
    rig.worker("w1", "f@1")
    rig.worker("w2", "f@1", pid=2)
    rig.publish("a")
    rig.publish("a", publisher=other)
    rig.returns("w2", "a", payload=b"first")
    rig.returns("w1", "a", payload=b"second")
    assert rig.one(InvocationResult, rig.frontend).payload == b"first"
    assert rig.one(InvocationResult, other).payload == b"second"


def test_a_failing_handler_is_answered_with_its_error() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.raises("w", "r", message="wrong " * 10_000)
    failed = rig.one(InvocationFailed)
    assert (failed.reason, failed.error_type, failed.traceback) == ("handler_error", "ValueError", "Traceback")
    assert failed.error_message.startswith("wrong")
    assert len(failed.error_message) == 16 * 1024
    assert not failed.retryable


def test_a_cancelled_request_in_the_queue_is_dropped() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("a")
    rig.publish("b")
    rig.cancel("a")
    assert rig.one(InvocationFailed).reason == "cancelled"
    rig.worker("w", "f@1")
    assert rig.task_of("w").request_id == "b"


def test_a_cancelled_request_that_runs_is_left_to_end_but_not_run_again() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", attempts=2)
    rig.cancel("r")
    assert rig.none(InvocationFailed)
    rig.raises("w", "r")
    assert rig.one(InvocationFailed).reason == "handler_error"
    rig.publish("next")
    rig.all(Task)
    rig.returns("w", "next")
    rig.one(InvocationResult)


def test_cancelling_with_kill_has_the_worker_killed() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.cancel("r", kill=True)
    assert rig.one(InvocationFailed).reason == "cancelled"
    assert rig.one(LeaseExpired).worker_topic == "w"


def test_cancelling_what_is_unknown_or_delayed() -> None:
    rig = Rig()
    rig.declare()
    rig.cancel("never")
    rig.worker("w", "f@1")
    rig.publish("r", attempts=2, delay_ns=1 * S)
    rig.raises("w", "r")
    rig.cancel("r", kill=True)
    assert rig.one(InvocationFailed).reason == "cancelled"
    rig.all(Task)
    rig.passes(2 * S)
    assert rig.none(Task)


def test_nothing_is_done_or_said_for_a_publisher_that_is_gone() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("running", attempts=3)
    rig.publish("waiting")
    rig.all(Task)
    rig.publisher_gone()
    assert not rig.core.has_requests
    rig.raises("w", "running")
    assert rig.none(Task)
    assert rig.none(InvocationFailed)
    rig.passes(31 * S)
    assert not rig.core.board.deadlines


def test_a_worker_of_a_gone_publisher_that_overruns_is_still_killed() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", timeout_ns=1 * S)
    rig.publisher_gone()
    rig.passes(1 * S)
    assert rig.one(LeaseExpired).request_id == "r"
    assert rig.none(InvocationFailed)


def test_a_dropped_topic_fails_what_waits_and_releases_members_when_they_are_done() -> None:
    rig = Rig()
    rig.declare()
    for worker, pid in (("w1", 1), ("w2", 2), ("w3", 3)):
        rig.worker(worker, "f@1", pid=pid)
    rig.publish("retried", attempts=2, delay_ns=1 * S)
    rig.raises("w3", "retried")
    rig.publish("r3", attempts=2)
    rig.publish("r2", attempts=2)
    rig.drop(reason="unavailable")
    assert rig.one(InvocationFailed).request_id == "retried"
    assert rig.one(WorkerReleased) == WorkerReleased("w1", "f@1")
    rig.returns("w3", "r3")
    assert rig.one(WorkerReleased).worker_topic == "w3"
    rig.raises("w2", "r2")
    assert rig.one(InvocationFailed).reason == "handler_error"
    assert rig.one(WorkerReleased).worker_topic == "w2"
    rig.publish("after")
    assert rig.one(InvocationFailed).reason == "no_topic"


def test_a_member_of_a_one_shot_topic_serves_once_and_exits() -> None:
    rig = Rig()
    rig.declare("f@1!fork", members="retire")
    rig.publish("a", topic="f@1!fork")
    rig.publish("b", topic="f@1!fork")
    rig.worker("w", "f@1!fork")
    assert rig.task_of("w").request_id == "a"
    rig.returns("w", "a")
    assert rig.one(InvocationResult).start_kind == "fork"
    rig.one(Retire, rig.connections["w"])
    assert rig.none(Task)
    rig.worker("w2", "f@1!fork", pid=2, start_kind="cold")
    rig.returns("w2", "b")
    assert rig.one(InvocationResult).start_kind == "cold"


def test_only_the_first_delivery_of_a_worker_started_for_it_counts_as_its_start_kind() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("early", "f@1")
    rig.now += 1
    rig.publish("a")
    rig.publish("b")
    rig.publish("c")
    rig.worker("late", "f@1", pid=2)
    rig.returns("early", "a")
    rig.returns("late", "b")
    kinds = {result.request_id: result.start_kind for result in rig.all(InvocationResult)}
    assert kinds == {"a": "resident", "b": "fork"}
    rig.returns("early", "c")
    assert rig.one(InvocationResult).start_kind == "resident"


def test_stopping_answers_everything() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("running")
    rig.publish("waiting")
    rig.core.refuse_new()
    rig.publish("new")
    rig.publish("running")  # the same request again, not a new one
    assert rig.one(InvocationFailed).request_id == "new"
    rig.core.stop(rig.now)
    answers = [m for _, m in rig.core.outbox if isinstance(m, InvocationFailed)]
    assert {(a.request_id, a.reason, a.retryable) for a in answers} == {
        ("running", "stopping", True),
        ("waiting", "stopping", True),
    }
    assert not rig.core.has_requests


def test_payloads_that_wait_are_bounded_in_bytes() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("a", payload=b"x" * PAYLOAD_LIMIT_BYTES, attempts=2)
    rig.publish("b", payload=b"y")
    refused = rig.one(InvocationFailed)
    assert (refused.request_id, refused.reason, refused.retryable) == ("b", "overloaded", True)
    assert refused.retry_after_s > 0
    rig.worker("w", "f@1")
    rig.publish("c", payload=b"y")  # a is kept for its second attempt
    assert rig.one(InvocationFailed).request_id == "c"
    rig.returns("w", "a")
    rig.publish("d", payload=b"y")
    assert rig.none(InvocationFailed)


def test_what_will_not_be_delivered_again_is_not_counted() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("a", payload=b"x" * PAYLOAD_LIMIT_BYTES, attempts=1)
    rig.publish("b", payload=b"y")
    assert rig.none(InvocationFailed)
