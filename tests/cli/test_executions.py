"""`cli.executions`: the table of an execution's states."""

from __future__ import annotations

import pytest

from actorfaas.cli.executions import states_table


def test_states_are_told_apart_by_branch_or_item(capsys: pytest.CaptureFixture[str]) -> None:
    states = [
        {"name": "each", "status": "succeeded", "index": None, "gap_ms": 0.0},
        {"name": "one", "status": "succeeded", "index": 0, "gap_ms": 1.5, "worker": "f@1_7"},
        {"name": "one", "status": "failed", "index": 12, "gap_ms": 2.5},
    ]
    states_table({"states": states}, title="execution", err=False)
    title, _, *lines = capsys.readouterr().out.splitlines()
    assert title == "execution"
    assert [line.split("  ")[0] for line in lines] == ["each", "one [0]", "one [12]"]
    assert "f@1_7" in lines[1]
    assert "2.500" in lines[2]
