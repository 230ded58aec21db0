"""The inbox: order, one at a time, the bound, batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from actorfaas.runtime.mailbox import BATCH, Mailbox


async def test_items_from_before_opening_come_first() -> None:
    seen: list[int] = []
    box: Mailbox[int] = Mailbox(seen.append, limit=10)
    box.put(1)
    box.pump()
    assert seen == []
    box.open()
    box.put(2)
    box.pump()
    assert seen == [1, 2]
    assert box.handled == 2


async def test_an_awaitable_holds_back_what_follows() -> None:
    log: list[str] = []
    gate = asyncio.Event()

    async def slow(item: str) -> None:
        log.append(f"{item} begins")
        await gate.wait()
        log.append(f"{item} ends")

    def handle(item: str) -> Awaitable[None] | None:
        if item.startswith("slow"):
            return slow(item)
        log.append(item)
        if item == "c":
            done.set()
        return None

    done = asyncio.Event()
    box = Mailbox(handle, limit=10)
    box.open()
    for item in ("a", "slow 1", "b", "slow 2", "c"):
        box.put(item)
        box.pump()
    await asyncio.sleep(0)
    assert log == ["a", "slow 1 begins"]
    gate.set()
    await done.wait()
    assert await box.close(1.0) == []
    assert log == ["a", "slow 1 begins", "slow 1 ends", "b", "slow 2 begins", "slow 2 ends", "c"]


async def test_a_long_burst_lets_others_run_between_batches() -> None:
    seen: list[int] = []
    done = asyncio.Event()

    def handle(item: int) -> None:
        seen.append(item)
        if len(seen) == 3 * BATCH:
            done.set()

    box = Mailbox(handle, limit=10_000)
    box.open()
    for item in range(3 * BATCH):
        box.put(item)
    box.pump()
    assert len(seen) == BATCH
    await asyncio.sleep(0)
    assert BATCH <= len(seen) <= 2 * BATCH
    await done.wait()
    assert seen == list(range(3 * BATCH))


async def test_an_item_put_while_handling_comes_after_and_is_not_nested() -> None:
    log: list[str] = []

    def handle(item: int) -> None:
        log.append(f"{item} begins")
        if item < 3:
            box.put(item + 1)
            box.pump()
        log.append(f"{item} ends")

    box = Mailbox(handle, limit=10)
    box.open()
    box.put(1)
    box.pump()
    assert log == ["1 begins", "1 ends", "2 begins", "2 ends", "3 begins", "3 ends"]


async def test_room_is_announced_once_half_is_empty_after_being_full() -> None:
    rooms: list[int] = []
    box: Mailbox[int] = Mailbox(lambda item: None, limit=4, on_room=lambda: rooms.append(len(box)))
    fullness = []
    for item in range(4):
        box.put(item)
        fullness.append(box.is_full)
    assert fullness == [False, False, False, True]
    box.open()
    assert rooms == [0]
    box.put(4)
    box.pump()
    assert rooms == [0]


async def test_closing_waits_for_the_item_under_way_and_returns_the_unread() -> None:
    gate = asyncio.Event()
    ended: list[str] = []

    async def slow(item: str) -> None:
        await gate.wait()
        ended.append(item)

    box = Mailbox(slow, limit=10)
    box.open()
    for item in ("a", "b", "c"):
        box.put(item)
    box.pump()
    closing = asyncio.create_task(box.close(10.0))
    await asyncio.sleep(0)
    gate.set()
    assert await closing == ["b", "c"]
    assert ended == ["a"]


async def test_closing_cancels_an_item_that_does_not_end() -> None:
    cancelled: list[bool] = []

    async def stuck(item: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    box = Mailbox(stuck, limit=10)
    box.open()
    box.put(1)
    box.pump()
    await asyncio.sleep(0)
    assert await box.close(0.01) == []
    assert cancelled == [True]
