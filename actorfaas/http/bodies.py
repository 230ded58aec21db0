"""Request bodies and responses over raw ASGI: collected under a limit, sent in two events.

Owns the limits on what a client may make the node hold, and the lingering close after a body that is too large.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from actorfaas.http.calls import Receive, Send
from actorfaas.http.headers import HeaderMap
from actorfaas.http.problems import Headers, Problem

BODY_TIMEOUT_S = 60.0
"""An invocation's body that takes longer than this is given up."""

LINGER_S = 2.0
LINGER_BYTES = 64 * 1024 * 1024
"""How much of a refused body is still read and thrown away, so that the client sees the answer and not a reset."""

CLOSE = (b"connection", b"close")


class CallerGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


async def collect(receive: Receive, headers: HeaderMap, limit_bytes: int) -> bytes:
    """The whole body. Raises Problem "body_too_large" or "body_timeout", or CallerGone."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            parts = [part async for part in pieces(receive, headers, limit_bytes)]
    except TimeoutError:
        raise Problem("body_timeout", f"the body was not complete after {BODY_TIMEOUT_S:.0f} s") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def pieces(receive: Receive, headers: HeaderMap, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives, refused as soon as it is known to be too large. Raises like `collect`."""
    announced = headers.get(b"content-length")
    if announced is not None and int(announced) > limit_bytes:
        raise _too_large(limit_bytes)
    received = 0
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise CallerGone
        body: bytes = event.get("body", b"")
        more = event.get("more_body", False)
        received += len(body)
        if received > limit_bytes:
            raise _too_large(limit_bytes)
        yield body


def _too_large(limit_bytes: int) -> Problem:
    return Problem("body_too_large", f"the request body exceeds this node's limit of {limit_bytes} bytes")


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A complete response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_problem(problem: Problem, request_id: str, headers: HeaderMap, receive: Receive, send: Send) -> None:
    """A problem as the response; after one about the body's size the rest of the body is read and dropped."""
    status, response_headers, body = problem.response(request_id)
    if problem.code not in ("body_too_large", "body_timeout", "stopping"):
        await respond(send, status, response_headers, body)
        return
    response_headers.append(CLOSE)
    await send({"type": "http.response.start", "status": status, "headers": response_headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if problem.code == "body_too_large" and b"expect" not in headers:
        await _drop_rest(receive)
    await send({"type": "http.response.body", "body": b""})


async def _drop_rest(receive: Receive) -> None:
    dropped = 0
    try:
        async with asyncio.timeout(LINGER_S):
            while dropped < LINGER_BYTES:
                event = await receive()
                if event["type"] == "http.disconnect" or not event.get("more_body", False):
                    return
                dropped += len(event.get("body", b""))
    except TimeoutError:
        return
