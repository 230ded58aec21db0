"""A streamed response: pieces from a generator handler, passed on as the client takes them.

Owns the credit: a piece is credited to the LocalQueue once the client's connection took it, so a slow client slows
the handler down instead of filling memory.
"""

from __future__ import annotations

from collections.abc import Callable

from actorfaas.http.bodies import WAIT_ABOVE_BYTES, respond
from actorfaas.http.calls import Outcome, Send, StreamCall, now_ns
from actorfaas.http.problems import Headers
from actorfaas.messages import InvocationResult

CONTENT_TYPES = {
    "json": b"application/x-ndjson",
    "bytes": b"application/octet-stream",
    "text": b"text/plain; charset=utf-8",
}

Acknowledge = Callable[[int], None]


class Broken(Exception):
    """A response that had begun cannot be completed; the connection is cut so that the client can tell."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


async def first_event(call: StreamCall) -> Outcome:
    """Wait until a piece is there (None is returned) or the call ended without one (its outcome is)."""
    while not call.pieces:
        if call.future.done():
            return call.future.result()
        await _change(call)
    return None


async def forward(call: StreamCall, headers: Headers, send: Send, acknowledge: Acknowledge) -> InvocationResult:
    """Send the response of a call that has its first piece; back after its end. Raises Broken."""
    waited_ms = (now_ns() - call.sent_ns) / 1e6
    content_type = CONTENT_TYPES.get(call.content, CONTENT_TYPES["bytes"])
    start: Headers = [
        (b"content-type", content_type),
        (b"server-timing", b"first;dur=%.3f" % waited_ms),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": start})
    while True:
        if call.pieces:
            await _pass_on(call, send, acknowledge)
        elif call.future.done():
            outcome = call.future.result()
            if not isinstance(outcome, InvocationResult):
                raise Broken(outcome)
            await send({"type": "http.response.body", "body": b""})
            return outcome
        else:
            await _change(call)


async def _pass_on(call: StreamCall, send: Send, acknowledge: Acknowledge) -> None:
    count, size_bytes = len(call.pieces), sum(map(len, call.pieces))
    await send({"type": "http.response.body", "body": _joined(call), "more_body": True})
    if size_bytes > WAIT_ABOVE_BYTES:
        await send({"type": "http.response.body", "body": b"", "more_body": True})  # waits until that was taken
    call.share.give_back(size_bytes)
    acknowledge(count)


async def empty(request_headers: Headers, send: Send) -> None:
    """The response of a generator that yielded nothing."""
    headers: Headers = [(b"content-type", CONTENT_TYPES["json"]), (b"content-length", b"0"), *request_headers]
    await respond(send, 200, headers, b"")


async def _change(call: StreamCall) -> None:
    call.changed.clear()
    if not call.pieces and not call.future.done():
        await call.changed.wait()


def _joined(call: StreamCall) -> bytes:
    """All waiting pieces as one; each JSON value becomes a line."""
    pieces = list(call.pieces)
    call.pieces.clear()
    if call.content != "json":
        return b"".join(pieces)
    return b"\n".join([*pieces, b""])
