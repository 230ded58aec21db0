"""Connections of workers: rights, lending, retirement."""

from __future__ import annotations

import pytest

from actorfaas.core.queue import Close
from actorfaas.messages import (
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
    TaskError,
    TaskResult,
    TaskResultAndEffects,
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
        TaskResultAndEffects("r", "reply", 0, 0, 1, b"1"),
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


def test_a_busy_member_is_given_back_when_its_request_is_done_whoever_waits() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("r")
    rig.publish("s")
    rig.release_worker("w")
    assert rig.none(WorkerReleased)
    rig.returns("w", "r")
    assert [released.worker_topic for released in rig.all(WorkerReleased)] == ["w"]
    assert rig.core.describe(rig.now).topics[0].waiting == 1
    rig.subscribe("w", "f@1")
    rig.returns("w", "s")
    assert rig.none(WorkerReleased), "it was asked for once"
    rig.release_worker("w")
    assert [released.worker_topic for released in rig.all(WorkerReleased)] == ["w"], "an idle one at once"
    rig.release_worker("w")
    rig.release_worker("nobody")
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


@pytest.mark.parametrize("way", ["told to", "said so"])
def test_a_worker_that_does_not_exit_loses_its_connection(way: str) -> None:
    rig = Rig()
    rig.declare()
    connection = rig.worker("w", "f@1")
    if way == "told to":
        rig.retire("w")
    else:
        rig.publish("r")
        rig.raises("w", "r", exiting=True)
    rig.passes(900 * MS)
    assert rig.none(WorkerDetached)
    rig.passes(200 * MS)
    rig.one(Close, connection)
    assert rig.one(WorkerDetached).worker_topic == "w"
    rig.passes(2 * S)
    assert rig.none(WorkerDetached)


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
