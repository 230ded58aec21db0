"""Calls under way: published to the LocalQueue, their last message still to come.

Owns the table from request id to waiting call, the backstop for calls whose answer never comes, and the watch for
callers that hang up. What the answer means to the caller is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from actorfaas.http.budget import Share
from actorfaas.http.problems import Problem
from actorfaas.messages import InvocationChunk, InvocationFailed, InvocationResult

Event = MutableMapping[str, Any]  # an ASGI event: its values depend on its type
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

Outcome = InvocationResult | InvocationFailed | Problem | None
"""How a call ended; None: the caller hung up first."""

GRACE_NS = 2_000_000_000
"""The LocalQueue ends every request at its deadline; only after this much more does the Frontend do it itself."""

WATCH_AFTER_NS = 100_000_000
"""Short calls are over before it matters whether their caller is still there."""

MAX_PIECES = 4096
"""More pieces waiting than any credit allows: the LocalQueue broke the rules."""


class Call:
    """One request and the future of its last message."""

    __slots__ = ("deadline_ns", "future", "is_answered", "receive", "request_id", "sent_ns", "watcher")

    def __init__(self, request_id: str, deadline_ns: int, sent_ns: int, receive: Receive) -> None:
        self.request_id = request_id
        self.deadline_ns = deadline_ns
        self.sent_ns = sent_ns
        self.receive = receive
        self.future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.watcher: asyncio.Task[None] | None = None
        self.is_answered = False  # by the LocalQueue, so that there is nothing left to cancel

    def end(self, outcome: Outcome) -> None:
        """Decide the call; only the first decision counts."""
        if not self.future.done():
            self.future.set_result(outcome)

    async def watch(self) -> None:
        """End the call when its caller hangs up."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.end(None)


class StreamCall(Call):
    """A call whose result comes in pieces."""

    __slots__ = ("changed", "content", "pieces", "share")

    def __init__(self, request_id: str, deadline_ns: int, sent_ns: int, receive: Receive, share: Share) -> None:
        super().__init__(request_id, deadline_ns, sent_ns, receive)
        self.share = share
        self.pieces: deque[bytes] = deque()
        self.content = ""
        self.changed = asyncio.Event()

    def add(self, chunk: InvocationChunk) -> None:
        """A piece came. Pieces beyond the bound, or of another content than the first, end the call."""
        if self.future.done():
            return
        if len(self.pieces) >= MAX_PIECES or (self.content and chunk.content != self.content):
            self.end(Problem("internal", "the stream's pieces came too fast or changed their content"))
            return
        self.content = chunk.content
        self.share.add(len(chunk.payload))
        self.pieces.append(chunk.payload)
        self.changed.set()

    def end(self, outcome: Outcome) -> None:
        super().end(outcome)
        self.changed.set()


class Calls:
    """All calls under way, by request id, and the ids of those given up whose last message is still to come."""

    def __init__(self) -> None:
        self.table: dict[str, Call] = {}
        self._given_up: set[str] = set()

    def __len__(self) -> int:
        return len(self.table)

    def finished(self, message: InvocationResult | InvocationFailed) -> None:
        """The last message of a request came; one for a call that is over already is dropped."""
        self._given_up.discard(message.request_id)
        call = self.table.get(message.request_id)
        if call is not None:
            call.is_answered = True
            call.end(message)

    def is_taken(self, request_id: str) -> bool:
        """Whether an answer under this id may still come: it would be taken for that of a new call."""
        return request_id in self.table or request_id in self._given_up

    def give_up(self, call: Call) -> None:
        """Nobody waits for the call any more, but the LocalQueue has not answered it yet."""
        self._given_up.add(call.request_id)

    def chunk(self, message: InvocationChunk) -> None:
        """A piece of a streamed response came."""
        call = self.table.get(message.request_id)
        if isinstance(call, StreamCall):
            call.add(message)

    def fail_all(self, code: str, detail: str) -> None:
        """End every call under way with the same problem; no answers will come."""
        self._given_up.clear()
        for call in list(self.table.values()):
            call.end(Problem(code, detail))
            call.is_answered = True

    def sweep(self, now_ns: int, spawn: Callable[[Call], asyncio.Task[None]]) -> list[Call]:
        """End overdue calls and return them; watch the callers of those that take longer."""
        overdue = []
        for call in list(self.table.values()):
            if now_ns > call.deadline_ns + GRACE_NS:
                overdue.append(call)
                call.end(Problem("timeout", "no answer came before the deadline"))
            elif call.watcher is None and now_ns - call.sent_ns > WATCH_AFTER_NS:
                call.watcher = spawn(call)
        return overdue


def now_ns() -> int:
    """CLOCK_MONOTONIC, the clock of every deadline on this machine."""
    return time.monotonic_ns()
