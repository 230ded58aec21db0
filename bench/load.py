"""How benchmarks call servers: the engine of `actorfaas load` in this process, noting every call.

The same client measures the platform and its peers, so its own cost (about 11 µs a call over 16 connections) is in all
figures alike; `python -m bench.load_accuracy` says how far it can be trusted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import uvloop

from actorfaas.load.connection import Connection
from actorfaas.load.engine import Engine
from actorfaas.load.http_requests import render
from actorfaas.load.plan import Call, Closed, Endpoint, Plan, Target
from actorfaas.load.sender import Sink

ANSWER_TIMEOUT_S = 10.0
SLOW_ANSWER_TIMEOUT_S = 120.0
"""For calls of which each matters, however slow."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One call that ended. `latency_s` counts from its intended start; `error` is "" for a good answer; `timing` is the
    value of `Server-Timing`."""

    latency_s: float
    error: str
    timing: str


@dataclass
class Noted:
    """A sink that keeps every call, and the most that were under way at once."""

    answers: list[Answer] = field(default_factory=list)
    dropped_count: int = 0
    most_at_once: int = 0

    def ended(self, call: Call, intended_s: float, sent_s: float, now: float, answer: Connection, error: str) -> None:
        """Keep a call."""
        self.answers.append(Answer(now - intended_s, error, "" if error else answer.timing.decode("latin-1")))

    def dropped(self, call: Call) -> None:
        """Count a call that was not sent."""
        self.dropped_count += 1


@dataclass
class Outcome:
    """Latencies of the calls that were answered well, in seconds, and the number of others by what went wrong."""

    latencies_s: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0

    @property
    def rate(self) -> float:
        """Successful calls per second."""
        return len(self.latencies_s) / self.elapsed_s if self.elapsed_s else 0.0

    def ended(self, call: Call, intended_s: float, sent_s: float, now: float, answer: Connection, error: str) -> None:
        """Count a call."""
        if error:
            self.failures[error] = self.failures.get(error, 0) + 1
        else:
            self.latencies_s.append(now - intended_s)

    def dropped(self, call: Call) -> None:
        """Never in a closed loop."""


def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of one POST request."""
    return render("POST", url, body, headers)


def run(url: str, request: bytes, connections: int, duration_s: float, max_calls: int = 0) -> Outcome:
    """Keep `connections` calls under way for `duration_s` (or until `max_calls` were sent)."""
    outcome = Outcome()
    began_s = time.monotonic()
    _carry_out(_plan(url, request, Closed(connections, duration_s, max_calls)), outcome)
    outcome.elapsed_s = time.monotonic() - began_s
    return outcome


def one_by_one(url: str, request: bytes, calls: int) -> list[tuple[float, str]]:
    """Calls over one connection: of each, how long it took in ms, and its `Server-Timing`.

    Raises ConnectionError when one has no good answer.
    """
    noted = Noted()
    _carry_out(_plan(url, request, Closed(1, calls * ANSWER_TIMEOUT_S, calls)), noted)
    for one in noted.answers:
        if one.error:
            raise ConnectionError(f"{url}: {one.error}")
    return [(one.latency_s * 1000, one.timing) for one in noted.answers]


def at_once(url: str, request: bytes, count: int) -> list[Answer]:
    """So many calls at the same time, over connections that are open already."""
    noted = Noted()
    _carry_out(_plan(url, request, Closed(count, SLOW_ANSWER_TIMEOUT_S, count), SLOW_ANSWER_TIMEOUT_S), noted)
    return noted.answers


def watched(plan: Plan, every_s: float, look: Callable[[], None]) -> Noted:
    """Carry out a plan, all of it in this process, and `look` now and then."""
    noted = Noted()
    noted.most_at_once = _carry_out(plan, noted, lambda: _looking(every_s, look))
    return noted


def _plan(url: str, request: bytes, how: Closed, timeout_s: float = ANSWER_TIMEOUT_S) -> Plan:
    return Plan(Endpoint.of(url), (Target(url, (request,)),), how, timeout_s=timeout_s)


def _carry_out(plan: Plan, sink: Sink, beside: Callable[[], Coroutine[None, None, None]] | None = None) -> int:
    """Run a plan, with something `beside` it; returns the most calls that were under way at once."""

    async def generate() -> int:
        engine = Engine(plan, 0, sink)
        looking = asyncio.create_task(beside(), name="bench: look") if beside else None
        try:
            await engine.run(time.monotonic())
        finally:
            if looking is not None and not looking.cancel():
                looking.result()  # it failed
        return engine.most_at_once

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(generate())


async def _looking(every_s: float, look: Callable[[], None]) -> None:
    while True:
        look()
        await asyncio.sleep(every_s)
