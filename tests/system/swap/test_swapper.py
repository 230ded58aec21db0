"""The Swapper with real processes, a real swap file and real control groups."""

from __future__ import annotations

import os

import pytest

from actorfaas.actors.swapper import Swapper
from actorfaas.messages import (
    GetPagingMode,
    PageInWorker,
    PageOutTemplate,
    PageOutWorker,
    PagingMode,
    TemplatePagedOut,
    WorkerPagedIn,
    WorkerPagedOut,
)
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.pager import Pager
from actorfaas.swap.ranges import PAGE_SIZE
from actorfaas.swap.swaps import SwapArea
from bench.paged_child import Child
from tests.actors_kit import Kit
from tests.system.swap.kit import HEAP, MIB, TOUCHED, Born, F, Manager, manager_of


async def record(manager: Manager, worker: Child) -> int:
    """One of two recordings; how large the working set is."""
    assert (await manager.page_out(worker)).error == ""
    assert (await manager.page_in(worker, "reap")).did == "record"
    size_bytes: int = (await manager.call(worker)).working_set_bytes
    return size_bytes


async def test_a_worker_goes_out_is_recorded_and_comes_back_before_its_call(
    swap: SwapArea, kit: Kit, tree: Tree, born: Born
) -> None:
    worker, leaf = born("1")
    worker.choose(TOUCHED, seed=3)
    manager = await manager_of(kit, tree)
    mode = await manager.peer.ask("swapper", GetPagingMode(), PagingMode)
    assert mode.mode == "outside"
    assert mode.budget_bytes > 0
    out = await manager.page_out(worker)
    assert (out.error, out.freed_bytes >= 0.9 * HEAP) == ("", True)
    assert leaf.usage_bytes() <= out.usage_bytes + MIB
    assert (await manager.page_in(worker, "reap")).did == "record"
    first = await manager.call(worker)
    assert first.did == "record"
    assert first.major_faults >= TOUCHED / 16  # readahead saves some of them
    assert first.working_set_bytes == 0
    await record(manager, worker)
    for how in ("reap", "faasnap", "demand"):
        assert (await manager.page_out(worker)).error == ""
        back = await manager.page_in(worker, how)
        assert (back.did, back.error) == (how, "")
        measured = await manager.call(worker)
        assert measured.did == how
        if how == "demand":
            assert measured.major_faults >= TOUCHED / 16
        else:
            assert back.read_bytes >= TOUCHED * PAGE_SIZE
        if how == "reap":
            assert measured.major_faults <= 8
    found = await manager.describe()
    assert (found.page_outs, found.page_ins) == (5, 5)
    assert found.paged_out_bytes >= 0.9 * (HEAP + 4 * TOUCHED * PAGE_SIZE)
    assert [one.worker_topic for one in found.workers] == [f"{F}_{worker.pid}"]


async def test_siblings_share_a_record_which_outlives_the_swapper(
    swap: SwapArea, kit: Kit, tree: Tree, born: Born
) -> None:
    (first, _), (second, _) = born("1"), born("2")
    manager = await manager_of(kit, tree)
    for worker in (first, second):
        worker.choose(TOUCHED, seed=3)
    for worker in (first, second):
        size_bytes = await record(manager, worker)
    assert size_bytes >= TOUCHED * PAGE_SIZE, "a record is what two calls touched, whichever workers had them"
    await manager.page_out(second)
    assert (await manager.page_in(second, "reap")).did == "reap"
    assert (await manager.call(second)).major_faults <= 8
    await kit.stop(kit.started("swapper"))
    await kit.start(Swapper(kit.settings, Pager(tree, os.getpid())))
    await manager.page_out(first)
    assert (await manager.page_in(first, "reap")).did == "reap"
    assert (await manager.call(first)).major_faults <= 8


async def test_a_worker_that_is_killed_between_orders_is_an_error(
    swap: SwapArea, kit: Kit, tree: Tree, born: Born
) -> None:
    worker, _ = born("1")
    manager = await manager_of(kit, tree)
    await manager.page_out(worker)
    pid = worker.pid
    worker.kill()
    back = await manager.page_in(worker, "reap")
    assert (back.error, back.read_bytes) == (f"process {pid} has exited", 0)
    assert (await manager.page_out(worker)).error == f"process {pid} has exited"
    while (await manager.describe()).workers:  # until its end is noticed
        pass


@pytest.mark.parametrize("out", [True, False])
async def test_a_worker_that_is_killed_in_the_middle_gives_one_answer(
    swap: SwapArea, kit: Kit, tree: Tree, born: Born, out: bool
) -> None:
    worker, _ = born("1")
    bystander, _ = born("2")
    manager = await manager_of(kit, tree)
    worker.choose(HEAP // PAGE_SIZE, seed=3)
    if not out:
        for _ in range(2):
            await record(manager, worker)
        await manager.page_out(worker)
    topic = f"{F}_{worker.pid}"
    order = PageOutWorker(topic, F, worker.pid) if out else PageInWorker(topic, F, worker.pid, "reap")
    manager.peer.tell("swapper", order)
    await manager.describe()  # it has begun, or will at once
    worker.kill()
    fact = await (manager.peer.expect(WorkerPagedOut) if out else manager.peer.expect(WorkerPagedIn))
    assert fact.error in ("", f"process {worker.pid} has exited")
    assert (await manager.page_out(bystander)).error == ""
    assert not manager.peer.received(type(fact))
    bystander.touch()


async def test_a_function_that_is_wholly_idle_leaves_memory(
    swap: SwapArea, kit: Kit, tree: Tree, template: Child, born: Born
) -> None:
    workers = [born(key)[0] for key in ("1", "2")]
    manager = await manager_of(kit, tree)
    for worker in workers:
        assert (await manager.page_out(worker)).error == ""
    group = tree.function(F)
    assert group.usage_bytes() >= HEAP
    manager.peer.tell("swapper", PageOutTemplate(F))
    fact = await manager.peer.expect(TemplatePagedOut)
    assert (fact.error, fact.freed_bytes >= 0.8 * HEAP) == ("", True)
    assert group.usage_bytes() <= 0.3 * HEAP
    for child in (template, *workers):
        child.choose(TOUCHED, seed=1)
        child.touch()
