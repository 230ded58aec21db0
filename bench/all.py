"""Every benchmark in turn, then one table of all budgets: `python -m bench.all [--quick] [--folder bench/results]`.

Each runs in a process of its own and shows its own tables as it ends. The exit status is 1 if one could not be run to
its end, and 0 otherwise: a budget that is missed is a finding, not a failure.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from bench.report import console, goal, verdict

BENCHMARKS = (
    "handoff",
    "throughput",
    "forks",
    "strategies",
    "density",
    "many_functions",
    "scale",
    "node_at_rest",
    "soak",
    "convolution",
    "faults",
    "crash",
    "listing",
    "expressions",
    "transitions",
    "map_items",
    "load_accuracy",
    "trace_replay",
    "compliance",
    "observability",
    "flow_bottleneck",
)
LIMIT_S = {True: 300.0, False: 3600.0}
"""The most time one may take, in its quick form and in full; both are several times what they need."""
STOP_TIMEOUT_S = 60.0

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One benchmark that was run. `failure` is "" when it came to its end."""

    name: str
    seconds: float
    failure: str = ""
    budgets: list[Result] = field(default_factory=list)


def run(name: str, quick: bool, folder: Path) -> Run:
    """Run one; its result goes to `folder`."""
    stored = folder / f"{name}.json"
    command = [sys.executable, "-m", f"bench.{name}", "--json", str(stored), *(["--quick"] if quick else [])]
    started = time.perf_counter()
    began_at = time.time()
    status = _status_of(command, LIMIT_S[quick])
    seconds = time.perf_counter() - started
    if status != 0:
        return Run(name, seconds, f"ended with status {status}" if status > 0 else "took too long")
    if not stored.exists() or stored.stat().st_mtime < began_at - 1:
        return Run(name, seconds, "wrote no result")
    return Run(name, seconds, budgets=json.loads(stored.read_text("utf-8"))["budgets"])


def _status_of(command: list[str], limit_s: float) -> int:
    """The exit status; -1 when it had to be stopped. Ctrl-C reaches it too, and it stops its servers then."""
    with subprocess.Popen(command) as process:
        try:
            return abs(process.wait(limit_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
            return -1


def summary(runs: list[Run]) -> Table:
    """Every budget of every benchmark, and those that could not be run."""
    table = Table(title="all benchmarks", title_justify="left")
    for column in ("benchmark", "budget", "goal", "measured", "unit", ""):
        table.add_column(column, justify="right" if column == "measured" else "left")
    for one in runs:
        if one.failure:
            table.add_row(one.name, f"[red]{escape(one.failure)}[/red] after {one.seconds:.0f} s", "", "", "", "")
        for number, budget in enumerate(one.budgets):
            figures = goal(budget["goal"], budget["at_most"]), f"{budget['value']:,.3f}", budget["unit"]
            name = one.name if number == 0 else ""
            table.add_row(name, escape(budget["name"]), *figures, verdict(budget["met"]))
    return table


def main() -> int:
    """Run them all; the exit status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="at most 60 seconds each")
    parser.add_argument("--folder", type=Path, help="write NAME.json files there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="actorfaas-bench-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        runs = [run(name, chosen.quick, folder) for name in BENCHMARKS]
    out = console()
    out.print(summary(runs))
    missed = sum(not budget["met"] for one in runs for budget in one.budgets)
    failed = [one.name for one in runs if one.failure]
    out.print(f"{len(runs) - len(failed)} of {len(runs)} benchmarks ran, {missed} budgets missed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
