"""How much a worker may use, and how its death for memory is put into words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actorfaas.templates.homes import ALLOWANCE_BYTES, NoHomes, killed_for_memory, limit_bytes
from actorfaas.templates.processes import private_bytes

MIB = 1 << 20


class FakeHome:
    """A group that says what the test wants."""

    entrance = ""

    def __init__(self, oom_kills: int | None, full: bool) -> None:
        self._oom_kills = oom_kills
        self._full = full

    def oom_kills(self) -> int | None:
        return self._oom_kills

    def was_full(self) -> bool:
        return self._full

    def leave(self) -> None:
        raise AssertionError("not asked for")


def test_a_worker_may_use_what_it_was_promised_beside_what_its_template_loaded() -> None:
    assert limit_bytes(64, 100 * MIB) == 164 * MIB + ALLOWANCE_BYTES
    assert limit_bytes(0, 100 * MIB) == 0, "no limit is no limit"


@pytest.mark.parametrize(
    ("oom_kills", "full", "said"),
    [
        (1, True, "out of memory (limit 64 MB)"),
        (1, False, "out of memory: the machine had none left"),
        (0, True, ""),
        (None, True, None),
    ],
)
def test_why_a_worker_was_killed(oom_kills: int | None, full: bool, said: str | None) -> None:
    assert killed_for_memory(FakeHome(oom_kills, full), 64) == said


def test_a_worker_without_a_group_cannot_tell() -> None:
    home = NoHomes().worker("f@1", MIB)
    assert killed_for_memory(home, 64) is None


def test_private_memory_of_a_process() -> None:
    code = "input(); kept = bytearray(b'x' * (16 << 20)); print('filled', flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        before = private_bytes(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "filled\n"
        assert private_bytes(child.pid) - before > 12 * MIB
        child.kill()
    assert private_bytes(1 << 22) == 0, "no process has that number"
