"""Swap that is full or not there at all: nothing is lost, and it is said. Without any other swap on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.actors import swap_watching
from actorfaas.messages import GetPagingMode, MemoryMeasured, PagingMode
from actorfaas.swap import swapfile, swaps
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.pager import Pager, Process
from bench.paged_child import Child
from tests.actors_kit import Kit
from tests.system.swap.kit import HEAP, MIB, Born, manager_of


@pytest.fixture(autouse=True)
def no_other_swap() -> None:
    if areas := swaps.active():
        pytest.skip(f"this machine has swap of its own: {areas[0].path}")


def test_a_swap_file_that_is_too_small_is_named(folder: Path, pager: Pager, process: Process, worker: Child) -> None:
    path = folder / "small"
    swapfile.ensure(path, 16 * MIB, priority=1, keep_free_bytes=0)
    try:
        done = pager.page_out(process, None, remember=False)
        assert "swap is full" in done.error
        assert done.freed_bytes < HEAP // 2 + MIB
        worker.touch()
    finally:
        swapfile.turn_off(path, timeout_s=60)
        swapfile.remove(path)


def test_without_swap_nothing_is_freed(pager: Pager, process: Process, worker: Child) -> None:
    done = pager.page_out(process, None, remember=False)
    assert "no swap" in done.error
    assert done.freed_bytes < MIB
    worker.touch()


async def test_swap_that_is_turned_off_under_it(
    no_other_swap: None, folder: Path, kit: Kit, tree: Tree, born: Born, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap_watching, "MEASURE_INTERVAL_S", 0.01)
    path = folder / "swap"
    swapfile.ensure(path, 128 * MIB, priority=900, keep_free_bytes=64 * MIB)
    try:
        worker, _ = born("1")
        manager = await manager_of(kit, tree)
        assert (await manager.peer.ask("swapper", GetPagingMode(), PagingMode)).mode == "outside"
        assert (await manager.page_out(worker)).error == ""
        await manager.peer.expect(MemoryMeasured, lambda fact: fact.swap_used_bytes >= HEAP // 2)
        swapfile.turn_off(path, timeout_s=60)
        told = await manager.peer.expect(PagingMode)
        assert told.mode == "none"
        assert "no swap" in told.sentence
        assert "no swap" in (await manager.page_out(worker)).error
        worker.touch()
        swapfile.turn_on(path, 900)
        assert (await manager.peer.expect(PagingMode)).mode == "outside"
        assert (await manager.page_out(worker)).error == ""
        worker.touch()
    finally:
        swapfile.turn_off(path, timeout_s=60)
        swapfile.remove(path)
