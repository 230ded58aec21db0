"""An HTTP server on a real socket that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = Any  # any document

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What to answer. `pieces` are sent as chunks; `cut` closes the connection without the final one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] | None = None
    cut: bool = False
    hold: threading.Event | None = None


def document(value: Json, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; `X_Request_Id="r"` becomes the header X-Request-Id."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), JSON | given)


def problem(status: int, code: str, detail: str, **members: Json) -> Reply:
    """A problem document."""
    body = {"type": f"urn:actorfaas:problem:{code}", "title": code, "status": status, "detail": detail, **members}
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/problem+json"})


class _Server(ThreadingHTTPServer):
    """One that does not print what clients do that close their connection early: it would be in a command's output."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # as the base class has them
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeNode:
    """Answers by (method, path): a list of replies, the last of which stays. Everything else is 404."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._replies: dict[tuple[str, str], deque[Reply]] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                fake._answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815  # http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def on(self, method: str, path: str, *replies: Reply) -> None:
        """Answer like this from now on."""
        self._replies[method, path] = deque(replies)

    @property
    def last(self) -> Asked:
        """The latest request."""
        return self.asked[-1]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        query = dict(parse_qsl(parts.query))
        self.asked.append(Asked(handler.command, parts.path, query, dict(handler.headers.items()), body))
        replies = self._replies.get((handler.command, parts.path))
        reply = problem(404, "not_found", f"nothing at {parts.path}")
        if replies:
            reply = replies.popleft() if len(replies) > 1 else replies[0]
        if reply.hold is not None:
            reply.hold.wait(30)
        _send(handler, reply)

    @contextmanager
    def running(self) -> Iterator[FakeNode]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name="fake node")
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if reply.pieces is None:
        handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)
        return
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for piece in reply.pieces:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        handler.wfile.flush()
    if reply.cut:
        handler.close_connection = True
    else:
        handler.wfile.write(b"0\r\n\r\n")
