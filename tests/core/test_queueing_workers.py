"""Connections of workers: rights, lending, retirement, death; streams."""

from __future__ import annotations

import pytest

from actorfaas.core.queue import Close
from actorfaas.messages import (
    InvocationChunk,
    InvocationFailed,
    InvocationResult,
    KvValue,
    LeaseExpired,
    Message,
    NewFunctionWorker,
    Publish,
    Retire,
    Task,
    TaskChunk,
    TaskCredit,
    TaskError,
    TaskFailed,
    TaskResult,
    WorkerDetached,
    WorkerReleased,
    WorkerReported,
)
from tests.core.queueing_rig import MS, Rig, S


def test_a_worker_reports_itself_and_its_end() -> None:
    rig = Rig()
    rig.attach("w", start_kind="cold", pid=7)
    assert rig.core.describe(rig.now).workers == ()
    rig.says("w", NewFunctionWorker(7))
    assert rig.one(WorkerReported, rig.manager) == WorkerReported("w", "f@1", 7, "cold")
    rig.disconnects("w")
    assert rig.one(WorkerDetached, rig.manager) == WorkerDetached("w", "f@1", 7)
    assert rig.core.describe(rig.now).workers == ()


# --- rights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        TaskResult("other", "reply", 0, 0, b""),
        TaskResult("r", "somewhere_else", 0, 0, b""),
        TaskResult("r", "request_next_fw", 0, 0, b""),
        TaskError("other", 0, 0, "handler_error", "", "", "", False),
        TaskError("r", 0, 0, "worker_lost", "", "", "", False),
        TaskChunk("r", "json", b"1"),
        NewFunctionWorker(1),
        Publish("f@1", "x", 0, 1, 0, False, "", b""),
        KvValue(1, b""),
        LeaseExpired("other worker", "x"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_whoever_says_what_its_task_does_not_allow_loses_its_connection(said: Message) -> None:
    rig = Rig()
    rig.declare()
    rig.worker("good", "f@1", pid=2)
    rig.publish("s")
    rig.worker("bad", "f@1")
    rig.publish("r", attempts=1)
    rig.says("bad", said)
    rig.one(Close, rig.connections["bad"])
    assert rig.one(WorkerDetached).worker_topic == "bad"
    failed = rig.one(InvocationFailed)
    assert (failed.request_id, failed.reason) == ("r", "worker_lost")
    assert "broke its rights" in failed.error_message
    assert rig.state_of("bad") is None
    rig.returns("good", "s")
    assert rig.one(InvocationResult).request_id == "s"


def test_an_idle_worker_may_say_nothing_about_requests() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.returns("w", "r")
    rig.one(Close, rig.connections["w"])
    assert rig.none(InvocationResult)


def test_a_worker_must_report_itself_as_the_process_it_is() -> None:
    rig = Rig()
    rig.attach("w", pid=7)
    rig.says("w", NewFunctionWorker(8))
    rig.one(Close, rig.connections["w"])
    assert rig.none(WorkerReported)


def test_the_request_of_a_worker_that_broke_its_rights_is_redelivered() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w2", "f@1", pid=2)
    rig.worker("w1", "f@1")
    rig.publish("r", attempts=2)
    rig.all(Task)
    rig.returns("w1", "not r")
    assert rig.task_of("w2").attempt == 2


def test_a_condemned_worker_may_not_talk_about_anything_else() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", timeout_ns=1 * S)
    rig.passes(1 * S)
    rig.yields("w", "r")
    rig.raises("w", "r")
    assert rig.none(Close)
    rig.returns("w", "other")
    rig.one(Close)


def test_data_may_be_used_only_while_a_request_runs() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    worker = rig.state_of("w")
    assert worker is not None
    assert not rig.core.may_use_data(worker)
    rig.publish("r", timeout_ns=1 * S)
    assert rig.core.may_use_data(worker)
    rig.passes(1 * S)
    assert not rig.core.may_use_data(worker)


# --- lending ----------------------------------------------------------------------------------------------------------


def test_an_idle_worker_can_be_taken_back_a_busy_one_not() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    assert rig.unsubscribe("nobody") == "not_found"
    rig.publish("r")
    assert rig.unsubscribe("w") == "busy"
    rig.returns("w", "r")
    assert rig.unsubscribe("w") == ""
    assert rig.unsubscribe("w") == "not_found"
    rig.publish("s")
    rig.all(Task)
    assert rig.core.describe(rig.now).topics[0].waiting == 1


def test_members_idle_longest_are_given_back_first() -> None:
    rig = Rig()
    rig.declare()
    for pid, name in enumerate(("w1", "w2", "w3"), 1):
        rig.worker(name, "f@1", pid=pid)
    rig.release_idle(2)
    assert [released.worker_topic for released in rig.all(WorkerReleased)] == ["w1", "w2"]
    rig.release_idle(5)
    assert [released.worker_topic for released in rig.all(WorkerReleased)] == ["w3"]
    rig.release_idle(5, topic="nowhere")
    assert rig.none(WorkerReleased)


def test_who_cannot_be_lent_is_said_to_be_released() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("assigned")
    rig.assign("assigned", "t")
    rig.subscribe("assigned", "f@1")
    rig.attach("unreported", pid=2)
    rig.subscribe("unreported", "f@1")
    rig.worker("fine", pid=3)
    rig.subscribe("fine", "undeclared@1")
    assert [r.worker_topic for r in rig.all(WorkerReleased)] == ["assigned", "unreported", "fine"]
    rig.subscribe("nobody", "f@1")
    rig.subscribe("fine", "f@1")
    rig.subscribe("fine", "f@1")  # again: nothing changes
    assert rig.none(WorkerReleased)
    assert rig.core.describe(rig.now).topics[0].members == 1


def test_an_idle_worker_retires_at_once_a_busy_one_when_it_is_done() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("busy", "f@1")
    rig.publish("r")
    rig.publish("waits")
    rig.all(Task)
    rig.retire("busy")
    assert rig.none(Retire)
    rig.returns("busy", "r")
    rig.one(InvocationResult)
    rig.one(Retire, rig.connections["busy"])
    assert rig.none(Task)
    rig.worker("idle", pid=2)
    rig.retire("idle")
    rig.retire("idle")
    rig.one(Retire, rig.connections["idle"])
    rig.retire("nobody")
    assert {w.worker_topic: w.activity for w in rig.core.describe(rig.now).workers} == {
        "busy": "retiring",
        "idle": "retiring",
    }


def test_a_worker_that_ends_itself_gets_no_more_requests() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.publish("next")
    rig.all(Task)
    rig.raises("w", "r", reason="memory", exiting=True)
    assert rig.one(InvocationFailed).reason == "memory"
    assert rig.none(Task)
    assert rig.none(Retire)
    rig.disconnects("w")
    assert rig.none(InvocationFailed)


def test_the_description_says_what_each_worker_does() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("lent", "f@1")
    rig.publish("r")
    rig.worker("idle", pid=2)
    rig.worker("armed", pid=3)
    rig.assign("armed", "t", armed=True, execution="exec")
    rig.now += 5
    seen = {worker.worker_topic: worker for worker in rig.core.describe(rig.now).workers}
    assert (seen["lent"].activity, seen["lent"].lent_to, seen["lent"].request_id) == ("busy", "f@1", "r")
    assert (seen["lent"].deliveries, seen["lent"].idle_ns) == (1, 0)
    assert (seen["idle"].activity, seen["idle"].lent_to) == ("idle", "")
    assert seen["idle"].idle_ns > 0
    assert (seen["armed"].activity, seen["armed"].request_id, seen["armed"].execution_id) == ("armed", "t", "exec")
    topic = rig.core.describe(rig.now).topics[0]
    assert (topic.topic, topic.waiting, topic.queue_limit, topic.members, topic.busy) == ("f@1", 0, 100, 1, 1)


# --- death ------------------------------------------------------------------------------------------------------------


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
    assert (failed.reason, failed.error_message, failed.retryable) == ("worker_lost", "exited with status 3", True)
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
    assert rig.one(InvocationFailed).error_message == "exited with status 3"


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
    assert rig.one(InvocationFailed).error_message == "exited with status 0"


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
    assert (failed.reason, failed.error_message) == ("worker_lost", "its connection ended")
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
    assert (failed.task_id, failed.reason, failed.error_message) == ("t", "worker_lost", "exited with status 1")


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


# --- streams ----------------------------------------------------------------------------------------------------------


def test_pieces_of_a_stream_reach_the_caller_within_its_credit() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    assert rig.task_of("w").credit == 16
    for piece in range(16):
        rig.yields("w", "r", b"%d" % piece)
    assert [chunk.payload for chunk in rig.all(InvocationChunk, rig.frontend)] == [b"%d" % i for i in range(16)]
    rig.credit("r", 2)
    assert rig.one(TaskCredit, rig.connections["w"]) == TaskCredit("r", 2)
    rig.yields("w", "r")
    rig.yields("w", "r")
    rig.returns("w", "r")
    assert rig.one(InvocationResult).chunks == 18
    rig.credit("r", 2)
    assert rig.none(TaskCredit)


def test_a_worker_that_streams_beyond_its_credit_breaks_its_rights() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    for _ in range(17):
        if rig.state_of("w") is not None:
            rig.yields("w", "r")
    rig.one(Close, rig.connections["w"])
    assert rig.one(InvocationFailed).reason == "worker_lost"


def test_credit_never_exceeds_what_may_be_under_way() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    rig.yields("w", "r")
    rig.credit("r", 1000)
    assert rig.one(TaskCredit).chunks == 1
    rig.credit("r", -5)
    assert rig.none(TaskCredit)


def test_a_stream_that_has_begun_is_not_begun_again() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True, attempts=3)
    rig.yields("w", "r")
    rig.raises("w", "r")
    assert rig.one(InvocationFailed).attempt == 1


@pytest.mark.parametrize("way", ["cancelled", "publisher gone"])
def test_a_stream_nobody_reads_runs_to_its_end(way: str) -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r", stream=True)
    for _ in range(16):
        rig.yields("w", "r")
    rig.all(InvocationChunk)
    rig.cancel("r") if way == "cancelled" else rig.publisher_gone()
    assert rig.one(TaskCredit).chunks == 16
    rig.yields("w", "r")
    assert rig.one(TaskCredit).chunks == 1
    assert rig.none(InvocationChunk)
    rig.returns("w", "r")
    assert rig.none(Close)
    assert len(rig.all(InvocationResult)) == (1 if way == "cancelled" else 0)
