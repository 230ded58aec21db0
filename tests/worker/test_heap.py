"""The free end of the heap, emptied for real, in interpreters of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from actorfaas.worker import heap

BEGIN = """
import ctypes
from actorfaas.worker import heap
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = (ctypes.c_size_t,), (ctypes.c_void_p,)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
SIZE, MANY = 100 << 10, 80

def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))

def fill():
    blocks = [0] * MANY  # a list that grows would come to lie between the blocks
    for number in range(MANY):
        blocks[number] = libc.malloc(SIZE)
        ctypes.memset(blocks[number], 7, SIZE)
    return blocks
"""

pytestmark = pytest.mark.skipif(not heap._is_known, reason="this C library is not glibc 2.33 or newer")


def run(code: str) -> list[str]:
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(code)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()


def test_the_end_is_given_back_and_stays_part_of_the_heap() -> None:
    done, freed_kb, kept_kb, again = run(
        """
        libc.mallopt(M_MMAP_THRESHOLD, 16 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 64 << 20)
        kept = fill()[0]
        for block in fill():
            libc.free(block)
        anon, data = status("RssAnon"), status("VmData")
        done = heap.empty_end()
        print(done, anon - status("RssAnon"), data - status("VmData"))
        print(ctypes.string_at(kept, SIZE) == bytes([7]) * SIZE and len(fill()))
        """
    )
    assert done == "True"
    assert int(freed_kb) >= 0.9 * 80 * 100
    assert int(kept_kb) == 0
    assert again == "80", "what was in use is as it was, and the end can be used again"


def test_with_little_at_the_end_nothing_is_done() -> None:
    done, is_same = run(
        """
        libc.mallopt(M_TRIM_THRESHOLD, 64 << 10)
        kept = fill()[0]
        for block in fill():
            libc.free(block)
        data = status("VmData")
        done = heap.empty_end()
        print(done, abs(data - status("VmData")) < 64 and ctypes.string_at(kept, SIZE) == bytes([7]) * SIZE)
        """
    )
    assert (done, is_same) == ("False", "True")
