"""Names shared by the tests of swapping, how they page a process out, an ExecutionManager that does as told, and
calls of a node whose workers are to be out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

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
from tests.system.kit import Node, eventually

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


def until_out(node: Node, function: str) -> list[Any]:
    """The function's workers, once every one of them is out of memory."""

    def out() -> list[Any]:
        found = node.workers(function)
        return found if all(one["state"] == "swapped" for one in found) else []

    return eventually(out, f"all workers of {function} are out")


def called(node: Node, function: str, value: Any = None, strategy: str = "") -> tuple[dict[str, Any], str]:
    """What a call returns, and how its instance was had. Its memory must hold what it did."""
    headers = {"Actorfaas_Strategy": strategy} if strategy else {}
    answer = node.call(function, value, **headers)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["wrong"] == 0
    kind = re.search(r'start;dur=[\d.]+;desc="(\w+)"', answer.headers["Server-Timing"])
    return result, kind[1] if kind else ""
