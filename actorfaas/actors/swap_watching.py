"""What the Swapper finds out about the node: how memory can be moved, and how much is used; and who is told of it.

What is measured how is `swap.measuring`'s.
"""

from __future__ import annotations

import asyncio

from actorfaas.actors.swap_recording import InThread
from actorfaas.errors import SwapError
from actorfaas.messages import MemoryMeasured, PagingMode
from actorfaas.runtime.actor import Actor, Connection
from actorfaas.swap import measuring
from actorfaas.swap.measuring import Mode, Sample
from actorfaas.swap.pager import Pager

MEASURE_INTERVAL_S = 0.25
TOLD_INTERVAL_S = 1.0
REST_INTERVAL_S = 1.0
"""Where memory cannot be moved, it is only looked for swap that was turned on."""


class Watch:
    """`mode` and `sample` as they were found last; `listeners` are told of every change."""

    def __init__(self, actor: Actor, pager: Pager, in_thread: InThread) -> None:
        self.mode = Mode(measuring.NONE, "not found out yet", 0)
        self.sample = Sample(0, -1.0, 0, 0, ())
        self.listeners: set[Connection] = set()
        self._actor = actor
        self._pager = pager
        self._in_thread = in_thread

    async def begin(self) -> None:
        """Find out what can be done here, and say it once."""
        self.sample = await self._in_thread(self._pager.sample)
        await self._find_mode()

    async def _find_mode(self) -> None:
        mode = await self._in_thread(self._pager.find_mode, self._actor.settings)
        if mode != self.mode:
            self.mode = mode
            self._actor.log.info("paging", mode=mode.name, why=mode.sentence, budget_bytes=mode.budget_bytes)
            for listener in self.listeners:
                listener.tell(self.paging_mode())

    def paging_mode(self) -> PagingMode:
        """What the ExecutionManager is told of the mode."""
        return PagingMode(self.mode.name, self.mode.sentence, self.mode.budget_bytes)

    def require_outside(self) -> None:
        """Raises SwapError where the Swapper cannot reach into workers."""
        if self.mode.name != measuring.OUTSIDE:
            raise SwapError(self.mode.sentence)

    async def run(self) -> None:
        """Tell what changed at once, and what did not now and then; find out anew when swap was turned on or off."""
        clock = asyncio.get_running_loop().time
        told_at = 0.0
        while True:
            can_move = self.mode.name != measuring.NONE
            await asyncio.sleep(MEASURE_INTERVAL_S if can_move else REST_INTERVAL_S)
            before, self.sample = self.sample, await self._in_thread(self._pager.sample)
            if self.sample.areas != before.areas:
                await self._find_mode()
            if self.sample != before or clock() - told_at >= TOLD_INTERVAL_S:
                told_at = clock()
                now = self.sample
                fact = MemoryMeasured(now.usage_bytes, now.pressure_percent, now.swap_total_bytes, now.swap_used_bytes)
                for listener in self.listeners:
                    listener.tell(fact)
