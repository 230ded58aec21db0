"""Paging in a world: one function, two workers, and what is measured and ordered."""

from __future__ import annotations

from actorfaas.core.effects import Tell
from actorfaas.messages import MemoryMeasured, Message
from tests.core.specs import chain, function, workflow
from tests.core.world import World
from tests.core.world_swapper import OUTSIDE


def make(mode: str = OUTSIDE, policy: str = "pressure", budget_bytes: int = 0, **changes: object) -> World:
    """One function with two workers in memory."""
    world = World(mode=mode, policy=policy, budget_bytes=budget_bytes)  # type: ignore[arg-type]  # a Mode
    world.deploy(function("a", warm=2, **changes), workflows=(workflow("aa", chain("a", "a")),))
    rest(world)
    return world


def rest(world: World, seconds: int = 2) -> None:
    for _ in range(seconds):
        world.run()
        world.advance(1.0)
    world.run()


def measure(world: World, usage_bytes: int, pressure_percent: float = -1.0) -> None:
    world.queues["from_swapper"].append(MemoryMeasured(usage_bytes, pressure_percent, 1, 0))
    world.settle()


def ordered(world: World, kind: type[Message]) -> list[Message]:
    """What would leave for the Swapper now."""
    found = [one.message for one in world.dispatch.effects if isinstance(one, Tell) and one.peer == "swapper"]
    return [message for message in (*found, *world.queues["to_swapper"]) if isinstance(message, kind)]
