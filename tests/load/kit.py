"""What tests of load share: answers that were never sent, what a run of them found, a server that does as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from actorfaas.load import arrivals
from actorfaas.load.plan import Call, Closed, Endpoint, Plan, Target
from actorfaas.load.tally import Outcome, Tally

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"
TARGETS = (Target("a<b", (b"",)), Target("c", (b"",), 2.0))


@dataclass
class Told:
    """An answer as a tally sees it."""

    kind: str


def answered(
    tally: Tally,
    *,
    at_s: float = 0.0,
    late_s: float = 0.0,
    latency_s: float = 0.001,
    target: int = 0,
    kind: str = "",
    error: str = "",
) -> None:
    """Tell a tally of one call."""
    intended_s = tally.begin_s + at_s
    call = Call(at_s, target, b"")
    tally.ended(call, intended_s, intended_s + late_s, intended_s + latency_s, Told(kind), error)


def outcome(*, is_open: bool = True, calls: int = 200) -> Outcome:
    """A run of ten seconds, with slow calls and failures."""
    how = arrivals.parse("poisson 20/s 10s") if is_open else Closed(2, 10.0)
    plan = Plan(Endpoint("127.0.0.1", 80), TARGETS, how)
    tally = Tally(plan.width_s, plan.late_s, 50.0, is_open)
    for number in range(calls):
        kind = ("resident", "swapped")[number % 10 == 0]
        error = "500 <function_failed>" if number % 50 == 0 else ""
        answered(tally, at_s=number / 20, latency_s=0.001 * (number + 1), target=number % 2, kind=kind, error=error)
    return Outcome(plan, tally, 0.0, [0.2])


Handler = Callable[["Server", bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Hands each request (head and body, which must come at once) to a handler, on keep-alive connections."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while request := await reader.read(1 << 16):
                self.requests.append(request)
                await self._handler(self, request, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    """A server on a free port."""
    server = Server(handler)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def replying(answer: bytes) -> Handler:
    """Give everybody the same answer."""

    async def reply(server: Server, request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return reply
