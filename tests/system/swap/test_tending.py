"""A worker that pages itself out and in, with a swap file."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

CODE = """
    import os, resource
    from actorfaas.worker.tending import Tending

    def swapped():
        for line in open("/proc/self/status"):
            if line.startswith("VmSwap:"):
                return int(line.split()[1]) * 1024

    def call():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        assert used[::4096] == expected
        return resource.getrusage(resource.RUSAGE_SELF).ru_majflt - before

    MIB = 1 << 20
    idle, used = bytearray(os.urandom(32 * MIB)), bytearray(os.urandom(4 * MIB))
    expected = bytes(used[::4096])
    tending = Tending()
    tending.tend("page_out")
    assert swapped() > 32 * MIB, swapped()
    call()                                   # every page a fault
    recorded = tending.tend("page_out").size_bytes
    assert 4 * MIB < recorded < 24 * MIB, recorded
    out = swapped()
    assert tending.tend("page_in").size_bytes == recorded
    assert out - swapped() > 4 * MIB, (out, swapped())
    print(call(), swapped() > 24 * MIB)
"""


@pytest.mark.usefixtures("swap")
def test_what_a_call_touched_is_read_back_and_nothing_else() -> None:
    command = [sys.executable, "-c", textwrap.dedent(CODE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    major_faults, idle_is_out = done.stdout.split()
    assert int(major_faults) < 10
    assert idle_is_out == "True"
