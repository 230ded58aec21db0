"""Request bodies and responses over raw ASGI: collected under a limit, sent in two events.

Owns the limits on the size and the time of a body, and the lingering close after one that is too large. How much
all of them may hold together is `http.budget`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from actorfaas.http.budget import Share
from actorfaas.http.calls import Receive, Send
from actorfaas.http.headers import HeaderMap
from actorfaas.http.problems import Headers, Problem

LINGER_S = 2.0
LINGER_BYTES = 64 * 1024 * 1024
"""How much of a refused body is still read and thrown away, so that the client sees the answer and not a reset."""

WAIT_ABOVE_BYTES = 64 * 1024
"""What is larger than this stays with the request until the client has taken it, instead of with the connection."""

CLOSE = (b"connection", b"close")


class CallerGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one body."""

    size_bytes: int
    timeout_s: float


async def collect(receive: Receive, headers: HeaderMap, limits: Limits, share: Share) -> bytes:
    """The whole body, held in `share`. Raises Problem "body_too_large", "body_timeout" or "overloaded", or
    CallerGone."""
    parts = []
    async for part in pieces(receive, headers, limits):
        share.take(len(part))
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def pieces(receive: Receive, headers: HeaderMap, limits: Limits) -> AsyncIterator[bytes]:
    """The body as it arrives, refused as soon as it is known to be too large. Raises Problem "body_too_large" or
    "body_timeout", or CallerGone."""
    announced = headers.get(b"content-length")
    limit_bytes = limits.size_bytes
    if announced is not None and int(announced) > limit_bytes:
        raise _too_large(limit_bytes)
    deadline_s = asyncio.get_running_loop().time() + limits.timeout_s
    received = 0
    more = True
    while more:
        try:
            async with asyncio.timeout_at(deadline_s):
                event = await receive()
        except TimeoutError:
            raise Problem("body_timeout", f"the body was not complete after {limits.timeout_s:g} s") from None
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
    """A complete response; after a large one, back when the client has taken it."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if len(body) > WAIT_ABOVE_BYTES:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        body = b""  # sending on waits until the connection takes more
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
