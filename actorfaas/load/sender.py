"""Calls over a pool of connections, in one process: what is sent, what comes back, what never does.

Owns connections, their bound, time limits and what an error is called. When a call is made is its caller's decision
(`engine`); what became of it goes to a `Sink`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Protocol

from actorfaas.load.connection import Connection
from actorfaas.load.plan import TIMED_OUT, UNFINISHED, Call, Endpoint

SWEEP_S = 0.1
"""How often calls are looked through for those over their time limit."""


class Sink(Protocol):
    """Takes what became of calls. Times are those of `time.monotonic`."""

    def ended(self, call: Call, intended_s: float, sent_s: float, now: float, answer: Connection, error: str) -> None:
        """A call that was sent ended. `answer`: its `status` (0: none) and `kind`. `error`: "" for 2xx and 3xx."""

    def dropped(self, call: Call) -> None:
        """A call that was due was not sent: too many had no answer yet."""


class Sender:
    """Sends each call on an idle connection, or on a new one."""

    def __init__(self, endpoint: Endpoint, sink: Sink, most_outstanding: int, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._sink = sink
        self._bound = most_outstanding
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context() if endpoint.tls else None
        self._address: tuple[str, int] = (endpoint.host, endpoint.port)
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._none_busy = asyncio.Event()
        self._sweeper: asyncio.TimerHandle | None = None
        self.on_end: Callable[[bool], None] = lambda answered: None
        self.most_at_once = 0

    async def prepare(self) -> None:
        """Look the host up, once. Raises OSError."""
        found = await self._loop.getaddrinfo(self._endpoint.host, self._endpoint.port, type=1)
        host, port = found[0][4][:2]
        self._address = (str(host), int(port))
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    async def connect(self, count: int) -> None:
        """Open so many connections ahead of calls; what fails here is tried again by the first call."""
        await asyncio.gather(*(self._open(Connection(self)) for _ in range(count)))

    @property
    def outstanding(self) -> int:
        """Calls that have no answer yet."""
        return len(self._busy)

    def send(self, call: Call, intended_s: float, now: float) -> bool:
        """Make a call, unless too many are under way; returns whether it was sent."""
        if len(self._busy) >= self._bound:
            self._sink.dropped(call)
            return False
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                connection.intended_s = intended_s
                self._take(connection)
                connection.send(call, now)
                return True
        connection = Connection(self)
        connection.call, connection.intended_s, connection.sent_s = call, intended_s, now
        self._take(connection)
        self.spawn(self._open(connection), "load: open a connection")
        return True

    def spawn(self, coroutine: Coroutine[object, object, None], name: str) -> None:
        """Run something beside the calls, until `close`."""
        task = self._loop.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, limit_s: float) -> None:
        """Wait until every call has ended, at most so long; the others are `unfinished`."""
        if self._busy:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._none_busy.wait(), limit_s)
        for connection in list(self._busy):
            self._fail(connection, UNFINISHED)

    async def close(self) -> None:
        """Close every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)  # connections are told that they are closed

    # --- Owner of the connections -----------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        """Send what the connection was opened for."""
        if connection.call is None:  # opened ahead, or what it was opened for took too long
            self._idle.append(connection)
        else:
            connection.send(connection.call, connection.sent_s)

    def answered(self, connection: Connection, reusable: bool) -> None:
        """Give the answer to the sink and the connection back to the pool."""
        now = time.monotonic()
        call = connection.call
        assert call is not None
        error = error_of(connection) if connection.status >= 400 else ""
        self._release(connection)
        if reusable:
            self._idle.append(connection)
        else:
            connection.close()
        self._sink.ended(call, connection.intended_s, connection.sent_s, now, connection, error)
        self.on_end(True)

    def lost(self, connection: Connection, reason: str) -> None:
        """A connection ended: idle, or before its call was answered."""
        if connection.call is not None:
            self._fail(connection, reason)

    # --- own --------------------------------------------------------------------------------------------------------

    def _take(self, connection: Connection) -> None:
        self._busy.add(connection)
        self._none_busy.clear()
        self.most_at_once = max(self.most_at_once, len(self._busy))

    def _release(self, connection: Connection) -> None:
        connection.call = None
        self._busy.discard(connection)
        if not self._busy:
            self._none_busy.set()

    async def _open(self, connection: Connection) -> None:
        host, port = self._address
        name = self._endpoint.host if self._tls else None
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._loop.create_connection(lambda: connection, host, port, ssl=self._tls, server_hostname=name)
        except OSError as error:
            if connection.call is not None:
                timed_out = isinstance(error, TimeoutError)
                self._fail(connection, TIMED_OUT if timed_out else f"cannot connect: {error.strerror or error}")

    def _fail(self, connection: Connection, reason: str) -> None:
        call = connection.call
        assert call is not None
        connection.status = 0
        connection.kind = ""
        self._release(connection)
        connection.close()
        self._sink.ended(call, connection.intended_s, connection.sent_s, time.monotonic(), connection, reason)
        self.on_end(False)

    def _sweep(self) -> None:
        over = time.monotonic() - self._timeout_s
        for connection in [one for one in self._busy if one.sent_s <= over]:
            self._fail(connection, TIMED_OUT)
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


def error_of(answer: Connection) -> str:
    """What an error response is called: its status, and if it is a problem document (RFC 9457) the end of its type."""
    try:
        kind = json.loads(answer.body)["type"]
    except (ValueError, KeyError, TypeError):
        return str(answer.status)
    return f"{answer.status} {kind.rpartition(':')[2]}" if isinstance(kind, str) else str(answer.status)
