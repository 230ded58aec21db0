"""The LocalQueue and workers whose memory may be elsewhere: one request each, orders about memory, start kinds."""

from __future__ import annotations

import pytest

from actorfaas.core.queue.records import Close
from actorfaas.messages import (
    InvocationResult,
    Subscribe,
    Task,
    Tend,
    Tended,
    TendWorker,
    WorkerReleased,
    WorkerTended,
)
from tests.core.queueing_rig import MS, Rig


def test_a_member_of_a_returning_topic_serves_once_and_is_given_back() -> None:
    rig = Rig()
    rig.declare("f@1!reap", members="return")
    rig.worker("w", "f@1!reap")
    rig.publish("a", topic="f@1!reap")
    rig.publish("b", topic="f@1!reap")
    rig.returns("w", "a")
    assert rig.one(WorkerReleased, rig.manager) == WorkerReleased("w", "f@1!reap")
    assert len(rig.all(Task)) == 1  # b waits for a worker of its own
    rig.subscribe("w", "f@1!reap")
    assert rig.task_of("w").request_id == "b"


def test_how_the_next_request_gets_its_instance_is_told_once() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w")
    rig.core.subscribe(Subscribe("w", "f@1", "prefetched", 7 * MS), rig.now)
    rig.publish("a")
    rig.returns("w", "a")
    rig.publish("b")
    rig.returns("w", "b")
    first, second = rig.all(InvocationResult)
    assert (first.start_kind, first.page_in_ns) == ("prefetched", 7 * MS)
    assert (second.start_kind, second.page_in_ns) == ("resident", 0)


@pytest.mark.parametrize("action", ["trim", "page_out", "page_in"])
def test_an_order_about_memory_goes_to_a_worker_and_back(action: str) -> None:
    rig = Rig()
    peer = rig.worker("w")
    rig.core.tend(TendWorker("w", action))
    rig.collect()
    assert rig.one(Tend, peer) == Tend(action)
    rig.says("w", Tended(action, 4096, 5))
    assert rig.one(WorkerTended, rig.manager) == WorkerTended("w", action, True, 4096, 5)


@pytest.mark.parametrize(("action", "done"), [("trim", False), ("page_out", False), ("page_in", True)])
def test_a_lent_worker_is_only_brought_back(action: str, done: bool) -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.core.tend(TendWorker("w", action))
    rig.collect()
    assert rig.none(Tend) is not done
    assert rig.none(WorkerTended) is done


def test_a_worker_with_a_request_is_left_alone() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("a")
    rig.core.tend(TendWorker("w", "page_in"))
    rig.collect()
    assert rig.one(WorkerTended, rig.manager) == WorkerTended("w", "page_in", False, 0, 0)
    assert rig.none(Tend)


def test_only_one_order_at_a_time() -> None:
    rig = Rig()
    rig.worker("w")
    for _ in range(2):
        rig.core.tend(TendWorker("w", "trim"))
    rig.collect()
    assert len(rig.all(Tend)) == 1
    assert not rig.one(WorkerTended, rig.manager).done


@pytest.mark.parametrize("asked", ["", "trim"])
def test_a_worker_that_tends_unasked_loses_its_connection(asked: str) -> None:
    rig = Rig()
    rig.worker("w")
    if asked:
        rig.core.tend(TendWorker("w", asked))
    rig.says("w", Tended("page_out", 0, 0))
    assert any(isinstance(message, Close) for _, message in rig.said)
    assert rig.state_of("w") is None
