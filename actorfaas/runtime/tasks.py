"""Named, owned, watched tasks. Nothing in the platform calls `asyncio.create_task` for work that may fail unseen.

What a failure means is the owner's decision: it is told once, with the task's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Failure = Callable[[str, BaseException], None]
"""Called with the name of a task and the exception that ended it."""


class Tasks:
    """The tasks of one owner. They end with it, and none of them fails silently."""

    def __init__(self, owner: str, on_failure: Failure) -> None:
        self._owner = owner
        self._on_failure = on_failure
        self._running: set[asyncio.Task[Any]] = set()  # Any: results of watched tasks are nobody's business here
        self._closed = False

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `coroutine` as `OWNER/name`. After `close` it is cancelled before its first step."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._owner}/{name}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        if self._closed:
            task.cancel()
        return task

    async def close(self, timeout_s: float) -> list[str]:
        """Cancel every task and wait for them; the names of those that did not end in time come back."""
        self._closed = True
        current = asyncio.current_task()
        others = {task for task in self._running if task is not current}
        for task in others:
            task.cancel()
        if not others:
            return []
        _, stuck = await asyncio.wait(others, timeout=timeout_s)
        return sorted(task.get_name() for task in stuck)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_failure(task.get_name(), error)
