"""A short form of the crash benchmark: executions of every kind while actors and the node are killed at random."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.crash import Crash

pytestmark = pytest.mark.system

EXECUTIONS = 60
KILLS = 8
DURATION_S = 12.0


def test_every_execution_ends_once_and_rightly_whatever_is_killed(tmp_path: Path) -> None:
    crash = Crash(tmp_path, EXECUTIONS, KILLS, DURATION_S, seed=7)
    verdict = crash.run()
    assert verdict.wrong == []
    assert verdict.ended == EXECUTIONS
    assert sum(crash.host.kills.values()) == KILLS
    assert verdict.calls >= verdict.tasks > EXECUTIONS
