"""What goes wrong around a worker whose memory moves: its number used again, a group that may not swap."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.errors import ProcessGone
from actorfaas.messages import PageInWorker, PageOutWorker, WorkerPagedIn, WorkerPagedOut
from actorfaas.swap import pagemap
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.pager import Pager, Process
from actorfaas.swap.ranges import PAGE_SIZE, total_bytes
from actorfaas.swap.swaps import SwapArea
from bench.paged_child import Child
from tests.actors_kit import Kit
from tests.system.swap.kit import HEAP, MIB, Born, F, manager_of

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
TRIES = 200
OTHER = "g@1"


def forked_as(pid: int, tree: Tree, template: Child, function: str) -> Child:
    """A worker of `function`, forked from the template, that has the number `pid`, which must be free."""
    if not LAST_PID.exists():
        pytest.skip("this kernel does not let root choose the next process's number")
    leaf = tree.worker(function, "again")
    with leaf.hosting(template.pid, tree.template(F)):
        for _ in range(TRIES):  # until nobody else forks in between
            LAST_PID.write_text(str(pid - 1))
            worker, _ = template.fork()
            if worker.pid == pid:
                return worker
            worker.kill()
    raise AssertionError(f"no process got the number {pid} in {TRIES} forks")


async def test_a_number_that_is_used_again_is_another_process(
    swap: SwapArea, kit: Kit, tree: Tree, template: Child, born: Born, pager: Pager
) -> None:
    worker, _ = born("1")
    pid = worker.pid
    manager = await manager_of(kit, tree)
    assert (await manager.page_out(worker)).error == ""
    held = pager.open(pid)
    worker.kill()
    again = forked_as(pid, tree, template, OTHER)
    try:
        again.choose(HEAP // PAGE_SIZE, 0)
        again.touch(write=True)
        for attempt in (lambda: pager.page_out(held, None, remember=False), lambda: pager.faults(held)):
            with pytest.raises(ProcessGone):
                attempt()
        # of orders for the one before, whether the Swapper still holds it or not
        manager.peer.tell("swapper", PageInWorker(f"{F}_{pid}", F, pid, "reap"))
        assert (await manager.peer.expect(WorkerPagedIn)).error == f"process {pid} has exited"
        manager.peer.tell("swapper", PageOutWorker(f"{F}_{pid}", F, pid))
        assert (await manager.peer.expect(WorkerPagedOut)).error == f"process {pid} has exited"
        taken = pager.open(pid)
        assert total_bytes(pagemap.find(taken.target, pagemap.Page.SWAPPED)) < MIB
        pager.close(taken)
        again.touch()
    finally:
        again.kill()
        pager.close(held)


def test_a_group_that_may_not_swap_keeps_its_worker(
    swap: SwapArea, tree: Tree, pager: Pager, process: Process, worker: Child
) -> None:
    leaf = process.group
    assert leaf is not None
    if tree.version == 1:
        leaf.write("memory.swappiness", "0")
    else:
        leaf.set_limit(None, swap_bytes=0)
    done = pager.page_out(process, None, remember=False)
    assert "the kernel kept" in done.error
    assert done.freed_bytes <= HEAP // 2
    worker.touch(write=True)
    if tree.version == 1:
        leaf.write("memory.swappiness", "60")
    else:
        leaf.set_limit(None, swap_bytes=None)
    assert pager.page_out(process, None, remember=False).error == ""
    worker.touch()
