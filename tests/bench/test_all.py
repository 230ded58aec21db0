"""Running all benchmarks: what is shown at the end, and when the whole counts as failed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import all as everything
from bench.all import Run, run

MISSED = {"name": "fast", "goal": 2.0, "value": 2.5, "unit": "ms", "at_most": True, "met": False}


def main(monkeypatch: pytest.MonkeyPatch, *runs: Run) -> int:
    """`python -m bench.all` where the benchmarks end like this."""
    by_name = {one.name: one for one in runs}
    monkeypatch.setattr(everything, "BENCHMARKS", tuple(by_name))
    monkeypatch.setattr(everything, "run", lambda name, *_: by_name[name])
    monkeypatch.setattr(sys, "argv", ["bench.all", "--quick"])
    return everything.main()


def test_a_missed_budget_is_no_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(monkeypatch, Run("one", 1.0, budgets=[MISSED]), Run("two", 1.0)) == 0
    shown = capsys.readouterr().out
    assert "≤ 2" in shown
    assert "2 of 2 benchmarks ran, 1 budgets missed" in shown


def test_a_benchmark_that_ends_early_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, Run("one", 1.0, budgets=[MISSED]), Run("two", 3.0, "ended with status 1")) == 1
    shown = capsys.readouterr().out
    assert "ended with status 1 after 3 s" in shown
    assert "1 of 2 benchmarks ran" in shown


def test_how_a_benchmark_that_cannot_run_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("no_such_benchmark", True, tmp_path).failure == "ended with status 1"
    assert "no_such_benchmark" in capfd.readouterr().err


def test_one_that_writes_no_result(tmp_path: Path) -> None:
    """A module without a main, so that it ends well and leaves nothing."""
    assert run("measure", True, tmp_path).failure == "wrote no result"


def test_one_that_takes_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(everything.LIMIT_S, True, 0.0)
    assert run("node_at_rest", True, tmp_path).failure == "took too long"
