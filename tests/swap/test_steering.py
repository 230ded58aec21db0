"""Steering: what the policy is told and what becomes of its wishes; facts that come late or twice."""

from __future__ import annotations

import pytest

from actorfaas.messages import PageOutTemplate, PageOutWorker, TemplatePagedOut, WorkerPagedOut, WorkerTended
from actorfaas.swap.paging_state import Place
from tests.core.specs import function
from tests.core.world import World
from tests.core.world_swapper import MB, NONE, OUTSIDE, SELF
from tests.swap.steering_rig import make, measure, ordered, rest


@pytest.mark.parametrize("mode", [OUTSIDE, SELF])
def test_memory_above_the_budget_brings_idle_workers_out_though_they_are_lent(mode: str) -> None:
    world = make(mode, budget_bytes=100 * MB)
    assert world.phases("a@1") == ["resident", "resident"]
    measure(world, 95 * MB)
    assert "swapped" in world.phases("a@1")


def test_memory_below_the_budget_brings_nobody_out() -> None:
    world = make(budget_bytes=100 * MB)
    measure(world, 85 * MB)
    assert world.phases("a@1") == ["resident", "resident"]


def test_a_new_budget_is_heeded() -> None:
    world = make(budget_bytes=1000 * MB)
    measure(world, 95 * MB)
    assert world.phases("a@1") == ["resident", "resident"]
    world.meet_swapper(OUTSIDE, 100 * MB)
    world.settle()
    measure(world, 95 * MB)
    assert "swapped" in world.phases("a@1")


def test_what_workers_share_goes_once_all_of_them_are_out() -> None:
    world = make(budget_bytes=100 * MB)
    measure(world, 10_000 * MB)
    assert world.phases("a@1") == ["swapped", "swapped"]
    assert world.swapper is not None
    assert world.swapper.templates == ["a@1"]


@pytest.mark.parametrize("strategy", ["swap", "reap", "faasnap"])
def test_what_workers_of_a_paged_strategy_share_goes_under_pressure_too(strategy: str) -> None:
    world = make(budget_bytes=100 * MB, strategy=strategy)
    assert world.phases("a@1") == ["swapped", "swapped"]
    measure(world, 10_000 * MB)
    assert world.swapper is not None
    assert world.swapper.templates == ["a@1"]


def test_a_restarted_swapper_gets_to_know_templates_and_workers_that_are_out() -> None:
    world = make(budget_bytes=100 * MB)
    measure(world, 10_000 * MB)
    world.lose_swapper()
    world.meet_swapper(OUTSIDE, 100 * MB)
    world.settle()
    assert {world.steering._policy.place_of(topic) for topic in world.instances} == {Place.SWAPPED}
    measure(world, 10_000 * MB)
    assert world.swapper is not None
    assert world.swapper.templates == ["a@1", "a@1"]


def test_a_template_is_not_brought_out_without_privileges_and_forks_count_as_cheap() -> None:
    world = make(SELF, budget_bytes=100 * MB)
    measure(world, 10_000 * MB)
    assert world.phases("a@1") == ["swapped", "swapped"]
    assert not ordered(world, PageOutTemplate)
    for _ in range(5):
        world.steering.born("a@1", 1)
    assert world.steering.way_in("a@1", can_start=True) == "", "its template is where it was"
    assert world.steering.way_in("a@1", can_start=False) == "reap", (
        "a worker that pages itself cannot be called meanwhile"
    )


def test_the_number_of_calls_decides_who_goes_first() -> None:
    world = make(budget_bytes=100 * MB)
    world.publish("a@1", "r1")
    (used,) = world.busy()
    rest(world)
    measure(world, 92 * MB)
    (other,) = (topic for topic in world.instances if topic != used)
    worker = world.dispatch.worker(used)
    assert worker is not None
    assert worker.phase == "resident"
    out = world.dispatch.worker(other)
    assert out is not None
    assert out.phase == "swapped"


def test_an_answer_to_an_order_let_go_of_changes_nothing() -> None:
    world = make()
    (first, _) = world.instances
    for fact in (
        WorkerPagedOut(first, "", MB, 0, 1, 0),
        WorkerPagedOut(first, "too late", 0, 0, 1, 0),
        WorkerTended(first, "trim", True, 0, 1),
        WorkerTended(first, "page_out", True, 0, 1),
        WorkerTended(first, "page_in", False, 0, 1),
        WorkerPagedOut("a@1_1", "", MB, 0, 1, 0),
    ):
        world.steering.take_in(fact, world.now)
        world.flush()
        world.check()
    assert world.phases("a@1") == ["resident", "resident"]
    assert not world.queues["to_swapper"]


def test_an_old_answer_about_trimming_orders_nobody_out_twice() -> None:
    world = make()
    (first, _) = world.instances
    assert world.dispatch.want_out(first, world.now)
    world.flush()
    while not ordered(world, PageOutWorker):
        assert any(world.deliver(name) for name in ("to_queue", "from_queue")) or world.tend_one()
    for done in (True, False):
        world.steering.take_in(WorkerTended(first, "trim", done, 0, 1), world.now)
        world.flush()
    assert len(ordered(world, PageOutWorker)) == 1
    worker = world.dispatch.worker(first)
    assert worker is not None
    assert worker.phase == "paging_out", "it is with the Swapper"


@pytest.mark.parametrize("second", [SELF, NONE])
def test_the_way_memory_is_moved_may_change_while_it_is_moved(second: str) -> None:
    world = make()
    for topic in world.instances:
        assert world.dispatch.want_out(topic, world.now)
    world.flush()
    while len(ordered(world, PageOutWorker)) < 2:
        assert any(world.deliver(name) for name in ("to_queue", "from_queue")) or world.tend_one()
    world.meet_swapper(second)
    rest(world)
    assert {"paging_out", "paging_in"}.isdisjoint(world.phases("a@1"))
    for number in range(2):
        world.publish("a@1", f"r{number}")
    world.advance(0.006)
    world.run()
    assert None not in world.published.values()


def test_calls_that_come_regularly_find_their_worker_in_memory() -> None:
    world = make(policy="predictive")
    for number in range(30):  # every 20 s: in between it goes out, ahead of the next one it comes in
        request = f"r{number}"
        world.publish("a@1", request)
        world.advance(0.006)
        world.run()
        for _ in range(200):
            world.advance(0.1)
            world.run()
    kinds = [getattr(one, "start_kind", "") for one in world.published.values()]
    assert set(kinds[-5:]) == {"prefetched"}
    assert world.swapper is not None
    assert len(world.swapper.page_outs) >= 10, "it stayed in memory all the time"


def test_nothing_is_due_when_nothing_happens() -> None:
    world = make(policy="immediate")
    rest(world, 10)
    due_ns = world.steering.next_due_ns(world.now)
    assert due_ns is None or due_ns > world.now


def test_what_paging_a_template_out_freed_is_expected_the_next_time() -> None:
    world = World(mode=OUTSIDE, policy="pressure")
    world.deploy(function("a"))
    world.run()
    known = world.steering.learning.of("a@1")
    before = known.template_bytes.value
    world.steering.take_in(TemplatePagedOut("a@1", "", 4_000_000), world.now)
    world.steering.take_in(TemplatePagedOut("a@1", "refused", 0), world.now)
    assert known.template_bytes.value < before
    assert known.template_bytes.count == 1


def test_what_a_template_has_in_memory_is_learned_when_a_worker_goes() -> None:
    world = make()
    (first, _) = world.instances
    known = world.steering.learning.of("a@1")
    before = known.template_bytes.value
    assert world.dispatch.want_out(first, world.now)
    world.flush()
    while not ordered(world, PageOutWorker):
        assert any(world.deliver(name) for name in ("to_queue", "from_queue")) or world.tend_one()
    world.steering.take_in(WorkerPagedOut(first, "", 5 * MB, 0, 1, 3 * MB), world.now)
    assert known.template_bytes.value < before
    assert known.template_bytes.count == 1


def test_what_a_worker_had_before_it_was_ever_out_is_kept_apart() -> None:
    world = make(budget_bytes=1000 * MB)
    (first, _) = world.instances
    known = world.steering.learning
    for freed_bytes in (80 * MB, 5 * MB, 5 * MB):
        world.dispatch.pools["a@1"].workers[first].phase = "paging_out"
        world.steering.take_in(WorkerPagedOut(first, "", freed_bytes, 0, 1, 0), world.now)
    assert known.worker_bytes("a@1") < 40 * MB < known.new_bytes("a@1")
