"""Death of workers: what callers and the ExecutionManager hear, in whatever order the news comes."""

from __future__ import annotations

from actorfaas.core.queue import Close
from actorfaas.messages import (
    InvocationFailed,
    InvocationResult,
    LeaseExpired,
    Task,
    TaskFailed,
    WorkerDetached,
)
from tests.core.queueing_rig import MS, Rig, S


def test_the_caller_hears_how_the_worker_ended() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.now += 5 * MS
    rig.disconnects("w")
    rig.one(WorkerDetached)
    assert rig.none(InvocationFailed)
    rig.passes(100 * MS)
    rig.exited("w", "exited with status 3")
    failed = rig.one(InvocationFailed)
    assert (failed.reason, failed.error_message, failed.retryable) == (
        "worker_lost",
        "the worker exited with status 3",
        True,
    )
    assert failed.run_ns == 5 * MS
    assert not rig.core.board.losses


def test_the_reason_may_come_before_the_end_of_the_connection() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.exited("w", "exited with status 3")
    assert rig.none(InvocationFailed)
    rig.disconnects("w")
    assert rig.one(InvocationFailed).error_message == "the worker exited with status 3"


def test_a_result_sent_before_death_counts() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.publish("next")
    rig.all(Task)
    rig.exited("w")
    rig.returns("w", "r", payload=b"7")
    assert rig.one(InvocationResult).payload == b"7"
    assert rig.none(Task)  # the dead get no more
    rig.disconnects("w")
    assert rig.none(InvocationFailed)


def test_a_connection_that_outlives_its_process_is_closed() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.exited("w", "exited with status 0")  # a child of the handler holds the socket open
    rig.passes(1 * S)
    rig.one(Close, rig.connections["w"])
    assert rig.one(WorkerDetached).worker_topic == "w"
    assert rig.one(InvocationFailed).error_message == "the worker exited with status 0"


def test_an_idle_worker_that_exited_is_given_nothing() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.exited("w")
    rig.publish("r")
    assert rig.none(Task)
    rig.disconnects("w")
    rig.passes(2 * S)
    assert len(rig.all(WorkerDetached)) == 1


def test_without_a_reason_the_caller_is_answered_after_a_second() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.disconnects("w")
    rig.passes(999 * MS)
    assert rig.none(InvocationFailed)
    rig.passes(1 * MS)
    failed = rig.one(InvocationFailed)
    assert (failed.reason, failed.error_message) == ("worker_lost", "the worker lost its connection")
    rig.exited("w")
    assert rig.none(InvocationFailed)


def test_death_for_want_of_memory_has_a_reason_of_its_own() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.disconnects("w")
    rig.exited("w", "was killed by signal 9 (SIGKILL): out of memory")
    assert rig.one(InvocationFailed).reason == "memory"


def test_the_exit_of_another_process_of_that_name_is_not_taken_for_it() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1", pid=5)
    rig.publish("r")
    rig.exited("w", pid=4)
    rig.returns("w", "r")
    rig.publish("s")
    assert [task.request_id for task in rig.all(Task)] == ["r", "s"]


def test_a_lost_request_is_redelivered_once_the_reason_is_known() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w2", "f@1", pid=2)
    rig.worker("w1", "f@1")
    rig.publish("r", attempts=2)
    rig.all(Task)
    rig.disconnects("w1")
    rig.exited("w1")
    assert rig.task_of("w2").attempt == 2
    rig.returns("w2", "r")
    assert rig.one(InvocationResult).attempt == 2


def test_a_deadline_that_passes_while_the_reason_is_awaited() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", timeout_ns=100 * MS, attempts=3)
    rig.disconnects("w")
    rig.passes(100 * MS)
    assert rig.one(InvocationFailed).reason == "worker_lost"
    assert rig.none(LeaseExpired)


def test_a_caller_that_cancels_while_the_reason_is_awaited_is_answered_with_it() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w2", "f@1", pid=2)
    rig.worker("w1", "f@1")
    rig.publish("r", attempts=2)
    rig.all(Task)
    rig.disconnects("w1")
    rig.cancel("r", kill=True)
    rig.exited("w1")
    assert rig.one(InvocationFailed).reason == "worker_lost"
    assert rig.none(Task)


def test_a_task_of_an_execution_fails_with_how_its_worker_ended() -> None:
    rig = Rig()
    rig.worker("w")
    rig.assign("w", "t")
    rig.disconnects("w")
    assert rig.none(TaskFailed)
    rig.exited("w", "exited with status 1")
    failed = rig.one(TaskFailed, rig.manager)
    assert (failed.task_id, failed.reason, failed.error_message) == (
        "t",
        "worker_lost",
        "the worker exited with status 1",
    )


def test_a_new_worker_of_the_same_name_replaces_the_forerunner() -> None:
    rig = Rig()
    rig.declare()
    old = rig.worker("w", "f@1")
    rig.publish("r")
    new = rig.worker("w", pid=1)
    assert rig.one(Close, old).reason
    assert rig.one(InvocationFailed).reason == "worker_lost"
    rig.subscribe("w", "f@1")
    rig.publish("s")
    assert rig.one(Task, new).request_id == "s"
    rig.core.worker_gone(old, rig.now)
    rig.returns("w", "s")
    rig.one(InvocationResult)


def test_a_new_execution_manager_hears_again_whom_to_have_killed() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", timeout_ns=1 * S)
    rig.passes(1 * S)
    rig.one(LeaseExpired)
    rig.core.manager_connected()
    rig.collect()
    assert rig.one(LeaseExpired) == LeaseExpired("w", "r")
