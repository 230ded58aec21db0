"""Executions whose workers can be paged out: look-ahead brings them in just in time, and says how they were had."""

from __future__ import annotations

import pytest

from actorfaas.messages import HistoryEvent, PageInWorker, TendWorker
from tests.core.specs import chain, function, workflow
from tests.core.world import World
from tests.core.world_node import MS, S
from tests.core.world_swapper import MB, NONE, OUTSIDE, SELF


def make(mode: str = OUTSIDE, **changes: object) -> World:
    """Functions a and b with one worker each, which is out, and whose working set is known."""
    world = World(mode=mode, policy="immediate")
    world.deploy(
        function("a", **changes),
        function("b", **changes),
        workflows=(
            workflow("ab", chain("a", "b")),
            workflow("aab", chain("a", "a", "b")),
            workflow("b_only", chain("b")),
            workflow("one", chain("a")),
        ),
    )
    world.run()
    world.prefers_reading("a", "b")
    for number in range(2):
        world.start("ab", f"warm{number}")
        world.run()
    assert (world.phases("a@1"), world.phases("b@1")) == (["swapped"], ["swapped"])
    return world


def kinds(world: World, execution_id: str) -> list[str]:
    """How the states' workers were had, in order."""
    events = world.store[execution_id].events.values()
    return [event.start_kind for event in events if event.type == "TaskSucceeded"]


def busy_of(world: World, function_topic: str) -> list[str]:
    return [topic for topic in world.busy() if topic.startswith(function_topic)]


def ran(world: World, function_topic: str, run_ns: int) -> None:
    """It is learned how long a function takes."""
    for _ in range(50):
        world.steering.ran(function_topic, run_ns)


@pytest.mark.parametrize(
    ("strategy", "mode", "expected"),
    [
        ("auto", OUTSIDE, ["prefetched", "prefetched"]),
        ("reap", OUTSIDE, ["prefetched", "prefetched"]),
        ("faasnap", OUTSIDE, ["concurrent", "concurrent"]),
        ("swap", OUTSIDE, ["swapped", "swapped"]),
        ("fork", OUTSIDE, ["fork", "fork"]),
        ("cold", OUTSIDE, ["cold", "cold"]),
        ("auto", SELF, ["prefetched", "prefetched"]),
        ("reap", SELF, ["prefetched", "prefetched"]),
        ("swap", SELF, ["swapped", "swapped"]),
    ],
)
def test_the_history_says_how_each_state_got_its_worker(strategy: str, mode: str, expected: list[str]) -> None:
    world = make(mode)
    world.start("ab", "e1", strategy=strategy)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")
    assert kinds(world, "e1") == expected


def ended(world: World, execution_id: str, type_: str = "TaskSucceeded") -> list[HistoryEvent]:
    """How the states' tasks ended, in order."""
    return [event for event in world.store[execution_id].events.values() if event.type == type_]


def test_the_history_says_what_a_state_waited_for_its_workers_memory() -> None:
    world = make()
    world.start("ab", "e1", strategy="reap")
    assert world.phases("a@1") == ["paging_in"]
    world.advance(0.004)
    world.run()
    a, b = ended(world, "e1")
    assert (a.page_in_ns, a.page_in_wait_ns, a.page_in_bytes, a.queue_ns) == (3 * MS, 3 * MS, MB, 4 * MS)
    assert (b.page_in_ns, b.page_in_wait_ns, b.page_in_bytes) == (3 * MS, 0, MB)


def test_the_history_says_how_long_before_its_state_a_worker_was_brought_in() -> None:
    world = make()
    ran(world, "a@1", 100 * MS)
    world.start("ab", "e1")
    world.settle()
    world.advance(0.098)
    world.settle()
    assert world.phases("b@1") == ["reserved"]
    world.advance(0.03)
    world.run()
    b = ended(world, "e1")[1]
    assert (b.start_kind, b.page_in_ns, b.page_in_lead_ns, b.page_in_wait_ns) == ("prefetched", 3 * MS, 30 * MS, 0)


def test_a_task_that_failed_says_how_its_worker_was_had_too() -> None:
    world = make()
    world.start("one", "e1")
    world.settle()
    world.fail(world.busy()[0])
    world.run()
    (failed,) = ended(world, "e1", "TaskFailed")
    assert (failed.start_kind, failed.page_in_ns, failed.page_in_bytes) == ("prefetched", 3 * MS, MB)


def test_states_of_resident_functions_find_their_workers_in_memory() -> None:
    world = World(mode=OUTSIDE, policy="immediate")
    resident = {"strategy": "resident"}
    world.deploy(function("a", **resident), function("b", **resident), workflows=(workflow("ab", chain("a", "b")),))
    world.run()
    for number in range(2):
        world.start("ab", f"e{number}", strategy=("auto", "swap")[number])
        world.run()
    assert kinds(world, "e1") == ["resident", "resident"]
    assert world.swapper is not None
    assert not world.swapper.page_outs


def test_a_reserved_worker_is_brought_in_just_in_time_and_gets_the_output_directly() -> None:
    world = make()
    ran(world, "a@1", 100 * MS)
    before = world.handed_over
    world.start("ab", "e1")
    world.settle()
    assert busy_of(world, "a@1")
    assert world.phases("b@1") == ["swapped"], "much too early"
    due_ns = world.steering.next_due_ns(world.now)
    assert due_ns is not None
    assert 0 < due_ns - world.now < 100 * MS
    world.advance((due_ns - world.now) / S)
    assert world.phases("b@1") == ["paging_in"]
    world.settle()
    assert world.phases("b@1") == ["reserved"]
    world.run()
    assert world.handed_over == before + 1
    assert kinds(world, "e1")[1] == "prefetched"


def test_a_state_that_comes_before_its_worker_is_in_does_not_wait_for_that() -> None:
    world = make()
    ran(world, "a@1", 100 * MS)
    world.start("ab", "e1")
    world.settle()
    world.advance(0.2)
    assert world.phases("b@1") == ["paging_in"]
    world.finish(world.busy()[0])
    assert busy_of(world, "b@1"), "the output went directly to a worker that is not in"
    assert world.deliver("from_queue")
    world.run()
    assert kinds(world, "e1") == ["prefetched", "concurrent"]


def test_a_state_that_comes_before_its_page_in_has_begun_begins_it() -> None:
    world = make()
    ran(world, "a@1", 100 * MS)
    world.start("ab", "e1")
    world.settle()
    assert world.phases("b@1") == ["swapped"]
    world.finish(world.busy()[0])
    world.deliver("from_queue")
    assert any(isinstance(order, PageInWorker) for order in world.queues["to_swapper"])
    world.run()
    assert kinds(world, "e1")[1] == "concurrent"


def test_a_worker_that_pages_itself_is_not_asked_to_read_ahead_during_its_call() -> None:
    world = make(SELF)
    ran(world, "a@1", 100 * MS)
    world.start("ab", "e1")
    world.settle()
    world.finish(world.busy()[0])
    world.deliver("from_queue")
    assert not [order for order in world.queues["to_queue"] if isinstance(order, TendWorker) and "b@1" in str(order)]
    world.run()
    assert kinds(world, "e1")[1] == "swapped"


def test_a_page_in_ahead_that_fails_is_told_as_it_was() -> None:
    world = make()
    world.start("one", "e1")
    world.swapping_fails = "reading failed"
    world.run()
    assert kinds(world, "e1") == ["swapped"]


@pytest.mark.parametrize("strategy", ["auto", "reap", "faasnap", "swap"])
@pytest.mark.parametrize("durability", ["standard", "express"])
def test_a_worker_that_dies_while_it_comes_in_costs_the_waiting_state_nothing(strategy: str, durability: str) -> None:
    world = make()
    world.start("one", "e1", strategy=strategy, durability=durability)
    (worker,) = (topic for topic in world.instances if topic.startswith("a@1"))
    world.die(worker)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"1")


@pytest.mark.parametrize("restart", ["restart_queue", "restart_supervisor"])
@pytest.mark.parametrize("strategy", ["auto", "reap"])
def test_a_state_that_waits_for_a_worker_to_come_in_survives_the_loss_of_all_workers(
    restart: str, strategy: str
) -> None:
    world = make()
    world.start("one", "e1", durability="express", strategy=strategy)
    assert world.phases("a@1") == ["paging_in"]
    getattr(world, restart)()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"1")


def test_the_swapper_that_restarts_leaves_executions_alone() -> None:
    world = make()
    ran(world, "a@1", 100 * MS)
    world.start("ab", "e1")
    world.start("b_only", "e2", strategy="reap")
    world.settle()
    world.lose_swapper()
    world.run()
    world.meet_swapper()
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")
    assert world.outcome("e2") == ("succeeded", b"1")


@pytest.mark.parametrize("strategy", ["auto", "reap", "faasnap", "swap"])
def test_where_swap_was_turned_off_workers_that_are_out_are_called_as_they_are(strategy: str) -> None:
    world = make()
    world.meet_swapper(NONE)
    world.settle()
    world.start("ab", "e1", strategy=strategy)
    world.run()
    assert kinds(world, "e1") == ["swapped", "swapped"]


def test_a_state_may_take_a_worker_that_is_out_and_reserved_by_another() -> None:
    world = make(concurrency=1)
    ran(world, "a@1", 1000 * MS)
    world.start("ab", "first")
    world.settle()
    assert [worker.claim is not None for worker in world.dispatch.pools["b@1"].workers.values()] == [True]
    world.start("b_only", "second")
    world.settle()
    assert busy_of(world, "b@1"), "the reservation did not make way"
    world.run()
    assert world.outcome("first") == ("succeeded", b"2")
    assert world.outcome("second") == ("succeeded", b"1")


@pytest.mark.parametrize("when", ["reserved", "armed"])
def test_a_reservation_given_up_leaves_its_worker_out(when: str) -> None:
    world = make()
    ran(world, "a@1", 1000 * MS)
    world.start("ab", "e1")
    if when == "armed":
        world.settle()
    assert world.cancel("e1")
    for _ in range(10):
        world.settle()
        world.advance(1.0)
    assert world.phases("b@1") == ["swapped"], "it was brought in for nobody"
    assert world.swapper is not None
    brought_in = [worker for worker, _ in world.swapper.page_ins if worker.startswith("b@1")]
    brought_out = [worker for worker in world.swapper.page_outs if worker.startswith("b@1")]
    assert len(brought_in) == 2, "once for each of the two executions before"
    assert len(brought_out) == 3, "it was brought out although it was out"


def test_a_worker_released_while_it_comes_in_is_free_when_the_queue_says_so() -> None:
    world = make()
    world.start("ab", "e1")
    while world.phases("b@1") != ["paging_in"] or world.queues["to_queue"]:
        assert any(world.deliver(name) for name in ("to_queue", "from_queue", "from_swapper")) or (
            world.deliver("to_swapper") or world.swap_one()
        )
    assert world.cancel("e1")
    while world.deliver("to_swapper") or world.swap_one() or world.deliver("from_swapper"):
        pass
    (worker,) = world.dispatch.pools["b@1"].workers.values()
    assert (worker.phase, worker.releasing) == ("resident", True)
    world.run()
    assert world.phases("b@1") == ["swapped"]


def test_what_was_prefetched_and_went_out_again_is_not_called_prefetched() -> None:
    world = make()
    world.start("ab", "e1")
    while world.phases("b@1") != ["reserved"]:
        assert any(world.deliver(name) for name in world.queues) or world.swap_one() or world.tend_one()
    world.cancel("e1")
    world.run()
    for _ in range(10):
        world.advance(1.0)
        world.settle()
    assert world.phases("b@1") == ["swapped"]
    ran(world, "a@1", 1000 * MS)
    world.start("ab", "e2")
    world.run()
    assert kinds(world, "e2") == ["prefetched", "concurrent"]


def test_the_journalled_kind_belongs_to_the_first_call_only() -> None:
    world = make(concurrency=1)
    world.start("aab", "e1")
    world.run()
    assert kinds(world, "e1")[:2] == ["prefetched", "resident"]
