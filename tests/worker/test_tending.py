"""A worker that looks after its own memory, with the real kernel; without swap nothing leaves, and nothing breaks."""

from __future__ import annotations

import gc
import mmap
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from actorfaas.worker import tending
from actorfaas.worker.tending import Tending, own_pages, private_ranges

MIB = 1 << 20
PAGE = mmap.PAGESIZE


def run(code: str) -> str:
    """What a new interpreter prints. Paging oneself out is nothing to do inside a test process."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def covers(ranges: list[tuple[int, int]], address: int, length: int) -> bool:
    return any(first <= address and address + length <= first + size for first, size in ranges)


def address_of(memory: mmap.mmap) -> int:
    from ctypes import addressof, c_char

    return addressof(c_char.from_buffer(memory))


def test_private_ranges_are_the_anonymous_memory_that_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * PAGE)
    private = mmap.mmap(-1, 4 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    shared = mmap.mmap(-1, 4 * PAGE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), PAGE, flags=mmap.MAP_PRIVATE)
    ranges = private_ranges()
    assert covers(ranges, address_of(private), 4 * PAGE)
    assert not covers(ranges, address_of(shared), 1)
    assert not covers(ranges, address_of(mapped), 1)
    assert sum(size for _, size in ranges) > MIB


def test_own_pages_are_those_that_were_touched() -> None:
    memory = mmap.mmap(-1, 64 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    start = address_of(memory)
    assert own_pages([(start, 64 * PAGE)]) == []
    for page in (3, 4, 10):
        memory[page * PAGE] = 1
    assert own_pages([(start, 64 * PAGE)]) == [(start + 3 * PAGE, 2 * PAGE), (start + 10 * PAGE, PAGE)]


def test_own_pages_of_a_range_longer_than_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tending, "_ENTRIES_A_READ", 5)
    memory = mmap.mmap(-1, 12 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    start = address_of(memory)
    for page in range(4, 12):
        memory[page * PAGE] = 1
    assert own_pages([(start, 12 * PAGE)]) == [(start + 4 * PAGE, 8 * PAGE)]


def test_pages_shared_with_a_parent_are_not_own() -> None:
    assert (
        run("""
        import mmap, os
        from ctypes import addressof, c_char
        from actorfaas.worker.tending import own_pages
        memory = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(256):
            memory[page * 4096] = 1
        start = addressof(c_char.from_buffer(memory))
        child = os.fork()
        if child == 0:
            memory[0] = 2
            found = own_pages([(start, 1 << 20)])
            os._exit(0 if found == [(start, 4096)] else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
        == "0\n"
    )


def test_trim_collects_garbage_and_tells_what_remains() -> None:
    class Node:
        pass

    gc.collect()
    node = Node()
    node.self = node  # type: ignore[attr-defined]  # a cycle, which only the collector frees
    seen: list[bool] = []
    from weakref import finalize

    finalize(node, seen.append, True)
    del node
    done = Tending().tend("trim")
    assert seen == [True]
    assert done.action == "trim"
    assert done.size_bytes > MIB
    assert done.took_ns > 0


def test_a_worker_that_has_hardly_grown_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    collected: list[int] = []
    held = [10 * MIB]
    monkeypatch.setattr("actorfaas.worker.tending._anonymous_bytes", lambda: held[0])
    monkeypatch.setattr("gc.collect", lambda: collected.append(held[0]))
    tending = Tending()
    for held_mib in (10.0, 10.2, 10.4, 10.6, 10.9, 9.0, 11.2):
        held[0] = int(held_mib * MIB)
        tending.tend("trim")
    assert [size / MIB for size in collected] == pytest.approx([10.0, 10.6, 11.2], abs=0.01)


def test_an_order_nobody_knows_changes_nothing() -> None:
    assert Tending().tend("fly").size_bytes == 0


def test_memory_is_as_before_after_it_was_paged_out_and_in() -> None:
    said = run("""
        import os
        from actorfaas.worker.tending import Tending
        data = bytearray(os.urandom(4096) * 4096)   # 16 MiB
        before = hash(bytes(data))
        tending = Tending()
        first_in = tending.tend("page_in")
        out = tending.tend("page_out")
        assert hash(bytes(data)) == before
        used = tending.tend("page_out")
        back = tending.tend("page_in")
        assert hash(bytes(data)) == before
        print(first_in.size_bytes, out.size_bytes >> 20 >= 16, used.size_bytes >> 20 >= 16)
        print(back.size_bytes == used.size_bytes, back.took_ns > 0)
    """)
    assert said == "0 True True\nTrue True\n"


def test_a_thread_of_user_code_goes_on_while_its_memory_is_advised_and_changed() -> None:
    said = run("""
        import mmap, threading
        from actorfaas.worker.tending import Tending
        stop, rounds, wrong = threading.Event(), [], []
        def work():
            while not stop.is_set():
                memory = mmap.mmap(-1, 1 << 17)
                data = bytearray(b"x" * 100_000)
                memory.write(bytes(data))
                wrong.extend(byte for byte in set(memory[:100_000]) | set(data) if byte != ord("x"))
                memory.close()
                rounds.append(1)
        thread = threading.Thread(target=work)
        thread.start()
        tending = Tending()
        while len(rounds) < 10:
            tending.tend("page_out")
            tending.tend("page_in")
        stop.set()
        thread.join()
        print(wrong)
    """)
    assert said == "[]\n"


def test_nothing_is_raised_where_the_kernel_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no /proc here")

    monkeypatch.setattr(tending, "private_ranges", refuse)
    assert Tending().tend("page_out").size_bytes == 0


def test_a_worker_does_not_import_it_before_it_is_asked() -> None:
    code = (
        "import sys, actorfaas.worker.template, actorfaas.worker.cold\nprint('actorfaas.worker.tending' in sys.modules)"
    )
    assert run(code) == "False\n"


def test_locked_memory_stays_and_nothing_fails() -> None:
    assert (
        run("""
        import ctypes, mmap
        from actorfaas.worker.tending import Tending
        memory = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.write(b"y" * (1 << 16))
        ctypes.CDLL(None).mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory))), 1 << 16)
        print(Tending().tend("page_out").size_bytes > 0, memory[:] == b"y" * (1 << 16))
    """)
        == "True True\n"
    )
