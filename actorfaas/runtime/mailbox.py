"""An actor's inbox: a bounded queue that hands its items to one handler, one after the other.

The handler is called directly in the loop's callback, a batch at a time, so a message that needs no waiting costs no
task and no future. A handler that returns an awaitable makes the inbox wait for it before the next item. What to do
when the inbox is full (`Overflow`) is the actor's rule; the mailbox only says that it is, and when it has room again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")

BATCH = 256
"""Items handled in a row before other callbacks of the event loop get their turn."""


class Overflow(Enum):
    """What happens to a message for which the inbox has no room."""

    PAUSE = "pause"
    """The connection that brought it is not read until the inbox has drained to half; nothing is lost."""

    REFUSE = "refuse"
    """An ask is answered `Refused("overloaded")`; a tell is dropped and counted."""


class Mailbox(Generic[T]):
    """Items in, calls of `handle` out, in order, never two at once. `handle` must not raise."""

    def __init__(
        self,
        handle: Callable[[T], Awaitable[None] | None],
        limit: int,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.limit = max(1, limit)
        self.handled = 0
        self._handle = handle
        self._on_room = on_room
        self._items: deque[T] = deque()
        self._open = False
        self._busy = False  # a batch is being handled, awaited or scheduled
        self._overflowed = False
        self._waiting: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether the bound is reached. Whoever sees True acts on the actor's rule; `on_room` follows later."""
        if len(self._items) < self.limit:
            return False
        self._overflowed = True
        return True

    def put(self, item: T) -> None:
        """Append without looking at the bound; call `pump` after the last of a burst."""
        self._items.append(item)

    def open(self) -> None:
        """Begin to hand items over; those put before come first."""
        self._open = True
        self.pump()

    def pump(self) -> None:
        """Handle what waits, now, unless that is already under way."""
        if self._open and not self._busy and self._items:
            self._busy = True
            self._drain()

    async def close(self, timeout_s: float) -> list[T]:
        """Stop handing over; wait for the item under way, at most `timeout_s`. The unread items come back."""
        self._open = False
        waiting = self._waiting
        if waiting is not None and waiting is not asyncio.current_task():
            await asyncio.wait({waiting}, timeout=timeout_s)
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait({waiting}, timeout=timeout_s)
        unread = list(self._items)
        self._items.clear()
        return unread

    def _drain(self) -> None:
        awaitable = self._handle_batch()
        if awaitable is not None:
            self._waiting = asyncio.get_running_loop().create_task(self._drain_slowly(awaitable), name="mailbox")

    async def _drain_slowly(self, awaitable: Awaitable[None] | None) -> None:
        try:
            while awaitable is not None:
                await awaitable
                awaitable = self._handle_batch()
        finally:
            self._waiting = None

    def _handle_batch(self) -> Awaitable[None] | None:
        """Handle up to BATCH items. An awaitable comes back as soon as a handler returns one."""
        items = self._items
        for _ in range(BATCH):
            if not items or not self._open:
                self._busy = False
                break
            self.handled += 1
            awaitable = self._handle(items.popleft())
            if awaitable is not None:
                return awaitable
        else:
            asyncio.get_running_loop().call_soon(self._drain)
        if self._overflowed and len(items) <= self.limit // 2:
            self._overflowed = False
            self._on_room()
        return None
