"""Memory that was freed goes back to the kernel when it is asked to."""

from __future__ import annotations

from pathlib import Path

from actorfaas.runtime.allocator import LARGE_BYTES, give_free_memory_back

BLOCK_BYTES = LARGE_BYTES * 3 // 4  # taken from the heap, not mapped one by one
BLOCKS = 400


def anonymous_bytes(pid: int | str = "self") -> int:
    """RssAnon: what a process holds besides files."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not say RssAnon")


def test_holes_in_the_heap_are_given_back() -> None:
    blocks = [b"x" * BLOCK_BYTES for _ in range(BLOCKS)]
    last = blocks.pop()  # keeps the heap from being shortened at its end
    blocks.clear()
    before = anonymous_bytes()
    give_free_memory_back()
    assert before - anonymous_bytes() > BLOCKS * BLOCK_BYTES // 2
    assert len(last) == BLOCK_BYTES
