"""An ExecutionManager that orders a Swapper about, as a test says."""

from __future__ import annotations

import asyncio

from actorfaas.messages import (
    CallEnded,
    CallMeasured,
    DescribeSwapper,
    PageInWorker,
    PageOutWorker,
    SwapperDescription,
    WorkerPagedIn,
    WorkerPagedOut,
)
from actorfaas.swap.target import Faults
from tests.actors.fake_pager import FakePager
from tests.actors_kit import FakePeer

F = "f@1"


class Manager:
    """An ExecutionManager that orders what the test says."""

    def __init__(self, peer: FakePeer, pager: FakePager) -> None:
        self.peer = peer
        self.pager = pager

    def page_out(self, pid: int, function: str = F) -> None:
        self.peer.tell("swapper", PageOutWorker(f"{function}_{pid}", function, pid))

    def page_in(self, pid: int, how: str = "reap", function: str = F) -> None:
        self.peer.tell("swapper", PageInWorker(f"{function}_{pid}", function, pid, how))

    async def paged_out(self, pid: int) -> WorkerPagedOut:
        return await self.peer.expect(WorkerPagedOut, lambda fact: fact.worker_topic.endswith(f"_{pid}"))

    async def paged_in(self, pid: int) -> WorkerPagedIn:
        return await self.peer.expect(WorkerPagedIn, lambda fact: fact.worker_topic.endswith(f"_{pid}"))

    async def call_ended(self, pid: int, major_faults: int = 0) -> CallMeasured:
        before = self.pager.faults_of.get(pid, Faults(0, 0))
        self.pager.faults_of[pid] = Faults(before.minor, before.major + major_faults)
        self.peer.tell("swapper", CallEnded(f"{F}_{pid}"))
        return await self.peer.expect(CallMeasured, lambda fact: fact.worker_topic.endswith(f"_{pid}"))

    async def begun(self, verb: str, pid: int) -> None:
        assert await asyncio.to_thread(self.pager.has_begun, verb, pid), (verb, pid)

    async def settled(self) -> SwapperDescription:
        """Once this is answered, every order told before has been taken."""
        return await self.peer.ask("swapper", DescribeSwapper(), SwapperDescription)
