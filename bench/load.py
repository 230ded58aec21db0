"""A closed-loop HTTP/1.1 client for benchmarks: one thread, epoll, keep-alive connections, almost no work per call.

The same client measures the platform and its peers, so its own cost (about 10 µs a call, `python -m bench.load`
prints it) is in every figure alike. It knows just enough HTTP: a status line and Content-Length.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"
ANSWER_TIMEOUT_S = 10.0


@dataclass
class Outcome:
    """Latencies of the calls that were answered 2xx, in seconds, and the number of others by status."""

    latencies_s: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0

    @property
    def rate(self) -> float:
        """Successful calls per second."""
        return len(self.latencies_s) / self.elapsed_s if self.elapsed_s else 0.0


class Connection:
    """One keep-alive connection with at most one request under way."""

    __slots__ = ("buffer", "expected", "sent_at", "sock")

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address, timeout=ANSWER_TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.expected = -1
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.buffer = b""
        self.expected = -1
        self.sent_at = time.perf_counter()
        self.sock.sendall(request)

    def receive(self) -> int:
        """Take what has arrived; the status once the response is complete, else 0. Raises ConnectionError."""
        data = self.sock.recv(1 << 18)
        if not data:
            raise ConnectionError("closed by the server")
        self.buffer = self.buffer + data if self.buffer else data
        if self.expected < 0:
            head = self.buffer.find(HEAD_END)
            if head < 0:
                return 0
            self.expected = head + 4 + _content_length(self.buffer[:head])
        return int(self.buffer[9:12]) if len(self.buffer) >= self.expected else 0


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    position = lowered.find(b"content-length:")
    if position < 0:
        raise ConnectionError("a response without Content-Length")
    return int(lowered[position + 15 :].split(b"\r\n", 1)[0])


def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of one POST request."""
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + HEAD_END + body


def run(url: str, request: bytes, connections: int, duration_s: float, max_calls: int = 0) -> Outcome:
    """Keep `connections` calls under way for `duration_s` (or until `max_calls` were sent)."""
    outcome = Outcome()
    opened: dict[int, Connection] = {}
    try:
        for _ in range(connections):
            connection = Connection(address(url))
            opened[connection.sock.fileno()] = connection
        started = time.perf_counter()
        _keep_busy(opened, request, started + duration_s, max_calls, outcome)
        outcome.elapsed_s = time.perf_counter() - started
    finally:
        for connection in opened.values():
            connection.sock.close()
    return outcome


def one_by_one(url: str, request: bytes, calls: int) -> Iterator[tuple[float, str]]:
    """Calls over one connection: of each, how long it took in ms, and the head of the response. Raises ConnectionError
    for anything but 2xx."""
    connection = Connection(address(url))
    with connection.sock:
        for _ in range(calls):
            connection.send(request)
            while (status := connection.receive()) == 0:
                pass
            took_ms = (time.perf_counter() - connection.sent_at) * 1000
            if not 200 <= status < 300:
                raise ConnectionError(f"{url}: {status}")
            yield took_ms, connection.buffer.split(HEAD_END, 1)[0].decode("latin-1")


def _keep_busy(
    opened: dict[int, Connection], request: bytes, deadline: float, max_calls: int, outcome: Outcome
) -> None:
    """Send on every connection, and again on each as soon as it has its answer, until the deadline."""
    with select.epoll() as poller:
        for fd, connection in opened.items():
            poller.register(fd, select.EPOLLIN)
            connection.send(request)
        sent = pending = len(opened)
        while pending:
            events = poller.poll(ANSWER_TIMEOUT_S)
            if not events:
                outcome.failures[f"no answer in {ANSWER_TIMEOUT_S:g} s"] = pending
                return
            for fd, _ in events:
                connection = opened[fd]
                status = _received(connection, outcome)
                if status == 0:
                    continue
                now = time.perf_counter()
                if 200 <= status < 300:
                    outcome.latencies_s.append(now - connection.sent_at)
                if status > 0 and now < deadline and (not max_calls or sent < max_calls):
                    connection.send(request)
                    sent += 1
                else:
                    pending -= 1
                    poller.unregister(fd)


def address(url: str) -> tuple[str, int]:
    """What to connect to."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def _received(connection: Connection, outcome: Outcome) -> int:
    """The response's status, 0 while incomplete, -1 when the connection is lost."""
    try:
        status = connection.receive()
    except ConnectionError as error:
        outcome.failures[str(error)] = outcome.failures.get(str(error), 0) + 1
        return -1
    if status and not 200 <= status < 300:
        outcome.failures[str(status)] = outcome.failures.get(str(status), 0) + 1
    return status


def main() -> None:
    """Print this client's own cost: calls against a server thread that answers without looking."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        request = post(url, b"null")
        if os.fork() == 0:
            served, _ = listener.accept()
            while served.recv(1 << 16):
                served.sendall(answer)
            os._exit(0)
        before = time.process_time()
        outcome = run(url, request, connections=1, duration_s=2.0)
        cost = (time.process_time() - before) / len(outcome.latencies_s)
        os.wait()
    print(f"{outcome.rate:,.0f} calls/s against a bare socket; {cost * 1e6:.1f} µs of processor time a call")


if __name__ == "__main__":
    main()
