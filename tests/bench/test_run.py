"""Running scenarios: what is shown of what was measured, also when it is not all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import run
from bench.paging import Call
from bench.report import Report
from bench.run import Runner, Series, page, tabulate
from bench.scenario import parse
from tests.bench.test_scenario import TEXT, document


def measured(*, settings: int = 3) -> Runner:
    """As after a run, of which only some settings were reached."""
    runner = Runner(parse(document()))
    for number, setting in enumerate(runner.scenario.settings[:settings], 1):
        for cell in runner.scenario.cells():
            calls = [Call(float(number * at), {"start": 0.5}, "fork") for at in (1, 2, 3)]
            runner.measured[cell, setting] = Series(calls, read_back_bytes=[1_000_000])
    return runner


def test_every_cell_and_setting_has_a_line_compared_with_the_first_setting() -> None:
    report = Report("two")
    tabulate(measured(), report)
    assert len(report.rows) == 4 * 3
    assert [(row["setting"], row["p50 ms"], row["× first"]) for row in report.rows[:3]] == [
        ("fork", 2.0, 1.0),
        ("swap", 4.0, 2.0),
        ("auto", 6.0, 3.0),
    ]
    assert report.rows[0]["started"] == "fork 3"


def test_what_was_not_reached_has_none() -> None:
    report = Report("two")
    tabulate(measured(settings=1), report)
    assert {row["setting"] for row in report.rows} == {"fork"}


@pytest.mark.parametrize("settings", [0, 1, 3])
def test_the_page_shows_what_there_is(settings: int) -> None:
    report, runner = Report("two"), measured(settings=settings)
    tabulate(runner, report)
    text = page(runner, report)
    assert text.count('role="img"') == 1 + (4 if settings else 0)
    assert "Scenario: two" in text


def test_an_interrupted_run_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(self: Runner, on_turn: Callable[[str], None]) -> None:
        self.measured = measured(settings=1).measured
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "start", lambda self, stack: None)
    monkeypatch.setattr(Runner, "run", interrupted)
    (tmp_path / "two.toml").write_text(TEXT)
    arguments = [
        "run",
        str(tmp_path / "two.toml"),
        "--json",
        str(tmp_path / "r.json"),
        "--html",
        str(tmp_path / "r.html"),
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    run.main()
    stored = json.loads((tmp_path / "r.json").read_text())
    assert len(stored["rows"]) == 4
    assert stored["notes"] == ["interrupted: this is what was measured by then"]
    assert (tmp_path / "r.html").exists()


def test_a_turn_that_fails_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(self: Runner, cell: object, setting: object) -> None:
        raise RuntimeError("no worker is out")

    monkeypatch.setattr(Runner, "_turn", turn)
    runner = Runner(parse(document()))
    turns: list[str] = []
    runner.run(turns.append)
    assert len(turns) == len(runner.notes) == 24
    assert runner.notes[0] == "hello × 1, fork: no worker is out"


@pytest.mark.parametrize("text", ["name = 3", "name ="])
def test_a_file_that_is_no_scenario(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["run", str(tmp_path / "x.toml")])
    with pytest.raises(SystemExit, match=r"x\.toml"):
        run.main()


@pytest.mark.system
def test_a_small_scenario_on_a_real_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = TEXT.replace("node = { swap_mb = 64, memory_budget_mb = 128 }", "")
    text = (
        text.replace('strategy = "swap"', 'strategy = "resident"').replace("[1, 4]", "[2]").replace("repeats = 2", "")
    )
    inputs = "workflows/functionbench/inputs/hello-"
    (tmp_path / "two.toml").write_text(text.replace("a.json", f"{inputs}a.json").replace("b.json", f"{inputs}b.json"))
    monkeypatch.setattr(sys, "argv", ["run", str(tmp_path / "two.toml"), "--json", str(tmp_path / "r.json")])
    run.main()
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [(row["setting"], row["calls"], row["failed"]) for row in rows[:2]] == [("fork", 2, 0), ("swap", 2, 0)]
    assert rows[0]["started"] == "fork 2"
