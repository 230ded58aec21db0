"""A client that calls when it is time, whether or not earlier calls were answered. One thread, epoll, keep-alive.

Latencies count from when a call was to be sent, so that a server that stalls is not spared the calls it held up.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.load import HEAD_END, Connection, address

ANSWER_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One call that was answered, or not (`status` 0). `head`: status line and headers."""

    intended_s: float
    latency_s: float
    status: int
    head: str


class OpenLoop:
    """Sends requests at given times to one server and gathers the answers."""

    def __init__(self, url: str) -> None:
        self._address = address(url)
        self._selector = selectors.DefaultSelector()
        self._free: list[Connection] = []
        self._sent: dict[Connection, float] = {}
        self.answers: list[Answer] = []
        self.most_at_once = 0

    def run(self, calls: Iterable[tuple[float, bytes]], every_s: float, look: Callable[[], None]) -> None:
        """Send each request at its time (in s from now, ascending) and wait for all answers; `look` now and then."""
        began = look_at = time.perf_counter()
        for at_s, request in calls:
            while (now := time.perf_counter()) < began + at_s:
                if now >= look_at:
                    look()
                    look_at += every_s
                self._take_in(max(0.0, min(began + at_s, look_at) - time.perf_counter()))
            self._send(request, began + at_s)
        deadline = time.perf_counter() + ANSWER_TIMEOUT_S
        while self._sent and time.perf_counter() < deadline:
            self._take_in(every_s)
            look()
        for intended in self._sent.values():
            self.answers.append(Answer(intended, ANSWER_TIMEOUT_S, 0, ""))
        for connection in (*self._free, *self._sent):
            connection.sock.close()
        self._selector.close()

    def _send(self, request: bytes, intended: float) -> None:
        self._take_in(0.0)  # a server closes connections that were idle for long
        connection = self._free.pop() if self._free else self._open()
        self._sent[connection] = intended
        self.most_at_once = max(self.most_at_once, len(self._sent))
        connection.send(request)

    def _open(self) -> Connection:
        connection = Connection(self._address)
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        return connection

    def _take_in(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            connection: Connection = key.data
            try:
                status = connection.receive()
            except ConnectionError:
                status = -1
            if status == 0:
                continue
            intended = self._sent.pop(connection, 0.0)
            if status > 0:
                self._free.append(connection)
            else:
                self._selector.unregister(connection.sock)
                connection.sock.close()
                if not intended:
                    self._free.remove(connection)
            if intended:
                head = connection.buffer.split(HEAD_END, 1)[0].decode("latin-1")
                self.answers.append(Answer(intended, time.perf_counter() - intended, max(0, status), head))
