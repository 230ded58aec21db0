"""Functions while memory is short: nobody gets a second instance, everybody a first one, and swap does not fill."""

from __future__ import annotations

import pytest

from actorfaas.messages import MemoryMeasured
from actorfaas.swap.admission import LEAST_AT_ONCE
from tests.core.specs import chain, function, workflow
from tests.core.test_dispatch_paging import make, rest
from tests.core.world import World
from tests.core.world_swapper import MB, OUTSIDE


def measure(world: World, usage_bytes: int, swap_used: int = 0) -> None:
    world.queues["from_swapper"].append(MemoryMeasured(usage_bytes, -1.0, 100, swap_used))
    world.settle()


def limited(*functions: object, warm_usage: int = 50 * MB) -> World:
    """A world with a budget of 100 MB."""
    world = World(mode=OUTSIDE, policy="pressure", budget_bytes=100 * MB)
    world.deploy(*functions, workflows=(workflow("aa", chain("a", "a")),))  # type: ignore[arg-type]  # FunctionSpecs
    rest(world, 2)
    measure(world, warm_usage)
    return world


def test_calls_that_wait_bring_no_more_instances_while_memory_is_above_the_budget() -> None:
    world = limited(function("a", concurrency=4))
    measure(world, 120 * MB)
    for number in range(8):
        world.publish("a@1", f"r{number}")
    world.advance(0.01)
    world.settle()
    assert len(world.instances) == 1
    measure(world, 95 * MB)
    assert len(world.instances) == 1, "still above the high mark"
    measure(world, 10 * MB)
    assert len(world.instances) == 4
    world.run()
    assert None not in world.published.values()


def test_a_function_with_no_instance_gets_one_all_the_same() -> None:
    world = limited(function("a", warm=0, concurrency=4))
    measure(world, 120 * MB)
    for number in range(8):
        world.publish("a@1", f"r{number}")
    world.run()
    assert None not in world.published.values()
    assert len(world.instances) == 1


def test_functions_called_at_once_start_as_there_is_room_for_them_in_their_order() -> None:
    names = [f"f{number}" for number in range(8)]
    world = World(mode=OUTSIDE, policy="pressure", budget_bytes=150 * MB)
    world.deploy(*(function(name, warm=0) for name in names))
    measure(world, 40 * MB)
    for name in names:
        world.publish(f"{name}@1", name)
    world.settle()
    assert len(world.instances) == 2, "95 MB are left, an unknown instance is taken for one of 32"
    measure(world, 40 * MB)
    assert len(world.instances) == 2, "what has just come is not in the measured usage yet"
    measure(world, 104 * MB)
    assert sorted(one.function_topic for one in world.instances.values()) == ["f0@1", "f1@1", "f2@1", "f3@1"]
    for _ in range(8):
        world.advance(1.0)
        measure(world, 160 * MB)
    assert len(world.instances) == 8, "all come in the end, though nothing is freed"
    world.run()
    assert None not in world.published.values()


def test_room_is_made_before_it_is_used_up() -> None:
    world = limited(function("a", warm=1), function("b", warm=0))
    measure(world, 85 * MB)
    assert world.phases("a@1") == ["resident"], "below the high mark"
    world.publish("b@1", "r")
    world.settle()
    assert world.phases("a@1") == ["swapped"]
    assert world.phases("b@1") == ["resident"]


def test_instances_that_were_asked_for_are_expected_no_more_once_their_function_is_gone() -> None:
    world = limited(function("a", warm=0), function("b", warm=0))
    measure(world, 120 * MB)
    world.publish("a@1", "r")
    while world.deliver("from_queue"):
        pass
    assert len(world.dispatch.pools["a@1"].starts) == 1
    world.dispatch.remove_pool("a@1", world.now)
    world.flush()
    world.queues["to_supervisor"].clear()
    world.advance(1.0)
    assert world.steering.room("b@1") == LEAST_AT_ONCE


@pytest.mark.parametrize("warm", [1, 3])
def test_states_and_calls_share_what_there_is(warm: int) -> None:
    world = limited(function("a", warm=warm, concurrency=4))
    measure(world, 120 * MB)
    for number in range(4):
        world.publish("a@1", f"r{number}")
        world.start("aa", f"e{number}")
    world.run()
    rest(world, 5)
    assert None not in world.published.values()
    assert {world.outcome(f"e{number}")[0] for number in range(4)} == {"succeeded"}


def test_when_swap_is_short_the_surplus_that_is_out_ends() -> None:
    world = make(function("a", concurrency=4, idle_timeout_s=3.0), function("b", warm=2))
    for number in range(4):
        world.publish("a@1", f"r{number}")
        world.advance(0.006)
        world.settle()
    rest(world, 8)
    assert world.phases("a@1") == ["swapped"] * 4
    measure(world, 0, swap_used=84)
    assert world.phases("a@1") == ["swapped"] * 4
    measure(world, 0, swap_used=86)
    rest(world)
    assert (world.phases("a@1"), world.phases("b@1")) == (["swapped"], ["swapped"] * 2), "warm ones stay"
