"""The HTTP server: uvicorn inside the actor's event loop, without its signals, logs and lifespan.

Owns the listening socket's arrival (inherited from the node, or bound for itself) and the server's graceful end.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import resource
import socket
from collections.abc import Iterator, Mapping

import uvicorn

from actorfaas.config import Settings
from actorfaas.http.app import App
from actorfaas.http.connection import BoundedProtocol
from actorfaas.runtime.places import HTTP_BACKLOG, listening_http_socket

FD_VARIABLE = "ACTORFAAS_HTTP_FD"
"""Environment variable with the number of the listening socket that the node holds."""

KEEP_ALIVE_S = 75
CONNECTIONS_PER_CALL = 4
"""Open connections allowed for every call that may be under way; beyond them uvicorn answers 503 by itself."""


class _Server(uvicorn.Server):
    """uvicorn's server with signals left to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening_socket(settings: Settings, environment: Mapping[str, str] | None = None) -> socket.socket:
    """The node's socket when it gave one, else a new one bound to the settings' address. Raises ConfigError."""
    given = (os.environ if environment is None else environment).get(FD_VARIABLE, "")
    if given:
        sock = socket.socket(fileno=os.dup(int(given)))
        sock.setblocking(False)
        return sock
    return listening_http_socket(settings.host, settings.port)


def allow_many_files() -> None:
    """Raise the soft limit on descriptors to the hard one: every client is a descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class HttpServer:
    """One uvicorn server on one socket; `serve` runs until `stop` was called and the last response is out."""

    def __init__(self, app: App, sock: socket.socket, settings: Settings) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the application logs its failures itself
        self._sock = sock
        self.address: tuple[str, int] = sock.getsockname()[:2]
        self._server = _Server(
            uvicorn.Config(
                app,
                http=BoundedProtocol.bounded_by(settings),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=HTTP_BACKLOG,
                limit_concurrency=max(64, settings.max_in_flight * CONNECTIONS_PER_CALL),
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )

    @property
    def connections(self) -> int:
        """Client connections open now."""
        return len(self._server.server_state.connections)

    async def serve(self) -> None:
        """Accept and answer until stopped."""
        await self._server.serve(sockets=[self._sock])

    def stop(self, deadline_s: float) -> None:
        """Stop accepting; `serve` returns when every response is out, or cuts what is left at the deadline."""
        self._server.config.timeout_graceful_shutdown = max(1, math.ceil(deadline_s))
        self._server.should_exit = True

    def close(self) -> None:
        """Let go of the sockets at once, whatever `serve` was doing."""
        for server in getattr(self._server, "servers", ()):  # uvicorn sets it when it starts
            server.close()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        self._sock.close()
