"""What every benchmark shares: its command line, its table, its budgets, its JSON file."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import machine

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Budget:
    """A goal and what was measured. `at_most`: smaller values meet it; otherwise larger ones do."""

    name: str
    goal: float
    value: float
    unit: str
    at_most: bool = True

    @property
    def met(self) -> bool:
        """Whether the measured value meets the goal."""
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@dataclass
class Report:
    """Rows and budgets of one run."""

    name: str
    seed: int = 0
    machine: dict[str, Any] = field(default_factory=machine.facts)  # read before the run loads the machine
    rows: list[Row] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def budget(self, name: str, goal: float, value: float, unit: str, *, at_most: bool = True) -> None:
        """Record a goal and its measured value."""
        self.budgets.append(Budget(name, goal, value, unit, at_most))

    def as_json(self) -> dict[str, Any]:
        """The whole result with machine facts, commit and seed."""
        return {
            "benchmark": self.name,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": self.machine,
            "seed": self.seed,
            "rows": self.rows,
            "budgets": [{**asdict(b), "met": b.met} for b in self.budgets],
            "notes": self.notes,
        }

    def finish(self, options: argparse.Namespace) -> None:
        """Print the tables and write the JSON file if one was asked for."""
        out = console()
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            groups.setdefault(tuple(row), []).append(row)
        for columns, rows in groups.items():
            out.print(_table(self.name, columns, rows))
        if self.budgets:
            out.print(_budget_table(self.budgets))
        for note in self.notes:
            out.print(f"[dim]{escape(note)}[/dim]")
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(self.as_json(), indent=1) + "\n", "utf-8")


def console() -> Console:
    """Where tables are drawn; wide enough for them where the output is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 140)


def goal(value: float, at_most: bool) -> str:
    """A goal and its direction."""
    return f"{'≤' if at_most else '≥'} {value:g}"


def verdict(met: bool) -> str:
    """Whether a goal was met, in colour."""
    return "[green]met[/green]" if met else "[red]missed[/red]"


def _table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if isinstance(rows[0][column], int | float) else "left")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    return table


def _cell(value: object) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _budget_table(budgets: Sequence[Budget]) -> Table:
    table = Table(title="budgets", title_justify="left")
    for column in ("budget", "goal", "measured", "unit", ""):
        table.add_column(column)
    for budget in budgets:
        figures = goal(budget.goal, budget.at_most), f"{budget.value:,.3f}", budget.unit
        table.add_row(budget.name, *figures, verdict(budget.met))
    return table


def options(doc: str | None, arguments: Sequence[str] | None = None, **extra: float | str) -> argparse.Namespace:
    """The common command line: `--quick`, `--json FILE`, `--seed N`, and a `--NAME` for every extra default.

    Without `arguments` it is this process's, which from now on cleans up when it is ended by SIGTERM.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="at most 60 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, with machine facts")
    parser.add_argument("--seed", type=int, default=1)
    for name, default in extra.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"default: {default}")
    if arguments is None:
        signal.signal(signal.SIGTERM, _end)
    return parser.parse_args(arguments)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """End as at Ctrl-C, so that nodes stop and folders go."""
    raise SystemExit(128 + number)
