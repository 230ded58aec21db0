"""What the Swapper finds out about the node, and tells."""

from __future__ import annotations

import pytest

from actorfaas.actors import swap_watching
from actorfaas.actors.swapper import Swapper
from actorfaas.messages import GetPagingMode, MemoryMeasured, PagingMode
from actorfaas.swap.measuring import NONE, Mode
from tests.actors.fake_pager import NO_SWAP, FakePager
from tests.actors.swapper_rig import Manager
from tests.actors_kit import Kit


async def test_who_asks_for_the_mode_is_told_of_memory_and_of_changes(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap_watching, "MEASURE_INTERVAL_S", 0.001)
    monkeypatch.setattr(swap_watching, "TOLD_INTERVAL_S", 0.001)
    pager = FakePager()
    await kit.start(Swapper(kit.settings, pager))
    manager = Manager(await kit.fake("execution_manager", peers=("swapper",)), pager)
    mode = await manager.peer.ask("swapper", GetPagingMode(), PagingMode)
    assert mode == PagingMode("outside", "it can be done", 1 << 30)
    assert await manager.peer.expect(MemoryMeasured) == MemoryMeasured(5 << 20, 1.5, 1 << 30, 1 << 20)
    manager.pager.mode = Mode(NONE, "there is no swap", 0)
    manager.pager.now = NO_SWAP  # somebody turns it off
    assert await manager.peer.expect(PagingMode) == PagingMode("none", "there is no swap", 0)
    await manager.peer.expect(MemoryMeasured, lambda fact: fact.swap_total_bytes == 0)
