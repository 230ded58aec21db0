"""Plain calls and calls by strategies of paging that want the same workers at once: none waits for ever."""

from __future__ import annotations

import pytest

from actorfaas.messages import InvocationResult
from tests.core.specs import function
from tests.core.world import World
from tests.core.world_swapper import NONE, OUTSIDE, SELF

PAGED = ("swap", "reap", "faasnap")


def served(world: World, topic: str) -> int:
    return sum(
        name.startswith(f"{topic} ") and isinstance(it, InvocationResult) for name, it in world.published.items()
    )


def keep_waiting(world: World, topic: str, count: int) -> None:
    """See to it that `count` calls of a topic are not answered."""
    unanswered = sum(name.startswith(f"{topic} ") and answer is None for name, answer in world.published.items())
    for _ in range(count - unanswered):
        world.publish(topic, f"{topic} {next(world.numbers)}", timeout_s=600.0)


def load(world: World, topics: tuple[str, ...], *, steps: int, waiting: int = 6) -> None:
    """Calls of all topics wait at every moment; one worker returns at a time."""
    for _ in range(steps):
        for topic in topics:
            keep_waiting(world, topic, waiting)
        world.settle()
        world.end_something("finish", next(world.numbers))
        world.advance(0.006)


@pytest.mark.parametrize("mode", [OUTSIDE, SELF, NONE])
@pytest.mark.parametrize("kind", PAGED)
@pytest.mark.parametrize(("concurrency", "max_workers"), [(1, 64), (2, 64), (3, 64), (3, 1)])
def test_a_paged_call_of_a_full_pool_is_served_under_constant_plain_load(
    concurrency: int, max_workers: int, kind: str, mode: str
) -> None:
    world = World(mode=mode, policy="pressure", max_workers=max_workers)
    world.deploy(function("a", concurrency=concurrency))
    load(world, ("a@1",), steps=20)
    instances = set(world.instances)
    keep_waiting(world, f"a@1!{kind}", 1)
    load(world, ("a@1",), steps=20)
    assert served(world, f"a@1!{kind}") == 1
    assert set(world.instances) == instances, "a worker was ended for it"


@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_plain_and_paged_calls_that_always_wait_alternate(concurrency: int) -> None:
    world = World(mode=OUTSIDE, policy="pressure")
    world.deploy(function("a", concurrency=concurrency))
    topics = ("a@1", *(f"a@1!{kind}" for kind in PAGED))
    load(world, topics, steps=120)
    plain, *paged = (served(world, topic) for topic in topics)
    assert min(paged) >= 10, "a strategy waits while others are served"
    assert plain >= 30


def test_a_paged_call_does_not_wait_for_a_long_call_while_short_ones_end() -> None:
    world = World(mode=OUTSIDE, policy="pressure")
    world.deploy(function("a", concurrency=2))
    load(world, ("a@1",), steps=20)
    keep_waiting(world, "a@1!reap", 1)
    long = next(iter(world.dispatch.pools["a@1"].lent))
    for _ in range(20):
        keep_waiting(world, "a@1", 6)
        world.settle()
        for topic in world.busy():
            if topic != long:
                world.finish(topic)
        world.advance(0.006)
    assert served(world, "a@1!reap") == 1
    assert long in world.busy()


@pytest.mark.parametrize("mode", [OUTSIDE, NONE])
def test_a_worker_that_comes_back_for_a_call_that_gave_up_serves_plain_calls_again(mode: str) -> None:
    world = World(mode=mode, policy="pressure")
    world.deploy(function("a", concurrency=1))
    load(world, ("a@1",), steps=5)
    world.publish("a@1!swap", "hasty", timeout_s=0.001)
    load(world, ("a@1",), steps=5)
    for _ in range(3):
        world.advance(1.0)
        world.settle()
    before = served(world, "a@1")
    load(world, ("a@1",), steps=20)
    assert not isinstance(world.published["hasty"], InvocationResult)
    assert served(world, "a@1") == before + 20
