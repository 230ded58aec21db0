"""Run a scenario: `python -m bench.run SCENARIO.toml [--json FILE] [--html FILE]`; see `bench.scenario`.

Everything is measured cell by cell (a function, a parallelism, a test input), all settings in turn, in another order
each time. Before a cell's first round by a setting, its workers are made, and where they are to be out, their working
sets recorded with the record input. A round is so many calls at once; before it, it is waited until no worker moves any
more and some are out, and caches are dropped if the scenario says so and root runs it. How instances were had is shown:
where fewer workers are out than are called, others are in memory. An interrupt ends the run; what was measured is kept.

    python -m bench.run bench/scenarios/starts.toml            a minute
    python -m bench.run bench/scenarios/functionbench.toml     all strategies, eleven functions: half an hour
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from rich.progress import Progress

from actorfaas.load import plots
from actorfaas.load.http_requests import invocation_url
from actorfaas.load.page import document
from bench import load
from bench.load import Answer
from bench.machine import ROOT
from bench.measure import Summary, percentile
from bench.node import Node, running
from bench.paging import POLL_S, Call, read_back_bytes, workers
from bench.report import Report, console
from bench.scenario import Cell, Scenario, ScenarioError, Setting, parse

RECORD_ROUNDS = 2
"""With the record input: the first makes the workers, the second records."""
SETTLE_TIMEOUT_S = 30.0
STILL_S = 0.25


@dataclass
class Series:
    """What one setting did in one cell, over all repeats."""

    calls: list[Call] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    read_back_bytes: list[int] = field(default_factory=list)


Measured = dict[tuple[Cell, Setting], Series]


class Runner:
    """A scenario's nodes, and what was measured so far."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.measured: Measured = {}
        self.notes: list[str] = []
        self._nodes: dict[tuple[tuple[str, str | int | float], ...], Node] = {}
        self._recorded: set[tuple[Cell, Setting]] = set()
        self._drops_caches = scenario.drop_caches and os.geteuid() == 0
        if scenario.drop_caches and not self._drops_caches:
            self.notes.append("caches were not dropped between rounds: that takes root")

    def start(self, stack: ExitStack) -> None:
        """Start a node for each kind of node there is, with every application."""
        for setting in self.scenario.settings:
            if setting.node not in self._nodes:
                node = self._nodes[setting.node] = stack.enter_context(running(**dict(setting.node)))
                for path in dict.fromkeys(subject.path for subject in self.scenario.subjects):
                    node.deploy(path)

    def run(self, on_turn: Callable[[str], None]) -> None:
        """Do everything; what cannot be done is noted."""
        for cell, setting in self.scenario.turns():
            on_turn(f"{cell.subject.name} × {cell.parallelism}, {setting.name}")
            try:
                self._turn(cell, setting)
            except (RuntimeError, ConnectionError) as error:
                self.notes.append(f"{cell.subject.name} × {cell.parallelism}, {setting.name}: {error}")

    def _turn(self, cell: Cell, setting: Setting) -> None:
        node = self._nodes[setting.node]
        if (cell, setting) not in self._recorded:
            self._record(node, cell, setting)
            self._recorded.add((cell, setting))
        series = self.measured.setdefault((cell, setting), Series())
        for _ in range(self.scenario.rounds):
            if setting.out:
                wait_until_settled(node, cell.subject.name)
            if self._drops_caches:
                drop_caches()
            before = read_back_bytes()
            for answer in self._at_once(node, cell, setting, cell.test):
                if answer.error:
                    series.failures[answer.error] += 1
                else:
                    series.calls.append(Call.of(answer.latency_s * 1000, answer.timing))
            series.read_back_bytes.append(read_back_bytes() - before)

    def _record(self, node: Node, cell: Cell, setting: Setting) -> None:
        for number in range(RECORD_ROUNDS):
            if setting.out and number:
                wait_until_settled(node, cell.subject.name)
            for answer in self._at_once(node, cell, setting, cell.subject.record):
                if answer.error:
                    raise RuntimeError(f"a call with the record input failed: {answer.error}")

    def _at_once(self, node: Node, cell: Cell, setting: Setting, file: str) -> list[Answer]:
        url = invocation_url(node.url, cell.subject.name)
        request = load.post(url, (ROOT / file).read_bytes(), {"Actorfaas-Strategy": setting.strategy})
        return load.at_once(url, request, cell.parallelism)


def wait_until_settled(node: Node, function: str) -> None:
    """Wait until some of the function's workers are out and nothing has moved for a while. Raises RuntimeError."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    states: list[str] = []
    since = time.monotonic()
    while time.monotonic() < since + STILL_S or "swapped" not in states or not set(states) <= {"swapped", "resident"}:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no worker is out, or some still move, after {SETTLE_TIMEOUT_S:g} s: {states}")
        found = sorted(worker["state"] for worker in workers(node, function))
        if found != states:
            states, since = found, time.monotonic()
        time.sleep(POLL_S)


def drop_caches() -> None:
    """Have the kernel forget cached files, so that the next call reads them again. Raises PermissionError."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def tabulate(runner: Runner, report: Report) -> None:
    """One line for every cell and setting, in the scenario's order."""
    first = runner.scenario.settings[0]
    for cell in runner.scenario.cells():
        base = runner.measured.get((cell, first))
        for setting in runner.scenario.settings:
            series = runner.measured.get((cell, setting))
            if series is not None and series.calls:
                report.rows.append(row(cell, setting, series, base))


def row(cell: Cell, setting: Setting, series: Series, base: Series | None) -> dict[str, object]:
    """The figures of one setting in one cell; `base`: those of the first setting."""
    total = Summary.of([one.total_ms for one in series.calls])
    kinds = Counter(one.kind for one in series.calls).most_common()
    base_p50 = Summary.of([one.total_ms for one in base.calls]).p50 if base and base.calls else total.p50
    return {
        "function": cell.subject.name,
        "input": Path(cell.test).stem.removeprefix(f"{cell.subject.name}-"),
        "at once": cell.parallelism,
        "setting": setting.name,
        "calls": total.count,
        "p50 ms": total.p50,
        "p90 ms": total.p90,
        "start p50 ms": Summary.of([one.start_ms for one in series.calls]).p50,
        "× first": total.p50 / base_p50,
        "read back MB": sum(series.read_back_bytes) / len(series.read_back_bytes) / 1e6,
        "failed": series.failures.total(),
        "started": ", ".join(f"{kind} {count}" for kind, count in kinds),
    }


def page(runner: Runner, report: Report) -> str:
    """The same as plots: of each function, medians beside each other, and the distributions behind them."""
    scenario = runner.scenario
    names = [setting.name for setting in scenario.settings]
    about = f"{report.machine['cores']} × {report.machine['cpu']}, commit {report.machine['commit'][:10]}"
    parts = [f"<p>{escape(note)}</p>" for note in (scenario.about, about, *runner.notes) if note]
    for function in dict.fromkeys(subject.name for subject in scenario.subjects):
        groups: dict[str, dict[str, float]] = {}
        for row in report.rows:
            if row["function"] == function:
                group = groups.setdefault(f"{row['input']}, {row['at once']} at once", {})
                group[row["setting"]] = row["p50 ms"]
        description = "Median latency by input and calls at once, for each setting, in ms."
        parts.append(plots.bars(function, description, groups, names, "ms"))
        cells = (cell for cell in scenario.cells() if cell.subject.name == function and has_calls(runner, cell))
        drawn = "".join(distribution(runner, cell) for cell in cells)
        parts.append(f"<details><summary>Distributions of {escape(function)}</summary>{drawn}</details>")
    return document(f"Scenario: {scenario.name}", "".join(parts))


def has_calls(runner: Runner, cell: Cell) -> bool:
    """Whether anything was measured of it."""
    return any(one == cell and series.calls for (one, _), series in runner.measured.items())


def distribution(runner: Runner, cell: Cell) -> str:
    """A line for each setting: latency by percentile."""
    series = {}
    for setting in runner.scenario.settings:
        found = runner.measured.get((cell, setting))
        if found and found.calls:
            series[setting.name] = [one.total_ms for one in found.calls]
    percents = [0, 10, 25, 50, 75, 90, 95, 99, 100 - 100 / max(map(len, series.values())) / 2]
    lines = [
        plots.Series(name, [(percent, percentile(samples, percent)) for percent in sorted(percents)])
        for name, samples in series.items()
    ]
    every = [sample for samples in series.values() for sample in samples]
    title = f"{cell.subject.name}, {Path(cell.test).stem}, {cell.parallelism} at once"
    x, y = plots.nines("percentile", max(percents)), plots.logarithmic("ms", min(every), max(every))
    return plots.lines(title, "Latency by percentile, a line for each setting.", lines, x, y)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, with machine facts")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write plots there")
    return parser.parse_args(arguments)


def main() -> None:
    """Run, print, write."""
    chosen = options()
    try:
        scenario = parse(tomllib.loads(chosen.scenario.read_text("utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ScenarioError) as error:
        sys.exit(f"{chosen.scenario}: {error}")
    report = Report(scenario.name)
    runner = Runner(scenario)
    turns = len(list(scenario.turns()))
    try:
        with Progress(console=console(), transient=True) as bar, ExitStack() as stack:
            task = bar.add_task("starting nodes", total=turns)
            runner.start(stack)
            runner.run(lambda what: bar.update(task, advance=1, description=what))
    except KeyboardInterrupt:
        runner.notes.append("interrupted: this is what was measured by then")
    tabulate(runner, report)
    report.notes += [*([scenario.about] if scenario.about else []), *runner.notes]
    if chosen.html:
        chosen.html.write_text(page(runner, report), "utf-8")
    report.finish(chosen)


if __name__ == "__main__":
    main()
