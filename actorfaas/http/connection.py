"""One client's connection: uvicorn's protocol, with bounds on what a slow client can hold.

uvicorn bounds neither the size nor the time of a request's head, nor the time of a body that nobody reads (any more),
nor that of a response: so a client could make the node hold any number of header bytes, or hold connections and
results for ever. Bodies that are read have their own bounds (`http.bodies`), idle connections uvicorn's keep-alive.
"""

from __future__ import annotations

import asyncio
import socket
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from actorfaas.config import Settings
from actorfaas.http.problems import Problem
from actorfaas.ids import new_id

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; up to one read more may pass, because what came in it is not told apart."""

MOST_USER_TIMEOUT_MS = 2**31 - 1
"""More does not fit into the option of a socket (tcp(7), TCP_USER_TIMEOUT)."""

HEAD, REST, STALL = "head", "rest", "stall"
"""Timers: for the head that comes, for the rest of a body that nobody reads, for a response that nobody takes."""


class BoundedProtocol(HttpToolsProtocol):
    """See the module. What arrives and leaves in one piece, as nearly everything does, costs no timer.

    `head_timeout_s`: for a head, from the moment it is the client's turn: connected, or answered before.
    `body_timeout_s`: for the rest of a body after its answer. `stall_timeout_s`: in which something of a response must
    be taken.
    """

    head_timeout_s: ClassVar[float]
    body_timeout_s: ClassVar[float]
    stall_timeout_s: ClassVar[float]

    _in_head = True
    _has_begun = False
    _head_bytes = 0

    @classmethod
    def bounded_by(cls, settings: Settings) -> type[BoundedProtocol]:
        """The protocol with the time limits of a node; uvicorn makes one for every connection."""
        limits = ("head_timeout_s", "body_timeout_s", "stall_timeout_s")
        return type(cls.__name__, (cls,), {limit: getattr(settings, limit) for limit in limits})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        # What the kernel holds is not seen here. It gives a connection up on which nothing is taken for so long: of a
        # viewer that stopped reading, megabytes would fit before writing stalls.
        timeout_ms = min(int(self.stall_timeout_s * 1000), MOST_USER_TIMEOUT_MS)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for name in tuple(self._timers):
            self._end(name)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            self._end(HEAD)
        elif self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        elif HEAD not in self._timers and self._is_its_turn():
            self._watch_head()

    def on_message_begin(self) -> None:
        self._in_head = self._has_begun = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if not self.flow.write_paused:
            self._end(STALL)  # it goes on talking, and the next response is another one
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._has_begun = False
        self._head_bytes = 0
        self._end(HEAD)
        self._end(REST)

    def on_response_complete(self) -> None:
        if not self._in_head and not self.pipeline and REST not in self._timers:
            self._timers[REST] = self.loop.call_later(self.body_timeout_s, self.transport.abort)
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._watch_write()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_write()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end(STALL)

    def _is_its_turn(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _watch_head(self) -> None:
        self._timers[HEAD] = self.loop.call_later(self.head_timeout_s, self._head_is_late)

    def _watch_write(self) -> None:
        self._end(STALL)
        unsent = self.transport.get_write_buffer_size()
        self._timers[STALL] = self.loop.call_later(self.stall_timeout_s, self._check_write, unsent)

    def _check_write(self, unsent_before: int) -> None:
        """Nothing is added while writing is paused, nor between a response and the next request: so a buffer that did
        not shrink means that nothing was taken."""
        unsent = self.transport.get_write_buffer_size()
        if unsent >= unsent_before > 0:
            self.transport.abort()
        elif unsent:
            self._watch_write()

    def _end(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _head_is_late(self) -> None:
        if self._has_begun:
            detail = f"the request's head was not complete after {self.head_timeout_s:g} s"
            self._refuse(Problem("head_timeout", detail))
        else:
            self.transport.abort()  # it has asked for nothing yet

    def _refuse_head(self) -> None:
        if self._is_its_turn():
            self._refuse(Problem("head_too_large", f"request line and headers exceed {MAX_HEAD_BYTES} bytes"))
        else:
            self.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        status, headers, body = problem.response(new_id("req"))
        lines = [STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers), b"connection: close\r\n\r\n"]
        self.transport.write(b"".join([*lines, body]))
        self.transport.close()
