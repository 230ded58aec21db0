"""What the pools tell paging and ask of it: calls that are measured once, prices, arrivals."""

from __future__ import annotations

import pytest

from actorfaas.core.effects import Tell
from actorfaas.core.worker import Claim
from actorfaas.messages import CallEnded, CallMeasured, TendWorker, WorkerPagedIn
from tests.core.specs import function
from tests.core.world import World
from tests.core.world_swapper import MB, OUTSIDE
from tests.swap.steering_rig import make, measure, ordered, rest

MS = 1_000_000


def test_what_a_way_adds_to_calls_is_part_of_its_price() -> None:
    world = make(budget_bytes=100 * MB)
    steering = world.steering
    assert steering.way_in("a@1", can_start=False) == "reap", "nothing is recorded, so the next call is to be"
    worker = next(one for one in world.instances if one.startswith("a@1"))
    steering.take_in(CallMeasured(worker, "a@1", "record", 0, 2 * MB), world.now)
    for _ in range(8):
        steering.born("a@1", 5 * MS)
        steering.returned("a@1", "resident", 20 * MS)
        steering.returned("a@1", "fork", 60 * MS)
        steering.returned("a@1", "prefetched", 22 * MS)
        steering.returned("a@1", "concurrent", 30 * MS)
        steering.take_in(WorkerPagedIn(worker, "reap", "", 2 * MB, 12 * MS), world.now)
    assert steering.way_in("a@1", can_start=True) == "faasnap"
    for _ in range(30):
        steering.returned("a@1", "concurrent", 45 * MS)
    assert steering.way_in("a@1", can_start=True) == "reap"
    for _ in range(30):
        steering.returned("a@1", "fork", 21 * MS)
    assert steering.way_in("a@1", can_start=True) == ""
    assert steering.way_in("a@1", can_start=False) == "reap"


def test_a_call_that_never_came_is_not_measured() -> None:
    world = make(budget_bytes=100 * MB)
    measure(world, 10_000 * MB)
    (first, _) = world.instances
    assert world.dispatch.want_in(first, world.now)
    world.flush()
    world.settle()
    rest(world)
    assert world.dispatch.want_out(first, world.now)
    assert not ordered(world, CallEnded), "the Swapper would take nothing for the working set"
    world.flush()
    world.settle()
    assert world.swapper is not None
    assert not world.swapper.recorded


def test_a_reservation_given_up_before_it_was_armed_is_not_measured() -> None:
    world = make(budget_bytes=100 * MB)
    measure(world, 10_000 * MB)
    claim = Claim("e1", "a@1", 1)
    assert world.dispatch.reserve(claim, world.now)
    assert world.dispatch.want_in(claim.worker, world.now)
    world.flush()
    while world.deliver("to_swapper") or world.swap_one() or world.deliver("from_swapper"):
        pass
    assert "reserved" in world.phases("a@1")
    world.dispatch.release(claim.worker, world.now, armed=False)
    assert not ordered(world, CallEnded)


def test_a_call_that_came_is_measured_once() -> None:
    world = make(budget_bytes=100 * MB)
    measure(world, 10_000 * MB)
    world.start("aa", "e1")
    world.run()
    assert world.swapper is not None
    assert world.swapper.recorded == {"a@1"}
    assert not world.swapper.recording


def tended(world: World) -> list[str]:
    """Workers that are told to tidy up."""
    found = [one.message for one in world.dispatch.effects if isinstance(one, Tell)]
    return [one.worker_topic for one in (*found, *world.queues["to_queue"]) if isinstance(one, TendWorker)]


def test_a_worker_tidies_up_only_when_its_call_has_been_measured() -> None:
    world = make(budget_bytes=100 * MB)
    measure(world, 10_000 * MB)
    world.publish("a@1!reap", "r1")
    world.settle()
    (worker,) = world.busy()
    world.finish(worker)
    others = [name for name in world.queues if name != "to_swapper"]
    while any(world.deliver(name) for name in others):
        pass
    assert [one.worker_topic for one in ordered(world, CallEnded) if isinstance(one, CallEnded)] == [worker]
    assert "paging_out" in world.phases("a@1")
    assert not tended(world), "it would touch memory while its call is being measured"
    for _ in range(2):
        world.steering.take_in(CallMeasured(worker, "a@1", "record", 0, 2 * MB), world.now)
        assert tended(world) == [worker]


def test_a_reservation_that_was_brought_in_and_given_up_is_not_measured() -> None:
    world = make(budget_bytes=100 * MB)
    measure(world, 10_000 * MB)
    world.start("aa", "e1")
    world.settle()
    assert sorted(world.phases("a@1")) == ["busy", "reserved"]
    assert world.cancel("e1")
    world.run()
    assert world.swapper is not None
    assert not world.swapper.recorded, "a call that never came was recorded"


def test_a_call_arrives_once_however_it_waits_and_however_long_it_runs() -> None:
    world = World(mode=OUTSIDE, policy="predictive")
    world.deploy(function("a"))
    world.run()
    known = world.steering.learning.of("a@1")
    (worker,) = world.instances
    assert world.dispatch.want_out(worker, world.now)
    world.flush()
    world.settle()
    world.publish("a@1", "r1")  # its worker is out: it waits, and that is told as well
    for _ in range(6):
        world.advance(1.0)
        world.settle()
    (worker,) = world.busy()
    world.finish(worker, ran_s=5.0)
    for _ in range(3):
        world.advance(1.0)
        world.settle()
    assert known.arrivals.count == 1
    assert known.costs.run.expected_ns(0) == pytest.approx(5e9, rel=0.2)


def test_memory_that_calls_read_back_is_expected_before_it_is_measured() -> None:
    world = make(budget_bytes=100 * MB, concurrency=3)
    measure(world, 10_000 * MB)
    assert world.phases("a@1") == ["swapped", "swapped"]
    measure(world, 0)
    room = world.steering.room("a@1")
    world.publish("a@1!swap", "r1")
    world.settle()
    assert world.busy()
    assert world.steering.room("a@1") < room
