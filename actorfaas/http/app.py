"""The ASGI application: the lean invoke path in front, Starlette's router with everything else behind:
the endpoints of `http.surface`, and the page.

Owns the request id and the guard of the ordinary endpoints, `OPTIONS` and 405 for all of them, and the last guard,
which turns an unexpected exception into a 500 with the request id that the log names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from actorfaas.http import headers as request_headers
from actorfaas.http.bodies import CallerGone, respond_problem
from actorfaas.http.calls import Event, Receive, Send
from actorfaas.http.exchange import Handler
from actorfaas.http.guard import Guard
from actorfaas.http.headers import HeaderMap
from actorfaas.http.invoke import PREFIX, Invoker, Scope
from actorfaas.http.page import Page
from actorfaas.http.problems import Problem
from actorfaas.http.surface import Operation, methods_by_path
from actorfaas.logs import Logger

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Probes come from anywhere, by address and without a token."""


def routes(handlers: dict[str, Handler]) -> list[Route]:
    """One Starlette route for every path of the table; the invoke path is served in front of them."""
    return [
        Route(path, _by_method(methods, handlers), methods=None, name=path)
        for path, methods in methods_by_path().items()
        if path != f"{PREFIX}{{name}}"
    ]


def handlers_of(groups: Sequence[object]) -> dict[str, Handler]:
    """Operation handlers by name, from the objects whose methods they are."""
    found: dict[str, Handler] = {}
    for methods in methods_by_path().values():
        for operation in methods.values():
            if operation.handler:
                owner = next(group for group in groups if hasattr(group, operation.handler))
                found[operation.handler] = getattr(owner, operation.handler)
    return found


class _by_method:  # noqa: N801 - used like a function; a class because Starlette then leaves methods to it
    """The endpoint of one path: picks the handler by method, answers OPTIONS, refuses the rest."""

    def __init__(self, methods: dict[str, Operation], handlers: dict[str, Handler]) -> None:
        self._handlers = {method: handlers[operation.handler] for method, operation in methods.items()}
        if "GET" in self._handlers:
            self._handlers["HEAD"] = self._handlers["GET"]
        self._allow = ", ".join([*self._handlers, "OPTIONS"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        handler = self._handlers.get(request.method)
        if handler is not None:
            response = await handler(request)
        elif request.method == "OPTIONS":
            response = Response(status_code=204, headers={"allow": self._allow})
        else:
            detail = f"{scope['path']} allows {self._allow}, not {request.method}"
            raise Problem("method_not_allowed", detail, headers=[(b"allow", self._allow.encode())])
        await response(scope, receive, send)


async def _no_such_path(scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Problem("not_found", f"there is nothing at {scope['path']}; GET /openapi.json describes this API")


class App:
    """What uvicorn calls for every request."""

    def __init__(self, invoker: Invoker, handlers: dict[str, Handler], guard: Guard, log: Logger) -> None:
        self._invoker = invoker
        every_route = [*routes(handlers), *Page().routes()]
        self._router = Router(every_route, redirect_slashes=False, default=_no_such_path)
        self._guard = guard
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"].startswith(PREFIX):
                await self._invoker(scope, receive, send)
            else:
                await self._ordinary(scope, receive, send)
        except asyncio.CancelledError:  # the process ends without grace, and the server would answer 500
            await _answer_instead(
                Problem("stopping", "the node stopped before this call was done"), scope, receive, send
            )
            raise
        except Exception as error:  # noqa: BLE001 - the guard of a request's task
            await self._failed(error, scope, receive, send)

    async def _ordinary(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: HeaderMap = dict(scope["headers"])
        request_id = request_headers.request_id(headers)
        own = (b"x-request-id", request_id.encode("ascii"))

        async def send_with_id(event: Event) -> None:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event["headers"], own]}
            await send(event)

        try:
            self._admit(scope["path"], headers)
            await self._router(scope, receive, send_with_id)
        except Problem as problem:
            await respond_problem(problem, request_id, headers, receive, send)
        except CallerGone:
            return

    def _admit(self, path: str, headers: HeaderMap) -> None:
        if path in OPEN_PATHS:
            return
        if path.startswith("/v1/"):
            self._guard.check(headers)
        else:
            self._guard.check_origin(headers)

    async def _failed(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_headers.request_id(dict(scope["headers"]))
        self._log.error("a request could not be handled", path=scope["path"], request_id=request_id, exc_info=error)
        problem = Problem("internal", f"the node failed on this request; its log has the reason under {request_id}")
        await _answer_instead(problem, scope, receive, send, request_id)


async def _answer_instead(problem: Problem, scope: Scope, receive: Receive, send: Send, request_id: str = "") -> None:
    """A problem in place of the response that will not come; when that had begun, the server cuts the connection."""
    headers: HeaderMap = dict(scope["headers"])
    try:
        await respond_problem(problem, request_id or request_headers.request_id(headers), headers, receive, send)
    except (RuntimeError, asyncio.InvalidStateError):
        return
