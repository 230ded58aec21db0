"""In which order the Swapper works: each worker's orders one after the other, and few page-outs at once.

Owns no memory and talks to nobody; what an order does is the Swapper's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from actorfaas.errors import ProcessGone
from actorfaas.swap.pager import Process
from actorfaas.swap.recorder import Recorder
from actorfaas.swap.target import Faults

MOST_WAITING = 16
"""Orders of one worker that may wait; it is owed one at a time, so more are a mistake."""

Work = Callable[[], Coroutine[Any, Any, None]]
Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


@dataclass(slots=True)
class Call:
    """The call after a page-in: what was done for it (`did`), and the faults before it. `shows`: what its record misses
    can be found out after it."""

    did: str
    faults: Faults
    recorder: Recorder | None = None
    shows: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    scanning: asyncio.Task[None] | None = None


class Worker:
    """One worker the Swapper knows, and its orders, strictly one after the other."""

    def __init__(self, worker_topic: str, function_topic: str, pid: int, spawn: Spawn) -> None:
        self.topic = worker_topic
        self.function_topic = function_topic
        self.pid = pid
        self.process: Process | None = None
        self.call: Call | None = None
        self.has_ended = False
        self.page_ins_waiting = 0
        self.last_page_in_ns = -1
        self.turn: asyncio.Future[bool] | None = None
        self._spawn = spawn
        self._waiting = 0
        self.last_order: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no further order may be given."""
        return self._waiting >= MOST_WAITING

    @property
    def is_at_work(self) -> bool:
        """Whether an order is being carried out, or the call after a page-in is under way."""
        return self._waiting > 0 or self.call is not None

    def is_needed(self) -> bool:
        """Whether a page-out should give way. May be asked by any thread."""
        return self.page_ins_waiting > 0

    def hold(self) -> Process:
        """Its process, once it was opened. Raises ProcessGone."""
        if self.process is None:
            raise ProcessGone(self.pid)
        return self.process

    def then(self, work: Work, name: str) -> None:
        """Do this after everything before."""
        self._waiting += 1
        self.last_order = self._spawn(self._after(self.last_order, work), f"{name} {self.topic}")

    async def _after(self, previous: asyncio.Task[None] | None, work: Work) -> None:
        try:
            if previous is not None and not previous.done():
                await asyncio.wait({previous})
            await work()
        finally:
            self._waiting -= 1


class Turns:
    """Who may page out: some at once, the others in order. Whoever is needed again steps out of the queue."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._queue: deque[asyncio.Future[bool]] = deque()

    async def take(self, worker: Worker) -> bool:
        """Wait for a turn, which is then to be given back; False: the worker is needed, there will be none."""
        if worker.is_needed():
            return False
        if self._free:
            self._free -= 1
            return True
        worker.turn = asyncio.get_running_loop().create_future()
        self._queue.append(worker.turn)
        try:
            return await worker.turn
        finally:
            worker.turn = None

    def step_out(self, worker: Worker) -> None:
        """The worker is needed: it waits no longer."""
        if worker.turn is not None and not worker.turn.done():
            worker.turn.set_result(False)

    def give_back(self) -> None:
        """The next one's turn."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self._free += 1
