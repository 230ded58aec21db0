"""One client's connection: uvicorn's protocol, with bounds on the size and the time of a request's head.

uvicorn bounds neither, so that a client could make the node hold any number of header bytes, or hold connections for
ever without asking for anything. Bodies have their own bounds (`http.bodies`), idle connections uvicorn's keep-alive.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from actorfaas.http.problems import Problem
from actorfaas.ids import new_id

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; up to one read more may pass, because what came in it is not told apart."""

HEAD_TIMEOUT_S = 30.0
"""How long a client may take for a head, from the moment it is its turn: connected, or answered before."""


class BoundedProtocol(HttpToolsProtocol):
    """See the module. A head that arrives in one piece, as nearly all do, costs no timer."""

    _in_head = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            self._forget_head()
        elif self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        elif self._head_timer is None and self._is_its_turn():
            self._watch_head()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0
        self._forget_head()

    def _is_its_turn(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _watch_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        if not self._is_its_turn():
            self.transport.abort()
            return
        detail = f"request line and headers exceed {MAX_HEAD_BYTES} bytes"
        status, headers, body = Problem("head_too_large", detail).response(new_id("req"))
        lines = [STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers), b"connection: close\r\n\r\n"]
        self.transport.write(b"".join([*lines, body]))
        self.transport.close()
