"""A Frontend in a thread of its own, behind it a pool of workers in words only: of any size, and changing."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from actorfaas.messages import DescribePool, DescribeQueue, PoolDescription, QueueDescription, WorkerState
from tests.actors_kit import Kit
from tests.frontend_kit import frontend

STATES = ("resident", "swapped", "swapped", "busy", "paging_in", "paging_out", "reserved", "swapped")
MIB = 1024 * 1024


def worker(number: int, turn: int, functions: int) -> WorkerState:
    """Every tenth worker is in another state at every turn."""
    state = STATES[(number + (turn if number % 10 == 0 else 0)) % len(STATES)]
    name = f"function{number % functions:02}"
    usage, swap = (2 * MIB, 30 * MIB) if state == "swapped" else (30 * MIB, 0)
    return WorkerState(f"{name}@1_{number}", name, 1, number, state, "fork", "", 1, 5, usage, swap, 8 * MIB, 4_000_000)


@contextmanager
def pool(workers: int, functions: int) -> Iterator[str]:
    """The address of a Frontend with so many workers of so many functions."""
    ready: list[str] = []
    is_ready, stopping = threading.Event(), threading.Event()
    serving = threading.Thread(target=lambda: asyncio.run(_serve(workers, functions, ready, is_ready, stopping)))
    serving.start()
    try:
        assert is_ready.wait(30)
        yield ready[0]
    finally:
        stopping.set()
        serving.join()


async def _serve(
    workers: int, functions: int, ready: list[str], is_ready: threading.Event, stopping: threading.Event
) -> None:
    turns = count()

    def describe(_: DescribePool) -> PoolDescription:
        turn = next(turns)
        found = tuple(worker(number, turn, functions) for number in range(1, workers + 1))
        usage = sum(one.usage_bytes for one in found)
        return PoolDescription(found, 0, 0, 0, "outside", "", usage, 64 * 1024 * MIB, 128 * 1024 * MIB, usage)

    with tempfile.TemporaryDirectory(prefix="afaas-") as name:
        kit = Kit(Path(name))
        async with frontend(kit) as node:
            node.manager.answer(DescribePool, describe)
            node.queue.answer(DescribeQueue, QueueDescription((), ()))
            ready.append(f"http://127.0.0.1:{node.port}")
            is_ready.set()
            await asyncio.to_thread(stopping.wait)
        await kit.close()
