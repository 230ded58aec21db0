"""The engine against a server of known behaviour: what is sent, when, and what becomes of it. Counts, not times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from actorfaas.load import arrivals
from actorfaas.load.engine import Engine
from actorfaas.load.http_requests import render
from actorfaas.load.plan import TIMED_OUT, Closed, Endpoint, Plan, Target
from actorfaas.load.tally import Tally
from tests.load.kit import OK, Server, replying, serving

TIMED = (
    b'HTTP/1.1 200 OK\r\nServer-Timing: queue;dur=0.1, page-in;dur=2.0, start;dur=0.3;desc="prefetched", run;dur=1\r\n'
    b"Transfer-Encoding: chunked\r\n\r\n4\r\nnull\r\n0\r\n\r\n"
)
PROBLEM = b'{"status": 429, "type": "urn:actorfaas:problem:queue_full"}'
REFUSED = b"HTTP/1.1 429 No\r\nContent-Length: %d\r\n\r\n%b" % (len(PROBLEM), PROBLEM)


def plan(server: Server, spec: str | Closed, *, outstanding: int = 1000, timeout_s: float = 30.0) -> Plan:
    how = arrivals.parse(spec) if isinstance(spec, str) else spec
    target = Target("x", (render("POST", server.url, b"null"),))
    return Plan(Endpoint.of(server.url), (target,), how, most_outstanding=outstanding, timeout_s=timeout_s)


async def run(made: Plan) -> Tally:
    begin_s = time.monotonic()
    tally = Tally(made.width_s, made.late_s, begin_s, made.is_open)
    await Engine(made, 0, tally).run(begin_s)
    return tally


class Holding:
    """Answers nobody until so many have asked, then all of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: list[asyncio.StreamWriter] = []

    async def __call__(self, server: Server, request: bytes, writer: asyncio.StreamWriter) -> None:
        self._waiting.append(writer)
        if len(self._waiting) == self._count:
            for one in self._waiting:
                one.write(OK)


async def test_every_call_is_sent_and_answered() -> None:
    async with serving(replying(OK)) as server:
        tally = await run(plan(server, "poisson 2000/s 200ms"))
    assert tally.sent == tally.ok == len(server.requests) > 200
    assert tally.failed == tally.dropped_count == tally.unfinished == 0
    assert server.requests[0].startswith(b"POST / HTTP/1.1\r\n")


async def test_calls_do_not_wait_for_others_answers() -> None:
    async with serving(Holding(20)) as server:
        tally = await run(plan(server, "constant 1000/s 20ms"))
    assert tally.ok == 20
    assert server.connections == 20


async def test_those_beyond_the_bound_are_dropped() -> None:
    async with serving(Holding(5)) as server:
        tally = await run(plan(server, "burst 8 every 1s 1s", outstanding=5))
    assert (tally.ok, tally.dropped_count) == (5, 3)
    assert len(server.requests) == 5


async def test_connections_are_used_again() -> None:
    async with serving(replying(OK)) as server:
        tally = await run(plan(server, Closed(2, 30.0, calls=50)))
    assert tally.ok == len(server.requests) == 50
    assert server.connections == 2


async def test_a_stall_counts_from_the_intended_start() -> None:
    async with serving(Holding(1)) as server:
        made = plan(server, "burst 1 every 1s 1s")
        begin_s = time.monotonic() - 1000.0  # the generator comes very late
        tally = Tally(made.width_s, made.late_s, begin_s)
        await asyncio.wait_for(Engine(made, 0, tally).run(begin_s), 10)
    assert tally.late == 1
    assert tally.latency.min_s > 999
    assert tally.from_send.max_s < 999


async def test_how_an_instance_was_had_and_chunked_bodies() -> None:
    async with serving(replying(TIMED)) as server:
        tally = await run(plan(server, Closed(1, 30.0, calls=3)))
    assert {kind: one.count for kind, one in tally.by_kind.items()} == {"prefetched": 3}


async def test_errors_are_told_apart() -> None:
    answers = [OK, REFUSED, b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", b"what?\r\n\r\n", b"", OK]

    async def reply(server: Server, request: bytes, writer: asyncio.StreamWriter) -> None:
        answer = answers[len(server.requests) - 1]
        if answer:
            writer.write(answer)
        else:
            writer.close()

    async with serving(reply) as server:
        tally = await run(plan(server, Closed(1, 30.0, calls=6)))
    assert tally.ok == 2
    assert tally.failed == 4
    assert tally.errors["429 queue_full"] == tally.errors["500"] == 1
    assert tally.errors["connection closed before the answer"] == 1
    assert sum(count for name, count in tally.errors.items() if name.startswith("not HTTP")) == 1


async def test_a_mistake_of_ours_is_not_the_servers() -> None:
    class Broken(Tally):
        def ended(self, *arguments: object) -> None:
            raise RuntimeError("our mistake")

    async with serving(replying(OK)) as server:
        made = plan(server, "burst 1 every 1s 1s")
        seen: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context["exception"]))
        await Engine(made, 0, Broken(1.0, 1.0)).run(time.monotonic())
    assert "our mistake" in str([getattr(one, "__context__", None) or one for one in seen])


async def test_nobody_there() -> None:
    async with serving(replying(OK)) as server:
        made = plan(server, "burst 3 every 1s 1s")
    await asyncio.sleep(0)
    tally = await run(made)
    assert tally.failed == 3
    assert [name.startswith("cannot connect") for name in tally.errors] == [True]


async def test_a_call_over_its_time_limit_is_given_up() -> None:
    async with serving(Holding(2)) as server:  # nobody else asks
        tally = await run(plan(server, "burst 1 every 1s 1s", timeout_s=0.05))
    assert tally.errors == {TIMED_OUT: 1}
    assert tally.by_kind[TIMED_OUT].count == 1


async def test_a_response_without_a_length_ends_with_its_connection() -> None:
    async def reply(server: Server, request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        writer.close()

    async with serving(reply) as server:
        tally = await run(plan(server, Closed(1, 30.0, calls=3)))
    assert (tally.ok, tally.failed) == (3, 0)
    assert server.connections == 3


async def test_a_connection_that_is_to_close_is_not_used_again() -> None:
    async with serving(replying(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) as server:
        tally = await run(plan(server, Closed(1, 30.0, calls=3)))
    assert tally.ok == 3
    assert server.connections == 3


async def test_interim_responses_are_no_answers() -> None:
    async with serving(replying(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK)) as server:
        tally = await run(plan(server, Closed(1, 30.0, calls=3)))
    assert (tally.ok, tally.failed, server.connections) == (3, 0, 1)


async def test_a_run_that_is_stopped_has_what_was_found_so_far() -> None:
    asked = asyncio.Event()

    async def reply(server: Server, request: bytes, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) < 3:
            writer.write(OK)
        else:
            asked.set()

    async with serving(reply) as server:
        made = plan(server, Closed(1, 3600.0))
        begin_s = time.monotonic()
        tally = Tally(made.width_s, made.late_s, begin_s, made.is_open)
        engine = Engine(made, 0, tally)
        running = asyncio.ensure_future(engine.run(begin_s))
        await asyncio.wait_for(asked.wait(), 10)
        engine.stop()
        await asyncio.wait_for(running, 10)
    assert (tally.ok, tally.unfinished, tally.failed) == (2, 1, 0)


async def test_several_shares_make_the_whole() -> None:
    async with serving(replying(OK)) as server:
        one = plan(server, "constant 1000/s 100ms")
        shared = Plan(one.endpoint, one.targets, one.arrivals, processes=3)
        begin_s = time.monotonic()
        tallies: Sequence[Tally] = [Tally(one.width_s, one.late_s, begin_s) for _ in range(3)]
        await asyncio.gather(*(Engine(shared, n, tally).run(begin_s) for n, tally in enumerate(tallies)))
    assert [tally.ok for tally in tallies] == [34, 33, 33]
