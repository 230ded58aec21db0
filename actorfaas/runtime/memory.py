"""A channel through memory instead of a socket, for tests: the same `Connection`, another transport.

Bytes arrive at the other end in a later callback of the event loop, in order, as they would from a socket.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque

from actorfaas.runtime.channel import Connection, Credentials

_PIECE_BYTES = 256 * 1024
"""What is received at once at most: as from a socket, frames come together and cut in pieces."""


class MemoryTransport:
    """One direction of a memory channel: what is written here is received by `receiver`."""

    def __init__(self, sender: Connection, receiver: Connection) -> None:
        self._loop = asyncio.get_running_loop()
        self._sender = sender
        self._receiver = receiver
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._high = 64 * 1024
        self._congested = False
        self._closing = False
        self._scheduled = False
        self._receiver_paused = False
        self._ended = False
        self.opposite: MemoryTransport

    def write(self, data: bytes, /) -> None:
        if self._closing or not data:
            return
        self._chunks.append(data)
        self._size += len(data)
        if self._size > self._high and not self._congested:
            self._congested = True
            self._sender.pause_writing()
        self._schedule()

    def writelines(self, list_of_data: list[bytes], /) -> None:
        for data in list_of_data:
            self.write(data)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._schedule()

    def abort(self) -> None:
        self._chunks.clear()
        self._size = 0
        self.close()

    def pause_reading(self) -> None:
        self.opposite._receiver_paused = True

    def resume_reading(self) -> None:
        self.opposite._receiver_paused = False
        self.opposite._schedule()

    def get_write_buffer_size(self) -> int:
        return self._size

    def set_write_buffer_limits(self, high: int) -> None:
        self._high = high

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        while self._chunks and not self._receiver_paused:
            data = b"".join(self._chunks)
            self._chunks.clear()
            if len(data) > _PIECE_BYTES:
                self._chunks.append(data[_PIECE_BYTES:])
                data = data[:_PIECE_BYTES]
            self._size -= len(data)
            self._receiver.data_received(data)
        if self._congested and self._size <= self._high // 4:
            self._congested = False
            self._sender.resume_writing()
        if self._closing and not self._chunks:
            self._end()

    def _end(self) -> None:
        """Both ends learn of the close, as with a socket; what the other one still had to write is lost."""
        for transport in (self, self.opposite):
            if not transport._ended:
                transport._ended = True
                transport._closing = True
                transport._chunks.clear()
                self._loop.call_soon(transport._sender.connection_lost, None)


def connect(one: Connection, other: Connection) -> None:
    """Join two connections that have no transport yet."""
    forth, back = MemoryTransport(one, other), MemoryTransport(other, one)
    forth.opposite, back.opposite = back, forth
    for connection in (one, other):
        connection.credentials = Credentials(os.getpid(), os.geteuid(), os.getegid())
    one.connection_made(forth)
    other.connection_made(back)
