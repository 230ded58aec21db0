"""Whatever happens to calls, workers, memory and actors, in whatever order: limits hold, nobody who is needed is
brought out, everything is answered, and in the end idle workers are out."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorfaas.core import lifecycle
from actorfaas.messages import InvocationFailed, InvocationResult, MemoryMeasured
from actorfaas.swap.policy import Mode
from tests.core import branching_rig
from tests.core.specs import chain, function, workflow
from tests.core.world import World
from tests.core.world_swapper import MB, NONE, OUTSIDE, SELF

LIMITS = {"a@1": 2, "b@1": 3, "c@1": 1, "s@1": 2, "r@1": 1, "k@1": 1}
TOPICS = ("a@1", "a@1!swap", "a@1!reap", "a@1!faasnap", "b@1!fork", "b@1", "c@1", "s@1!reap", "s@1", "r@1", "r@1!swap")
FLOWS = ("abc", "ss", "sk", "ck", "kc", "r", *branching_rig.FLOWS)
STRATEGIES = ("auto", "swap", "reap", "faasnap", "fork", "resident", "auto")

PAGED = ("swap", "reap", "faasnap")

QUEUES = ("to_queue", "from_queue", "to_supervisor", "from_supervisor", "to_store", "to_swapper", "from_swapper")
OPERATIONS = (
    *QUEUES,
    *QUEUES,
    *QUEUES,
    *("tend", "swap") * 2,
    *("publish", "start", "finish", "finish") * 2,
    "advance",
)
RARE = (
    *("fail", "die", "cancel", "swap_fails", "lose_swapper", "meet_swapper", "mode", "measure", "start_fails"),
    "reconcile",
)
RESTARTS = ("restart_queue", "restart_supervisor", "restart_manager")

steps = st.lists(st.tuples(st.sampled_from((*OPERATIONS * 2, *RARE, *RESTARTS)), st.integers(0, 20)), max_size=150)
policies: st.SearchStrategy[Mode] = st.sampled_from(["immediate", "pressure", "predictive"])


def make_world(max_workers: int, mode: str, policy: Mode, budget_bytes: int) -> World:
    world = World(max_workers=max_workers, mode=mode, policy=policy, budget_bytes=budget_bytes)
    world.deploy(
        function("a", concurrency=2, idle_timeout_s=5.0),
        function("b", concurrency=3, warm=0, idle_timeout_s=5.0),
        function("c", concurrency=1, retries=1),
        function("s", concurrency=2, strategy="swap"),
        function("r", concurrency=1, strategy="resident"),
        function("k", concurrency=1, warm=0, strategy="reap"),
        workflows=(
            workflow("abc", chain("a", "b", "c")),
            workflow("ss", chain("s", "a", "s"), durability="express"),
            workflow("sk", chain("a", "c", "k")),
            workflow("ck", chain("c", "k", "c")),
            workflow("kc", chain("k", "c", "a", "c")),
            *(branching_rig.define(name, definition) for name, definition in branching_rig.FLOWS.items()),
        ),
    )
    return world


def do(world: World, operation: str, choice: int) -> None:
    """One random thing that can happen."""
    match operation:
        case "finish" | "fail" | "die":
            world.end_something(operation, choice)
        case "publish" | "start" | "cancel":
            ask(world, operation, choice)
        case "advance":
            world.advance((0.001, 0.006, 0.1, 0.5, 1.0, 2.5, 5.0, 20.0)[choice % 8])
        case "start_fails":
            world.start_fails = choice % 2 == 0
        case "reconcile":
            world.reconcile()
        case _ if operation in RESTARTS:
            getattr(world, operation)()
        case _ if operation in QUEUES:
            world.deliver(operation)
        case _:
            change_paging(world, operation, choice)


def ask(world: World, operation: str, choice: int) -> None:
    """Something a caller wants."""
    number = next(world.numbers)
    running = [one.execution_id for one in world.executions.all()]
    if operation == "publish":
        world.publish(TOPICS[choice % len(TOPICS)], f"p{number}", timeout_s=20.0)
    elif operation == "start":
        name = FLOWS[choice % len(FLOWS)]
        durability = "express" if name == "ss" else "standard"
        world.start(name, f"e{number}", durability=durability, strategy=STRATEGIES[choice % len(STRATEGIES)])
    elif running:
        world.cancel(running[choice % len(running)])


def ask_paged(world: World, operation: str, choice: int) -> None:
    """A caller wants something by a strategy in which idle workers go out."""
    number, strategy = next(world.numbers), PAGED[choice % len(PAGED)]
    if operation == "publish":
        world.publish(f"{'abcsk'[choice % 5]}@1!{strategy}", f"p{number}", timeout_s=20.0)
    else:
        world.start(FLOWS[choice % len(FLOWS)], f"e{number}", strategy=strategy)


def change_paging(world: World, operation: str, choice: int) -> None:
    """Something happens to the Swapper, or it says something."""
    assert world.swapper is not None
    match operation:
        case "tend":
            world.tend_one(choice)
        case "swap":
            world.swap_one(choice)
        case "swap_fails":
            world.swapping_fails = "the swapfile is full" if choice % 2 else ""
        case "lose_swapper":
            world.lose_swapper()
        case "meet_swapper" | "mode":
            world.meet_swapper((OUTSIDE, SELF, NONE, OUTSIDE)[choice % 4], (choice % 3) * 100 * MB)
        case "measure":
            fact = MemoryMeasured(choice * 20 * MB, 50.0 if choice % 5 == 4 else 0.0, 1, 0)
            if world.steering.is_active:
                world.queues["from_swapper"].append(fact)


def check_limits(world: World, max_workers: int) -> None:
    alive = Counter(one.function_topic for one in world.instances.values())
    assert all(alive[topic] <= limit for topic, limit in LIMITS.items()), alive
    assert sum(alive.values()) <= max_workers


def mend(world: World, mode: str) -> None:
    """Everything works again."""
    world.start_fails = False
    world.swapping_fails = ""
    world.meet_swapper(mode)
    world.settle()


def wind_down(world: World, mode: str) -> None:
    """It does, and time passes until nothing is left to do."""
    mend(world, mode)
    for _ in range(100):
        world.run()
        world.advance(1.0)
    world.settle()


def lent_to(world: World, topic: str) -> str:
    """Where the LocalQueue has a worker lent."""
    lent = world.queue.board.workers[topic].topic
    return lent.name if lent is not None else ""


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=steps,
    max_workers=st.sampled_from([3, 5, 64]),
    mode=st.sampled_from([OUTSIDE, OUTSIDE, SELF, NONE]),
    policy=policies,
    budget_bytes=st.sampled_from([0, 100 * MB]),
)
def test_nobody_needed_goes_out_and_everything_is_answered(
    steps: list[tuple[str, int]], max_workers: int, mode: str, policy: Mode, budget_bytes: int
) -> None:
    world = make_world(max_workers, mode, policy, budget_bytes)
    restarted = False
    for operation, choice in steps:
        do(world, operation, choice)
        world.check()
        restarted = restarted or operation in RESTARTS
        if not restarted:  # after a restart, what was started twice is only let go by and by
            check_limits(world, max_workers)
    wind_down(world, mode if mode != NONE else OUTSIDE)
    world.check()
    check_limits(world, max_workers)
    check_answers(world)
    check_rest(world)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.sampled_from((*OPERATIONS * 2, *RARE)), st.integers(0, 20)), max_size=150),
    max_workers=st.sampled_from([3, 64]),
    mode=st.sampled_from([OUTSIDE, OUTSIDE, SELF]),
    policy=policies,
    budget_bytes=st.sampled_from([0, 100 * MB]),
)
def test_whoever_served_paged_strategies_only_is_soon_out(
    steps: list[tuple[str, int]], max_workers: int, mode: str, policy: Mode, budget_bytes: int
) -> None:
    world = make_world(max_workers, mode, policy, budget_bytes)
    for operation, choice in steps:
        if operation in ("publish", "start"):
            ask_paged(world, operation, choice)
        else:
            do(world, operation, choice)
    mend(world, mode)
    for _ in range(12):  # a page-out that failed is tried again after five
        world.run()
        world.advance(1.0)
    world.settle()
    for pool in world.dispatch.pools.values():
        for worker in pool.workers.values():
            if world.instances[worker.topic].calls and not pool.stays_in:
                assert worker.phase == lifecycle.SWAPPED, f"{worker.topic} idles in memory, lent to {worker.lent_to!r}"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=steps,
    max_workers=st.sampled_from([3, 5, 64]),
    mode=st.sampled_from([OUTSIDE, SELF, NONE]),
    policy=policies,
)
def test_every_waiting_call_is_served_while_plain_load_goes_on(
    steps: list[tuple[str, int]], max_workers: int, mode: str, policy: Mode
) -> None:
    world = make_world(max_workers, mode, policy, 0)
    for operation, choice in steps:
        do(world, operation, choice)
    world.start_fails = False
    world.meet_swapper(mode)
    for number in range(8):
        world.publish("a@1", f"before {number}", timeout_s=600.0)
        world.advance(0.1)
        world.settle()
    waiting = [f"a@1!{kind}" for kind in ("swap", "reap", "faasnap")]
    for topic in waiting:
        world.publish(topic, topic, timeout_s=600.0)
    for number in range(300):
        if all(world.published[topic] for topic in waiting):
            break
        world.publish("a@1", f"plain {number}", timeout_s=600.0)
        world.publish("a@1", f"another {number}", timeout_s=600.0)
        world.settle()
        for topic in world.busy():
            world.finish(topic)
        world.advance(0.1)
    assert all(isinstance(world.published[topic], InvocationResult) for topic in waiting)


def check_answers(world: World) -> None:
    assert list(world.executions.all()) == []
    for execution_id, stored in world.store.items():
        if stored.create.durability == "standard":
            assert stored.finish is not None, f"{execution_id} never ended"
    assert all(isinstance(one, InvocationResult | InvocationFailed) for one in world.published.values())
    held = [w for pool in world.dispatch.pools.values() for w in pool.workers.values() if w.claim or w.releasing]
    assert held == [], "a worker is held for nobody"
    known = {topic for pool in world.dispatch.pools.values() for topic in pool.workers}
    assert known == set(world.instances), "the picture of the workers is wrong"


def check_rest(world: World) -> None:
    """Nothing moves, and those that should be out are."""
    for pool in world.dispatch.pools.values():
        for worker in pool.workers.values():
            assert worker.phase in (lifecycle.RESIDENT, lifecycle.SWAPPED), worker
            assert worker.lent_to == lent_to(world, worker.topic), "it is lent for one side only"
            assert not (pool.stays_in and worker.phase == lifecycle.SWAPPED), "a resident worker is out"
            if worker.goes_out or (world.policy == "immediate" and not pool.stays_in):
                assert worker.phase == lifecycle.SWAPPED, f"{worker.topic} idles in memory"
