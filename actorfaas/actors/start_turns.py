"""Whose turn it is to start: not all functions of a node at once, and first those that somebody waits for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LEAST_AT_ONCE = 4


def at_once() -> int:
    """How many functions may start at the same time: two for each processor. A node with a thousand functions is not in
    service sooner when all of them initialise themselves together, and its actors are not heard meanwhile."""
    return max(LEAST_AT_ONCE, 2 * len(os.sched_getaffinity(0)))


class StartTurns:
    """`is_wanted` says of a function's topic whether calls wait for it; it is asked each time a turn is given."""

    def __init__(self, limit: int, is_wanted: Callable[[str], bool]) -> None:
        self._left = limit
        self._is_wanted = is_wanted
        self._waiting: dict[asyncio.Future[None], str] = {}

    @asynccontextmanager
    async def turn(self, topic: str) -> AsyncIterator[None]:
        """While the body runs, one of the turns is taken."""
        if self._left:
            self._left -= 1
        else:
            await self._wait(topic)
        try:
            yield
        finally:
            self._give_on()

    async def _wait(self, topic: str) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[given] = topic
        try:
            await given
        except asyncio.CancelledError:
            if self._waiting.pop(given, None) is None:
                self._give_on()  # it was given just before
            raise

    def _give_on(self) -> None:
        wanted = (given for given, topic in self._waiting.items() if self._is_wanted(topic))
        given = next(wanted, None) or next(iter(self._waiting), None)
        if given is None:
            self._left += 1
            return
        del self._waiting[given]
        given.set_result(None)
