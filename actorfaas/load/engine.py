"""The two loops of a generator process: open (calls when it is time for them) and closed (one after the other)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from actorfaas.load.plan import Call, Closed, Plan, calls, share
from actorfaas.load.sender import Sender, Sink
from actorfaas.load.timer import Timer

AT_ONCE = 32
"""So many calls that are due are sent before answers are looked at again."""

RECONNECT_S = 0.1
"""How long a connection of a closed loop rests after its call had no answer."""

STOP_S = 1.0
"""How long answers are still waited for when a run is ended early."""


class Engine:
    """One process's part of a plan."""

    def __init__(self, plan: Plan, process: int, sink: Sink) -> None:
        self._plan = plan
        self._sink = sink
        self._calls = calls(plan, process)
        if isinstance(plan.arrivals, Closed):
            self._connections = share(plan.arrivals.connections, process, plan.processes)
            self._left = share(plan.arrivals.calls, process, plan.processes) if plan.arrivals.calls else -1
        bound = max(1, share(plan.most_outstanding, process, plan.processes))
        self._sender = Sender(plan.endpoint, sink, bound if plan.is_open else self._connections + 1, plan.timeout_s)
        self._over = asyncio.Event()
        self.was_stopped = False

    @property
    def outstanding(self) -> int:
        """Calls that have no answer yet."""
        return self._sender.outstanding

    @property
    def most_at_once(self) -> int:
        """The most calls that were under way at the same time."""
        return self._sender.most_at_once

    def stop(self) -> None:
        """Send no more, and wait for answers but briefly."""
        self.was_stopped = True
        self._over.set()

    async def run(self, begin_s: float) -> None:
        """Make all calls; `begin_s`: the time of `time.monotonic` that the plan's times count from. Raises OSError."""
        await self._sender.prepare()
        try:
            if self._plan.is_open:
                await self._run_open(begin_s)
            else:
                await self._run_closed(begin_s)
            await self._sender.drain(STOP_S if self.was_stopped else self._plan.timeout_s + STOP_S)
        finally:
            await self._sender.close()

    async def _run_open(self, begin_s: float) -> None:
        arrivals = _Arrivals(self._calls, begin_s, self._sender, self._over)
        try:
            arrivals.go_on()
            await self._over.wait()
        finally:
            arrivals.close()

    async def _run_closed(self, begin_s: float) -> None:
        await self._sender.connect(self._connections)
        begin_s = max(begin_s, time.monotonic())
        await asyncio.sleep(begin_s - time.monotonic())
        deadline_s = begin_s + self._plan.duration_s
        self._sender.on_end = lambda answered: self._follow(answered, deadline_s)
        for _ in range(self._connections):
            self._send_next(deadline_s)
        ending = asyncio.get_running_loop().call_later(max(0.0, deadline_s - time.monotonic()), self._over.set)
        await self._over.wait()
        ending.cancel()
        self._left = 0

    def _follow(self, answered: bool, deadline_s: float) -> None:
        if answered:
            self._send_next(deadline_s)
        else:
            self._sender.spawn(self._send_later(deadline_s), "load: rest after a failure")

    async def _send_later(self, deadline_s: float) -> None:
        await asyncio.sleep(RECONNECT_S)
        self._send_next(deadline_s)

    def _send_next(self, deadline_s: float) -> None:
        now = time.monotonic()
        if self._left == 0 or now >= deadline_s:
            if not self._sender.outstanding:
                self._over.set()
            return
        self._left -= 1
        self._sender.send(next(self._calls), now, now)


class _Arrivals:
    """Sends calls of an open loop as their times come."""

    def __init__(self, due: Iterator[Call], begin_s: float, sender: Sender, over: asyncio.Event) -> None:
        self._due = due
        self._begin_s = begin_s
        self._sender = sender
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._timer = Timer(self.go_on)
        self._next = next(due, None)

    def go_on(self) -> None:
        """Send what is due, and come back when the next one is."""
        for _ in range(AT_ONCE):
            call = self._next
            if call is None:
                self._over.set()
            if call is None or self._over.is_set():
                return
            intended_s = self._begin_s + call.at_s
            now = time.monotonic()
            if now < intended_s:
                self._timer.set(intended_s)
                return
            self._sender.send(call, intended_s, now)
            self._next = next(self._due, None)
        self._loop.call_soon(self.go_on)

    def close(self) -> None:
        """Send no more."""
        self._over.set()
        self._timer.close()
