"""What the ExecutionManager hears about demand and use."""

from __future__ import annotations

from actorfaas.messages import StartUsage, Subscribe, TopicDemand, TopicUsage
from tests.core.queueing_rig import GROW_AFTER_NS, MS, Rig, S


def test_a_topic_without_members_asks_at_once_and_then_not_too_often() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("a")
    assert rig.one(TopicDemand, rig.manager) == TopicDemand("f@1", 1, 0, 0)
    rig.publish("b")
    assert rig.none(TopicDemand)
    rig.passes(GROW_AFTER_NS)
    assert rig.one(TopicDemand) == TopicDemand("f@1", 2, 0, 0)


def test_a_topic_whose_members_are_busy_asks_when_a_request_has_waited_long_enough() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("running")
    rig.publish("a")
    rig.passes(GROW_AFTER_NS - 1)
    assert rig.none(TopicDemand)
    rig.passes(1)
    assert rig.one(TopicDemand) == TopicDemand("f@1", 1, 1, 1)


def test_a_request_served_in_time_asks_for_nothing() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("running")
    rig.publish("a")
    rig.passes(2 * MS)
    rig.returns("w", "running")
    rig.passes(GROW_AFTER_NS)
    rig.returns("w", "a")
    assert rig.none(TopicDemand)


def test_a_demand_that_says_nothing_new_is_repeated_seldom() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("a")
    rig.all(TopicDemand)
    for _ in range(60):
        rig.passes(5 * MS)
    assert len(rig.all(TopicDemand)) == 3
    rig.publish("b")
    rig.passes(GROW_AFTER_NS)
    assert rig.one(TopicDemand).waiting == 2


def test_a_one_shot_topic_asks_with_every_request_that_waits() -> None:
    rig = Rig()
    rig.declare("f@1!fork", members="retire")
    for request in ("a", "b", "c"):
        rig.publish(request, topic="f@1!fork")
    assert [demand.waiting for demand in rig.all(TopicDemand)] == [1, 2, 3]
    rig.worker("w", "f@1!fork")
    rig.cancel("b")
    rig.worker("w2", "f@1!fork", pid=2)
    rig.worker("w3", "f@1!fork", pid=3)
    rig.publish("d", topic="f@1!fork")
    assert rig.none(TopicDemand)  # w3 was ready


def test_a_new_execution_manager_is_asked_again() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("a")
    rig.all(TopicDemand)
    rig.core.manager_connected()
    rig.passes(0)
    assert rig.one(TopicDemand).waiting == 1


def test_use_is_reported_about_once_a_second() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w1", "f@1", pid=1)
    rig.worker("w2", "f@1", pid=2)
    start_ns = rig.now
    rig.publish("a")
    rig.publish("b")
    rig.now += 10 * MS
    rig.returns("w1", "b", run=(start_ns, start_ns + 6 * MS))
    rig.raises("w2", "a")
    rig.passes(980 * MS)
    assert rig.none(TopicUsage)
    rig.passes(10 * MS)
    assert rig.one(TopicUsage, rig.manager) == TopicUsage(
        "f@1", 2, 2, 0, 2, 1, 2, 6 * MS, ("w2", "w1"), (StartUsage("resident", 1, 6 * MS),)
    )
    rig.passes(5 * S)
    assert rig.none(TopicUsage)
    assert not rig.core.needs_tick


def test_calls_are_told_apart_by_how_their_instance_was_had() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    for request, kind in (("a", ""), ("b", "prefetched"), ("c", "")):
        if kind:
            rig.unsubscribe("w")
            rig.core.subscribe(Subscribe("w", "f@1", kind, 7 * MS), rig.now)
        rig.publish(request)
        start_ns = rig.now
        rig.now += 10 * MS
        rig.returns("w", request, run=(start_ns + 2 * MS, start_ns + 6 * MS))
    rig.passes(1 * S)
    usage = rig.one(TopicUsage)
    assert usage.starts == (StartUsage("resident", 2, 12 * MS), StartUsage("prefetched", 1, 6 * MS))
    rig.publish("d")
    rig.passes(1 * S)
    assert rig.one(TopicUsage).starts == (), "it has not returned yet"


def test_a_topic_that_stays_busy_is_reported_again_and_again() -> None:
    rig = Rig()
    rig.declare()
    rig.worker("w", "f@1")
    rig.publish("a")
    for delivered in (1, 0, 0):
        rig.passes(1 * S)
        usage = rig.one(TopicUsage)
        assert (usage.busy_peak, usage.delivered) == (1, delivered)


def test_a_topic_that_is_gone_is_not_reported() -> None:
    rig = Rig()
    rig.declare()
    rig.publish("a")
    rig.drop()
    rig.all(TopicDemand)
    rig.passes(2 * S)
    assert rig.none(TopicUsage)
    assert rig.none(TopicDemand)
    assert not rig.core.needs_tick
