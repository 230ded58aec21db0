"""Both ends of a channel for a test, over memory or over a real socket, with an owner that records."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from actorfaas import logs
from actorfaas.messages import Message
from actorfaas.runtime import memory
from actorfaas.runtime.channel import Connection, Credentials, attach

LOG = logs.get("test")


def trusting(credentials: Credentials) -> bool:
    """Talk to everybody."""
    return True


@dataclass
class RecordingOwner:
    """Keeps everything a connection reports; `on_ask` may answer."""

    messages: list[tuple[Message, int]] = field(default_factory=list)
    bursts: int = 0
    closed: list[Connection] = field(default_factory=list)
    on_ask: Callable[[Connection, Message, int], None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def message_arrived(self, connection: Connection, message: Message, ask_id: int) -> None:
        self.messages.append((message, ask_id))
        if ask_id and self.on_ask is not None:
            self.on_ask(connection, message, ask_id)
        self._changed.set()

    def burst_ended(self) -> None:
        self.bursts += 1

    def connection_closed(self, connection: Connection) -> None:
        self.closed.append(connection)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was recorded fulfils a condition."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_count(self, count: int) -> list[Message]:
        """Wait for `count` messages in all."""
        await self.until(lambda: len(self.messages) >= count)
        return [message for message, _ in self.messages]


@dataclass
class Ends:
    """Two connected ends."""

    here: Connection
    there: Connection
    here_owner: RecordingOwner
    there_owner: RecordingOwner

    async def close(self) -> None:
        """End both, and wait until each was told."""
        for connection in (self.here, self.there):
            connection.abort()
        await self.here_owner.until(lambda: bool(self.here_owner.closed))
        await self.there_owner.until(lambda: bool(self.there_owner.closed))


async def connected(kind: str, write_limit_bytes: int = 64 * 1024 * 1024) -> Ends:
    """Two ends joined by a channel of `kind`: memory or socket."""
    owners = RecordingOwner(), RecordingOwner()
    here, there = (
        Connection(name, owner, LOG, ask_timeout_s=5.0, write_limit_bytes=write_limit_bytes)
        for name, owner in zip(("there", "here"), owners, strict=True)
    )
    if kind == "memory":
        memory.connect(here, there)
    else:
        ours, theirs = socket.socketpair()
        await attach(here, ours)
        await attach(there, theirs)
    return Ends(here, there, *owners)
