"""The store's own tasks, so that `close` can wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class Tasks:
    """A set of tasks under way. A task's failure belongs to whoever holds the future that `spawn` returns."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[object]] = set()

    def spawn(self, work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        """Start a task."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def wait(self) -> None:
        """Until none is under way, those started meanwhile included."""
        while self._under_way:
            await asyncio.wait(self._under_way)
