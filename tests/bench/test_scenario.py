"""Scenarios: what their files may say, and in which order everything is done."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.machine import ROOT
from bench.scenario import ScenarioError, parse

TEXT = """
name = "two"
repeats = 2
parallelism = [1, 4]
[[setting]]
name = "fork"
strategy = "fork"
[[setting]]
name = "swap"
strategy = "swap"
node = { swap_mb = 64, memory_budget_mb = 128 }
[[setting]]
name = "auto"
[[application]]
path = "workflows/functionbench"
[[application.function]]
name = "hello"
record = "a.json"
test = ["a.json", "b.json"]
"""


def document(**changes: Any) -> dict[str, Any]:
    return {**tomllib.loads(TEXT), **changes}


def test_a_file() -> None:
    scenario = parse(document())
    assert (scenario.repeats, scenario.rounds, scenario.drop_caches) == (2, 1, False)
    assert [(one.strategy, one.out) for one in scenario.settings] == [("fork", False), ("swap", True), ("auto", False)]
    assert dict(scenario.settings[1].node) == {"swap_mb": 64, "memory_budget_mb": 128}
    assert [(cell.parallelism, cell.test) for cell in scenario.cells()] == [
        (1, "a.json"),
        (1, "b.json"),
        (4, "a.json"),
        (4, "b.json"),
    ]


def test_every_setting_does_every_cell_once_a_repeat_and_none_is_always_first() -> None:
    scenario = parse(document())
    turns = list(scenario.turns())
    assert set(Counter(turns).values()) == {2}
    assert len(turns) == 2 * 4 * 3
    firsts = {setting.name for cell, setting in turns[::3]}
    assert firsts == {"fork", "swap", "auto"}
    assert all(len({cell for cell, _ in turns[first : first + 3]}) == 1 for first in range(0, len(turns), 3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": 3}, "`name` is a string"),
        ({"repeats": 0}, "whole number from 1"),
        ({"parallelism": []}, "list of whole numbers"),
        ({"parallelism": [True]}, "whole number from 1"),
        ({"drop_caches": "yes"}, "true or false"),
        ({"setting": []}, "at least one [[setting]]"),
        ({"setting": [{"name": "x", "strategy": "magic"}]}, "'magic' is no strategy"),
        ({"setting": [{"name": "x", "workers": "gone"}]}, '"out" or "kept"'),
        ({"setting": [{"name": "x", "nodes": {}}]}, "there is no `nodes`"),
        ({"setting": [{"name": "x"}, {"name": "x"}]}, "same name"),
        ({"application": [{"path": "p"}]}, "at least one [[function]]"),
        ({"application": [{"path": "p", "function": [{"name": "f", "record": "a"}]}]}, "`test` is a list"),
        ({"speed": 3}, "there is no `speed`"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(document(**changes))
    assert said in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "bench" / "scenarios").glob("*.toml")), ids=lambda path: path.stem)
def test_scenarios_in_the_repository_name_what_there_is(path: Path) -> None:
    scenario = parse(tomllib.loads(path.read_text("utf-8")))
    for subject in scenario.subjects:
        assert (ROOT / subject.path / "app.py").is_file()
        assert all((ROOT / file).is_file() for file in (subject.record, *subject.test))
