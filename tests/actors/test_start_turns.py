"""Turns to start: bounded, those that are waited for first, and none is lost."""

from __future__ import annotations

import asyncio

from actorfaas.actors.start_turns import StartTurns


class Starts:
    """Functions that start until they are told to end."""

    def __init__(self, limit: int) -> None:
        self.wanted: set[str] = set()
        self.order: list[str] = []
        self.turns = StartTurns(limit, self.wanted.__contains__)
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def begin(self, *topics: str) -> None:
        for topic in topics:
            self._ends[topic] = asyncio.Event()
            self.tasks[topic] = asyncio.create_task(self._run(topic))
        await asyncio.sleep(0)

    async def _run(self, topic: str) -> None:
        async with self.turns.turn(topic):
            self.order.append(topic)
            await self._ends[topic].wait()

    async def end(self, topic: str) -> None:
        self._ends[topic].set()
        await self.tasks[topic]
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_start_at_once_in_the_order_of_asking() -> None:
    starts = Starts(2)
    await starts.begin("a", "b", "c", "d")
    assert starts.order == ["a", "b"]
    await starts.end("b")
    assert starts.order == ["a", "b", "c"]
    for topic in "acd":
        await starts.end(topic)
    assert starts.order == ["a", "b", "c", "d"]
    await starts.begin("e", "f", "g")
    assert starts.order[4:] == ["e", "f"], "all turns came back, and no more"
    for topic in "efg":
        await starts.end(topic)


async def test_who_is_waited_for_goes_first_also_if_that_came_later() -> None:
    starts = Starts(1)
    await starts.begin("a", "b", "c", "d")
    starts.wanted.add("d")
    await starts.end("a")
    assert starts.order == ["a", "d"]
    for topic in "dbc":
        await starts.end(topic)
    assert starts.order == ["a", "d", "b", "c"]


async def test_who_gives_up_waiting_costs_no_turn() -> None:
    starts = Starts(1)
    await starts.begin("a", "b", "c")
    starts.tasks["b"].cancel()
    await asyncio.wait([starts.tasks["b"]])
    starts._ends["a"].set()
    await asyncio.sleep(0)  # now it has been given its turn, and does not know yet
    starts.tasks["c"].cancel()
    await asyncio.wait([starts.tasks["c"]])
    await starts.begin("d")
    assert starts.order == ["a", "d"]
    await starts.end("d")
