"""Names shared by the tests of swapping, how they page a process out, and an ExecutionManager that does as told."""

from __future__ import annotations

import os
from collections.abc import Callable

from actorfaas.actors.data_layer import DataLayer
from actorfaas.actors.swapper import Swapper
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
from actorfaas.swap.cgroup import Group, Tree
from actorfaas.swap.madvise import Advice, advise
from actorfaas.swap.pager import Pager
from actorfaas.swap.target import Target
from bench.paged_child import Child
from tests.actors_kit import FakePeer, Kit

MIB = 1 << 20
HEAP = 32 * MIB
TOUCHED = 800
F = "f@1"

Born = Callable[[str], tuple[Child, Group]]
"""Makes a worker: forked from the template into its leaf, with a heap of its own."""


def page_out(worker: Child, leaf: Group, target: Target) -> None:
    advise(target, [worker.heap], Advice.PAGE_OUT)
    leaf.reclaim()


class Manager:
    """An ExecutionManager with one function."""

    def __init__(self, peer: FakePeer) -> None:
        self.peer = peer

    async def page_out(self, worker: Child) -> WorkerPagedOut:
        self.peer.tell("swapper", PageOutWorker(f"{F}_{worker.pid}", F, worker.pid))
        return await self.peer.expect(WorkerPagedOut)

    async def page_in(self, worker: Child, how: str) -> WorkerPagedIn:
        self.peer.tell("swapper", PageInWorker(f"{F}_{worker.pid}", F, worker.pid, how))
        return await self.peer.expect(WorkerPagedIn)

    async def call(self, worker: Child) -> CallMeasured:
        """The worker's next call."""
        worker.touch(write=True)
        self.peer.tell("swapper", CallEnded(f"{F}_{worker.pid}"))
        return await self.peer.expect(CallMeasured)

    async def describe(self) -> SwapperDescription:
        return await self.peer.ask("swapper", DescribeSwapper(), SwapperDescription)


async def manager_of(kit: Kit, tree: Tree) -> Manager:
    await kit.start(DataLayer(kit.settings))
    await kit.start(Swapper(kit.settings, Pager(tree, os.getpid())))
    return Manager(await kit.fake("execution_manager", peers=("swapper",)))
