"""One keep-alive HTTP/1.1 connection with at most one call under way; httptools parses what comes.

A protocol of its own, because a call then costs 11 µs of this process's time (uvloop, 16 connections): it can ask for
all that a plain uvicorn answers, as wrk does, where aiohttp takes 54 µs and can ask for a third of that.
"""

from __future__ import annotations

import asyncio
import re
from typing import Protocol, cast

import httptools

from actorfaas.load.plan import Call

KEPT_ERROR_BYTES = 4096
_KIND = re.compile(rb'start;dur=[\d.]+;desc="([\w-]+)"').search


class Owner(Protocol):
    """What a connection tells about its call."""

    def connected(self, connection: Connection) -> None:
        """It can be used; its call is still to be sent."""

    def answered(self, connection: Connection, reusable: bool) -> None:
        """The response is complete: `status`, `kind`, and `body` if it is an error."""

    def lost(self, connection: Connection, reason: str) -> None:
        """It ended; `call` has no answer, unless there was none under way."""


class Connection(asyncio.Protocol):
    """A connection and the call it is busy with."""

    __slots__ = (
        "_framed",
        "_head_done",
        "_owner",
        "_parser",
        "_transport",
        "body",
        "call",
        "intended_s",
        "kind",
        "sent_s",
        "status",
        "timing",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._head_done = self._framed = False
        self.call: Call | None = None
        self.intended_s = self.sent_s = 0.0
        self.status = 0
        self.kind = ""
        self.timing = b""
        self.body = b""

    def send(self, call: Call, now: float) -> None:
        """Begin a call. The connection must be open and idle."""
        assert self._transport is not None
        self.call = call
        self.sent_s = now
        self.status = 0
        self._transport.write(call.request)

    def close(self) -> None:
        """End it at once; `lost` follows."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._transport is not None and not self._transport.is_closing()

    # --- asyncio ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # not the server's mistake
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._end(f"not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        if self.call is not None and self._head_done and not self._framed and error is None:
            self._owner.answered(self, False)  # a response without a length ends with its connection
            return
        self._end(f"connection lost: {error}" if error else "connection closed before the answer")

    def _end(self, reason: str) -> None:
        self._owner.lost(self, reason)
        self.close()

    # --- httptools --------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A response begins."""
        self._head_done = self._framed = False
        self.kind = ""
        self.timing = self.body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take how the instance was obtained, and whether the body has an end of its own."""
        length = len(name)
        if length == 13 and name.lower() == b"server-timing":
            self.timing = value
            found = _KIND(value)
            self.kind = found[1].decode("ascii") if found else ""
        elif length in (14, 17) and name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head_done = True
        self.status = self._parser.get_status_code()
        self._framed = self._framed or self.status in (204, 304)

    def on_body(self, body: bytes) -> None:
        """Keep the begin of an error's description."""
        if self.status >= 400 and len(self.body) < KEPT_ERROR_BYTES:
            self.body += body[:KEPT_ERROR_BYTES]

    def on_message_complete(self) -> None:
        """The response is complete, unless it was an interim one."""
        if self.status >= 200 and self.call is not None:
            self._owner.answered(self, self._parser.should_keep_alive())
