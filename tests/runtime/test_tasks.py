"""Owned tasks end with their owner and never fail unseen."""

from __future__ import annotations

import asyncio

from actorfaas.runtime.clock import SYSTEM_CLOCK, ManualClock
from actorfaas.runtime.tasks import Tasks


async def test_a_failure_is_reported_with_the_tasks_name() -> None:
    failures: list[tuple[str, str]] = []
    tasks = Tasks("queue", lambda name, error: failures.append((name, str(error))))

    async def fail() -> None:
        raise LookupError("no such thing")

    task = tasks.spawn(fail(), "look up")
    assert len(tasks) == 1
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert failures == [("queue/look up", "no such thing")]
    assert len(tasks) == 0


async def test_results_and_cancellations_are_not_failures() -> None:
    failures: list[str] = []
    tasks = Tasks("queue", lambda name, error: failures.append(name))
    fine = tasks.spawn(asyncio.sleep(0, result=7), "fine")
    assert await fine == 7
    waiting = tasks.spawn(asyncio.Event().wait(), "waiting")
    assert await tasks.close(1.0) == []
    assert waiting.cancelled()
    late = tasks.spawn(asyncio.Event().wait(), "late")
    await asyncio.wait({late})
    assert late.cancelled()
    assert failures == []


async def test_a_task_that_refuses_to_end_is_named() -> None:
    tasks = Tasks("queue", lambda name, error: None)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = tasks.spawn(stubborn(), "stubborn")
    await asyncio.sleep(0)
    assert await tasks.close(0.01) == ["queue/stubborn"]
    release.set()
    await task


def test_the_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock()
    before = clock.monotonic_ns(), clock.wall_ms()
    clock.advance(1.5)
    assert (clock.monotonic_ns() - before[0], clock.wall_ms() - before[1]) == (1_500_000_000, 1500)


def test_the_system_clock_does_not_go_back() -> None:
    assert SYSTEM_CLOCK.monotonic_ns() <= SYSTEM_CLOCK.monotonic_ns()
    assert SYSTEM_CLOCK.wall_ms() > 1_600_000_000_000
