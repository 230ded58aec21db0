"""How an exit is put into words, and when memory is suspected."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.templates import exits
from actorfaas.templates.exits import Exit, OomWatch, describe_exit

SECOND_NS = 1_000_000_000
KILLED = Exit(1, 0, 9)
CONNECTION_BROKE = "exited with status 71 (its connection to the platform broke; did the handler close it?)"


@pytest.mark.parametrize(
    ("ended", "reason", "out_of_memory", "said"),
    [
        (Exit(1, 0, 0), "", False, "exited with status 0"),
        (Exit(1, 3, 0), "", False, "exited with status 3"),
        (Exit(1, 71, 0), "", False, CONNECTION_BROKE),
        (KILLED, "", False, "was killed by signal 9 (SIGKILL)"),
        (KILLED, "timeout", False, "was killed by signal 9 (SIGKILL): timeout"),
        (KILLED, "", True, "was killed by signal 9 (SIGKILL), probably out of memory"),
        (Exit(1, 0, 15), "", False, "was killed by signal 15 (SIGTERM)"),
        (Exit(1, 0, 11), "", False, "crashed: signal 11 (SIGSEGV)"),
        (Exit(1, 0, 6), "", False, "crashed: signal 6 (SIGABRT)"),
        (Exit(1, 0, 63), "", False, "was killed by signal 63 (SIG63)"),
        (Exit(1, 0, 0, is_known=False), "its template ended", False, "ended, nobody saw how: its template ended"),
    ],
)
def test_an_exit_in_words(ended: Exit, reason: str, out_of_memory: bool, said: str) -> None:
    assert describe_exit(ended, reason, out_of_memory) == said


def test_an_exit_from_a_wait_status() -> None:
    assert Exit.from_status(5, 3 << 8, 10) == Exit(5, 3, 0, 10240)
    assert Exit.from_status(5, 9, 10) == Exit(5, 0, 9, 10240)


@pytest.fixture
def vmstat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "vmstat"
    path.write_text("pgfault 1\noom_kill 4\n")
    monkeypatch.setattr(exits, "_VMSTAT", str(path))
    return path


def test_memory_is_suspected_when_the_kernel_has_just_killed_for_it(vmstat: Path) -> None:
    watch = OomWatch()
    assert not watch.suspects(KILLED, "", 10 * SECOND_NS)
    vmstat.write_text("oom_kill 5\n")
    assert watch.suspects(KILLED, "", 11 * SECOND_NS)
    assert watch.suspects(KILLED, "", 13 * SECOND_NS)  # one kill of a cgroup may end several processes
    assert not watch.suspects(KILLED, "", 17 * SECOND_NS)


def test_an_old_kill_is_not_taken_for_a_recent_one(vmstat: Path) -> None:
    watch = OomWatch()
    vmstat.write_text("oom_kill 5\n")
    watch.look(10 * SECOND_NS)
    assert not watch.suspects(KILLED, "", 60 * SECOND_NS)


def test_memory_is_not_suspected_for_other_ends(vmstat: Path) -> None:
    watch = OomWatch()
    vmstat.write_text("oom_kill 5\n")
    assert not watch.suspects(Exit(1, 0, 11), "", 0)
    assert not watch.suspects(Exit(1, 0, 0), "", 0)
    assert not watch.suspects(KILLED, "timeout", 0)


def test_a_kernel_that_does_not_count_raises_no_suspicion(vmstat: Path) -> None:
    vmstat.unlink()
    assert not OomWatch().suspects(KILLED, "", 0)
