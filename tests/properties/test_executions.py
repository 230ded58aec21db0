"""Whatever happens, in whatever order: limits hold, no worker is lost, every execution ends exactly once."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.branching_rig import FLOWS, define
from tests.core.specs import chain, function, workflow
from tests.core.world import World

NAMES = ("abc", "aa", "b", "one_at_a_time")
RETRYING = (
    b'{"StartAt":"s","States":{"s":{"Type":"Task","Resource":"b","Next":"p","Retry":[{"ErrorEquals":["States.ALL"],'
    b'"IntervalSeconds":1,"MaxAttempts":2}]},"p":{"Type":"Pass","Next":"w"},'
    b'"w":{"Type":"Wait","Seconds":2,"Next":"t"},"t":{"Type":"Task","Resource":"c","End":true}}}'
)

QUEUES = ("to_queue", "from_queue", "to_supervisor", "from_supervisor", "to_store")
OPERATIONS = (
    *QUEUES,
    *QUEUES,
    "finish",
    "finish",
    "change",
    "fail",
    "die",
    "start",
    "publish",
    "cancel",
    "redrive",
    "advance",
)
RARE = ("store_down", "data_refused", "start_fails", "restart_queue", "restart_supervisor", "restart_manager")

steps = st.lists(st.tuples(st.sampled_from((*OPERATIONS * 3, *RARE)), st.integers(0, 7 + len(FLOWS))), max_size=120)


def make_world(max_workers: int) -> World:
    world = World(max_workers=max_workers)
    world.deploy(
        function("a", concurrency=2),
        function("b", concurrency=3, retries=1),
        function("c", concurrency=1, timeout_s=2.0),
        function("d", concurrency=1, warm=0),
        workflows=(
            workflow("abc", chain("a", "b", "c")),
            workflow("aa", chain("a", "a", "d"), durability="express"),
            workflow("one_at_a_time", chain("c", "d", "c", "d")),
            workflow("retrying", RETRYING),
            *(define(name, definition) for name, definition in FLOWS.items()),
        ),
    )
    return world


def do(world: World, operation: str, choice: int) -> None:
    """One random thing that can happen."""
    match operation:
        case "finish" | "change" | "fail" | "die":
            world.end_something(operation, choice)
        case "start" | "publish" | "cancel":
            ask(world, operation, choice)
        case "redrive":
            go_on(world, choice)
        case "advance":
            world.advance((0.001, 0.006, 0.1, 0.5, 1.0, 1.0, 2.5, 5.0)[choice % 8])
        case "store_down":
            world.store.is_up = not world.store.is_up
        case "data_refused":
            world.store.refuses_data = ("", "precondition_failed", "data_refused")[choice % 3]
        case "start_fails":
            world.start_fails = not world.start_fails
        case "restart_queue" | "restart_supervisor" | "restart_manager":
            getattr(world, operation)()
        case _:
            world.deliver(operation)


def ask(world: World, operation: str, choice: int) -> None:
    """Something a caller wants."""
    number = next(world.numbers)
    running = [one.execution_id for one in world.executions.all()]
    if operation == "publish":
        topic = ("a@1", "b@1", "c@1", "d@1", "a@1!fork", "b@1!cold", "c@1!fork", "d@1")[choice % 8]
        world.publish(topic, f"r{number}", timeout_s=20.0)
    elif operation == "start":
        name = (*NAMES, "retrying", "abc", "aa", "a", *FLOWS)[choice]
        strategy = ("auto", "fork", "resident", "cold")[choice % 8] if choice % 8 < 4 else "auto"
        durability = "express" if name == "aa" else "standard"
        commit = choice % 2 == 0
        world.start(name, f"e{number}", durability=durability, strategy=strategy, wait_for_commit=commit)
    elif running:
        world.cancel(running[choice % len(running)])


def go_on(world: World, choice: int) -> None:
    """An execution that ended without success is redriven, if there is one."""
    ended = [
        execution_id
        for execution_id, stored in world.store.items()
        if stored.finish is not None and stored.finish.status != "succeeded" and stored.create.durability == "standard"
        if world.executions.execution(execution_id) is None
    ]
    if ended and world.store.is_up:
        world.redrive(ended[choice % len(ended)])


def wind_down(world: World) -> None:
    """Everything works again, and time passes until nothing is left to do."""
    world.store.is_up = True
    world.store.refuses_data = ""
    world.start_fails = False
    world.executions.data_layer_connected(world.now)
    world.flush()
    for _ in range(120):
        world.run()
        world.advance(1.0)
        world.executions.data_layer_connected(world.now)
        world.flush()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, max_workers=st.sampled_from([3, 5, 64]))
def test_every_execution_ends_exactly_once_and_no_limit_is_broken(
    steps: list[tuple[str, int]], max_workers: int
) -> None:
    world = make_world(max_workers)
    for operation, choice in steps:
        do(world, operation, choice)
        world.check()
    wind_down(world)
    world.check()
    assert list(world.executions.all()) == []
    for execution_id, stored in world.store.items():
        if stored.create.durability == "standard":
            assert stored.finish is not None, f"{execution_id} never ended"
            types = [type_ for type_ in world.types(execution_id) if type_.startswith("Execution")]
            again = types.count("ExecutionRedriven")
            assert len(types) == types.count("ExecutionStarted") + 2 * again + 1, types
            assert "does not fit its definition" not in stored.finish.error_message
    committed = [writes.split()[1] for writes in world.store.commits]
    assert len(committed) == len(set(committed)), "what a task changed was committed twice"
    assert all(answer is not None for answer in world.published.values()), "a plain call was never answered"
    held = [w for pool in world.dispatch.pools.values() for w in pool.workers.values() if w.claim or w.releasing]
    assert held == [], "a worker is held for nobody"
    known = {topic for pool in world.dispatch.pools.values() for topic in pool.workers}
    assert known == set(world.instances), "the picture of the workers is wrong"


@settings(max_examples=60, deadline=None)
@given(order=st.lists(st.integers(0, 20), min_size=20, max_size=200), executions=st.integers(2, 8))
def test_executions_that_compete_for_single_workers_all_succeed(order: list[int], executions: int) -> None:
    world = World(max_workers=4)
    world.deploy(
        function("c", concurrency=1),
        function("d", concurrency=1),
        workflows=(workflow("one_at_a_time", chain("c", "d", "c", "d")), workflow("reverse", chain("d", "c"))),
    )
    for number in range(executions):
        world.start("reverse" if number % 2 else "one_at_a_time", f"e{number}")
    for choice in order:
        do(world, (*QUEUES, "finish")[choice % 6], choice)
    wind_down(world)
    assert {world.outcome(f"e{number}")[0] for number in range(executions)} == {"succeeded"}
