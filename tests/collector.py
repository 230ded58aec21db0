"""A collector of OpenTelemetry for tests: a real HTTP server that keeps the spans it takes and answers as told."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = Any  # a decoded JSON document


class Collector(ThreadingHTTPServer):
    """`statuses`: how the next requests are answered, then 200. While `goes_on` is not set, none is answered at all.
    `spans`: those of requests answered with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: deque[int] = deque()
        self.rejects = 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.arrived = threading.Semaphore(0)
        self.requests: list[tuple[dict[str, str], list[Json]]] = []
        self.spans: list[Json] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that did not wait for its answer is nothing to report."""

    @property
    def url(self) -> str:
        """Where it takes traces."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    @property
    def names(self) -> set[str]:
        """Of the spans it took."""
        return {str(span["name"]) for span in self.spans}


class _Handler(BaseHTTPRequestHandler):
    server: Collector
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))
        (resource,) = document["resourceSpans"]
        spans = resource["scopeSpans"][0]["spans"]
        self.server.requests.append((dict(self.headers.items()), spans))
        self.server.arrived.release()
        self.server.goes_on.wait()
        status = self.server.statuses.popleft() if self.server.statuses else 200
        if status == 200:
            self.server.spans += spans
        answer = json.dumps({"partialSuccess": {"rejectedSpans": str(self.server.rejects)}}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing on the tests' output."""


@contextmanager
def collector() -> Iterator[Collector]:
    """One that runs."""
    with Collector() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.goes_on.set()
            made.shutdown()
            thread.join()
