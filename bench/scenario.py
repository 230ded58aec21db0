"""A scenario: settings × functions × parallelism × inputs × repeats, read from TOML. Pure.

    name = "starts"
    repeats = 2                          # of everything, the settings in another order each time
    parallelism = [1, 4]                 # calls at once: a round
    rounds = 3                           # of each setting, function, parallelism and input
    drop_caches = true                   # before each round, if root runs it

    [[setting]]                          # everything is compared with the first one
    name = "swap, 256 MiB"
    strategy = "swap"
    workers = "out"                      # wait until they are paged out before each round; or "kept"
    node = { memory_budget_mb = 256, swap_mb = 1024 }         # settings of the node

    [[application]]
    path = "workflows/functionbench"
    [[application.function]]
    name = "json_serdes"
    record = "workflows/functionbench/inputs/json_serdes-a.json"
    test = ["workflows/functionbench/inputs/json_serdes-b.json"]

Paths count from the repository. Settings with the same `node` share one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from actorfaas.ids import STRATEGY_MEANINGS

PAGED = ("swap", "reap", "faasnap")
"""Strategies whose workers are out between calls, unless a setting says otherwise."""


class ScenarioError(ValueError):
    """The file is no scenario; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to run things. `out`: workers are to be paged out before each round. `node`: settings of the node."""

    name: str
    strategy: str
    out: bool
    node: tuple[tuple[str, str | int | float], ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A function: where its application is, and files with its inputs."""

    name: str
    path: str
    record: str
    test: tuple[str, ...]


class Cell(NamedTuple):
    """What is measured side by side by all settings."""

    subject: Subject
    parallelism: int
    test: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file."""

    name: str
    about: str
    repeats: int
    rounds: int
    parallelism: tuple[int, ...]
    drop_caches: bool
    settings: tuple[Setting, ...]
    subjects: tuple[Subject, ...]

    def cells(self) -> list[Cell]:
        """Every function, parallelism and test input."""
        return [
            Cell(subject, parallelism, test)
            for subject in self.subjects
            for parallelism in self.parallelism
            for test in subject.test
        ]

    def turns(self) -> Iterator[tuple[Cell, Setting]]:
        """Everything there is to do, in order: cell by cell, another setting first in each cell of each repeat."""
        for repeat in range(self.repeats):
            for number, cell in enumerate(self.cells()):
                shift = (repeat + number) % len(self.settings)
                for setting in (*self.settings[shift:], *self.settings[:shift]):
                    yield cell, setting


def parse(document: dict[str, Any]) -> Scenario:
    """The scenario of a decoded file. Raises ScenarioError."""
    top = _Table(document, "the scenario")
    applications = [_Table(one, "[[application]]") for one in top.many("application")]
    scenario = Scenario(
        name=top.text("name"),
        about=top.text("about", ""),
        repeats=top.count("repeats", 1),
        rounds=top.count("rounds", 1),
        parallelism=tuple(top.counts("parallelism", [1])),
        drop_caches=top.flag("drop_caches", False),
        settings=tuple(_setting(_Table(one, "[[setting]]")) for one in top.many("setting")),
        subjects=tuple(subject for one in applications for subject in _subjects(one)),
    )
    for one in (top, *applications):
        one.refuse_others()
    names = [setting.name for setting in scenario.settings]
    if len(set(names)) < len(names):
        raise ScenarioError(f"two settings have the same name: {names}")
    return scenario


def _setting(table: _Table) -> Setting:
    strategy = table.text("strategy", "auto")
    if strategy not in STRATEGY_MEANINGS:
        raise ScenarioError(f"{strategy!r} is no strategy; there are {', '.join(STRATEGY_MEANINGS)}")
    workers = table.text("workers", "out" if strategy in PAGED else "kept")
    if workers not in ("out", "kept"):
        raise ScenarioError(f'workers = {workers!r}: they are to be "out" or "kept"')
    setting = Setting(table.text("name"), strategy, workers == "out", tuple(sorted(table.table("node").items())))
    table.refuse_others()
    return setting


def _subjects(application: _Table) -> Iterator[Subject]:
    path = application.text("path")
    for one in application.many("function"):
        table = _Table(one, f"[[application.function]] of {path}")
        tests = one.get("test", [])
        if not isinstance(tests, list) or not tests:
            raise ScenarioError(f"{table.where}: `test` is a list of files with inputs")
        yield Subject(table.text("name"), path, table.text("record"), tuple(map(str, tests)))
        table.refuse_others("test")


class _Table:
    """A table of the file that is read key by key."""

    def __init__(self, document: dict[str, Any], where: str) -> None:
        self._document = document
        self._read: set[str] = set()
        self.where = where

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise ScenarioError(
                f"{self.where}: `{key}` is a string" + ("" if key in self._document else " and missing")
            )
        return value

    def count(self, key: str, default: int) -> int:
        """A whole number from 1."""
        return self._checked(key, self._value(key, default))

    def counts(self, key: str, default: list[int]) -> list[int]:
        """Some of them."""
        value = self._value(key, default)
        if not isinstance(value, list) or not value:
            raise ScenarioError(f"{self.where}: `{key}` is a list of whole numbers")
        return [self._checked(key, one) for one in value]

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise ScenarioError(f"{self.where}: `{key}` is true or false")
        return value

    def table(self, key: str) -> dict[str, Any]:
        """A table, perhaps empty."""
        value = self._value(key, {})
        if not isinstance(value, dict):
            raise ScenarioError(f"{self.where}: `{key}` is a table")
        return value

    def many(self, key: str) -> list[dict[str, Any]]:
        """At least one table."""
        value = self._value(key, [])
        if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
            raise ScenarioError(f"{self.where} needs at least one [[{key}]]")
        return value

    def refuse_others(self, *known: str) -> None:
        """Raise ScenarioError for a key that nobody has read."""
        unknown = self._document.keys() - self._read - set(known)
        if unknown:
            raise ScenarioError(f"{self.where}: there is no `{min(unknown)}`")

    def _value(self, key: str, default: Any) -> Any:  # whatever the file holds
        self._read.add(key)
        return self._document.get(key, default)

    def _checked(self, key: str, value: Any) -> int:  # whatever the file holds
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ScenarioError(f"{self.where}: `{key}` is a whole number from 1")
        return value
