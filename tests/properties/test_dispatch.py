"""Pools under random load, deaths and failures: limits hold, every request is answered, nothing idles for ever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from actorfaas.messages import InvocationFailed, InvocationResult
from tests.core.specs import function
from tests.core.world import World

QUEUES = ("to_queue", "from_queue", "to_supervisor", "from_supervisor")
OPERATIONS = (*QUEUES, *QUEUES, "publish", "publish", "finish", "finish", "die", "advance", "fails")
TOPICS = ("a@1", "b@1", "c@1", "a@1!fork", "b@1!cold")

steps = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 4)), max_size=150)


@settings(max_examples=150, deadline=None)
@given(steps=steps, max_workers=st.sampled_from([1, 3, 32]))
def test_limits_hold_and_every_request_is_answered(steps: list[tuple[str, int]], max_workers: int) -> None:
    world = World(max_workers=max_workers)
    world.deploy(
        function("a", concurrency=2, idle_timeout_s=3.0),
        function("b", concurrency=3, warm=0, idle_timeout_s=3.0),
        function("c", concurrency=1, warm=0, idle_timeout_s=3.0),
    )
    limits = {"a@1": 2, "b@1": 3, "c@1": 1}
    for operation, choice in steps:
        do(world, operation, choice)
        world.check()
        alive = Counter(one.function_topic for one in world.instances.values())
        assert all(alive[topic] <= limit for topic, limit in limits.items()), alive
        assert sum(alive.values()) <= max_workers
    world.start_fails = False
    for _ in range(60):
        world.run()
        world.advance(1.0)
    assert all(isinstance(one, InvocationResult | InvocationFailed) for one in world.published.values())
    left = Counter(one.function_topic for one in world.instances.values())
    assert left == {"a@1": 1}, "pools did not shrink to their warm instances"


def do(world: World, operation: str, choice: int) -> None:
    if operation == "publish":
        world.publish(TOPICS[choice], f"r{next(world.numbers)}", timeout_s=20.0)
    elif operation == "finish":
        if busy := world.busy():
            world.finish(busy[choice % len(busy)])
    elif operation == "die":
        if world.instances:
            world.die(sorted(world.instances)[choice % len(world.instances)])
    elif operation == "advance":
        world.advance((0.001, 0.006, 0.1, 1.0, 3.0)[choice])
    elif operation == "fails":
        world.start_fails = choice == 0
    else:
        world.deliver(operation)
