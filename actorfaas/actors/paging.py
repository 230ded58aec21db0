"""The ExecutionManager's link to the Swapper: finds out how memory can be moved, and describes it.

What is moved when is decided in `swap.steering`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from actorfaas.core.dispatch import Dispatch
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import (
    DescribeSwapper,
    GetPagingMode,
    MemoryMeasured,
    PagingMode,
    PoolDescription,
    SwapperDescription,
    WorkerMemory,
    WorkerState,
)
from actorfaas.runtime.actor import Actor
from actorfaas.swap.steering import PagingFact, Steering

SWAPPER = "swapper"
_RETRY_S = 1.0
_DESCRIBE_TIMEOUT_S = 2.0


class PagingLink:
    """One ExecutionManager's."""

    def __init__(self, actor: Actor, dispatch: Dispatch) -> None:
        self._actor = actor
        self._measured = MemoryMeasured(0, -1.0, 0, 0)
        mode = actor.settings.paging_policy
        self.steering = Steering(dispatch, mode)  # type: ignore[arg-type]  # config allows the policy's modes only

    async def connect(self) -> None:
        """Ask a new Swapper how memory can be moved; from then on it tells by itself."""
        while self._actor.is_connected(SWAPPER):
            try:
                mode = await self._actor.ask(SWAPPER, GetPagingMode(), PagingMode)
            except PeerUnavailable:
                return
            except (AskTimeout, RequestRefused) as error:
                self._actor.log.warning("the Swapper does not say how memory can be moved", error=str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                self.take_in(mode, self._actor.clock.monotonic_ns())
                return

    def take_in(self, fact: PagingFact, now_ns: int) -> None:
        """A fact about memory."""
        if isinstance(fact, MemoryMeasured):
            self._measured = fact
        self.steering.take_in(fact, now_ns)

    async def describe(self, pool: PoolDescription) -> PoolDescription:
        """The same with what the Swapper knows: the sums as it last told them; newer ones, and each worker, if it
        answers in time."""
        mode, measured = self.steering.mode, self._measured
        pool = replace(
            pool,
            paging_mode=mode.mode,
            paging_sentence=mode.sentence,
            memory_usage_bytes=measured.usage_bytes,
            memory_budget_bytes=mode.budget_bytes,
            swap_total_bytes=measured.swap_total_bytes,
            swap_used_bytes=measured.swap_used_bytes,
        )
        try:
            swapper = await self._actor.ask(SWAPPER, DescribeSwapper(), SwapperDescription, _DESCRIBE_TIMEOUT_S)
        except (PeerUnavailable, AskTimeout, RequestRefused):
            return pool
        memory = {one.worker_topic: one for one in swapper.workers}
        return replace(
            pool,
            workers=tuple(_with_memory(worker, memory.get(worker.worker_topic)) for worker in pool.workers),
            memory_usage_bytes=swapper.usage_bytes,
            swap_used_bytes=swapper.swap_used_bytes,
        )


def _with_memory(worker: WorkerState, memory: WorkerMemory | None) -> WorkerState:
    if memory is None:
        return worker
    return replace(
        worker,
        usage_bytes=memory.usage_bytes,
        swap_bytes=memory.swap_bytes,
        working_set_bytes=memory.working_set_bytes,
        last_page_in_ns=memory.last_page_in_ns,
    )
