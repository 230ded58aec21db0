"""Large payloads leave nothing behind in the heap; tried in a process of its own, for the setting is for all of one."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.system

SCRIPT = """
from pathlib import Path
from actorfaas.runtime.allocator import give_large_blocks_back

def private_bytes():
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

def payloads():
    return [(b"x" * 1_500_000, bytes(2_000)) for _ in range(40)]  # a small block after each large one

assert give_large_blocks_back()
freed = b"x" * 1_500_000
del freed  # from now on glibc would take blocks of this size from its heap
before = private_bytes()
kept = [small for _, small in payloads()]
print(private_bytes() - before)
"""


def test_freed_payloads_go_back_although_what_came_after_them_stays() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=30)
    assert int(done.stdout) < 5_000_000
