"""Workflows of steps that do nothing, each step durable, on a node and in DBOS on SQLite: part of `transitions`.

Both run as their users run them, with their defaults: every state's result is in a file before the workflow's is given
out. DBOS runs in a process of its own and is called there, without a hop over HTTP; the node is called over HTTP and
runs the steps in worker processes. They take turns, run by run.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.measure import Summary
from bench.node import Node, running
from bench.report import Report
from bench.steps.app import BRANCHES, MANY

STEPS = {"two_steps": 2, "six_steps": 6}
CHAINS = {"two_steps": 2, "six_steps": 6, "six_with_paths": 6, "six_with_jsonata": 6, "deep": MANY, "wide": BRANCHES}
ITEMS = {True: 1000, False: 10_000}
NODE, DBOS = "actorfaas", "DBOS on SQLite"
WARM_UP = 5
GOAL = 5.0
TIMEOUT_S = 120.0

SCRIPT = """
import json, sys, time
from dbos import DBOS

DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{sys.argv[1]}/dbos.sqlite", "log_level": "ERROR"})
times = []

@DBOS.step()
def step(value):
    times.append(time.perf_counter_ns())
    return value

@DBOS.workflow()
def steps(count, value):
    for _ in range(count):
        value = step(value)
    return value

DBOS.launch()
print("ready", flush=True)
for line in sys.stdin:
    times.clear()
    began = time.perf_counter_ns()
    steps(int(line), {"n": 1})
    total = time.perf_counter_ns() - began
    print(json.dumps([total / 1e6, [(b - a) / 1e6 for a, b in zip(times, times[1:])]]), flush=True)
"""
"""The step itself takes microseconds, so from one's begin to the next one's is what lies between them."""


@dataclass
class Runs:
    """Times in ms: whole runs as their callers see them, and from step to step."""

    total: list[float] = field(default_factory=list)
    gap: list[float] = field(default_factory=list)


class Peer:
    """DBOS in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, count: int, into: Runs) -> None:
        """One workflow of so many steps. Raises RuntimeError if the process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        total, gaps = json.loads(self.line())
        into.total.append(total)
        into.gap += gaps

    def line(self) -> str:
        """What it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process with DBOS ended with status {self._process.wait(10)}")
        return line


@contextmanager
def dbos(folder: str) -> Iterator[Peer]:
    """Start it, and end it."""
    command = [sys.executable, "-c", SCRIPT, folder]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            peer = Peer(process)
            while peer.line().strip() != "ready":
                pass
            yield peer
        finally:
            process.kill()


def run_on_node(node: Node, name: str, value: Any, into: Runs) -> None:
    """One execution, durable as it is by default."""
    began_s = time.perf_counter()
    response = node.invoke(name, value)
    into.total.append((time.perf_counter() - began_s) * 1000)
    execution = node.get(f"/v1/executions/{response.headers['Actorfaas-Execution']}")
    into.gap += [state["gap_ms"] for state in execution["states"][1:]]


def compare(node: Node, rounds: int, report: Report) -> None:
    """Both, run by run."""
    found = {(system, name): Runs() for name in STEPS for system in (NODE, DBOS)}
    with tempfile.TemporaryDirectory(prefix="actorfaas-bench-") as folder, dbos(folder) as peer:
        for number in range(WARM_UP + rounds):
            for name, count in STEPS.items():
                mine, its = (Runs(), Runs()) if number < WARM_UP else (found[NODE, name], found[DBOS, name])
                run_on_node(node, name, {"n": 1}, mine)
                peer.run(count, its)
    for (system, name), runs in found.items():
        total, gap = Summary.of(runs.total), Summary.of(runs.gap)
        report.rows.append(
            {
                "durable workflow": name.replace("_", " "),
                "system": system,
                "run p50 ms": total.p50,
                "run p99 ms": total.p99,
                "step to step p50 ms": gap.p50,
                "step to step p99 ms": gap.p99,
            }
        )
    for name, count in STEPS.items():
        mine, its = found[NODE, name], found[DBOS, name]
        title = f"{count} durable steps, DBOS's time against ours"
        report.budget(
            f"{title}, step to step", GOAL, Summary.of(its.gap).p50 / Summary.of(mine.gap).p50, "×", at_most=False
        )
        report.budget(
            f"{title}, whole run", GOAL, Summary.of(its.total).p50 / Summary.of(mine.total).p50, "×", at_most=False
        )


def run_all(node: Node, rounds: int, items: int, report: Report) -> None:
    """What each kind of transition costs on a node, all included: the step's worker, the journal, HTTP."""
    for name, count in {**CHAINS, "each": items}.items():
        runs = Runs()
        value = [{"n": number} for number in range(items)] if name == "each" else {"n": 1}
        times = 1 if count > MANY else max(1, rounds // 5) if count >= BRANCHES else rounds
        for _ in range(times):
            began_s = time.perf_counter()
            node.invoke(name, value)
            runs.total.append((time.perf_counter() - began_s) * 1000)
        total = Summary.of(runs.total)
        report.rows.append(
            {
                "workflow on a node": name.replace("_", " "),
                "states that run": count,
                "runs": len(runs.total),
                "p50 ms": total.p50,
                "a state, ms": total.p50 / count,
            }
        )


def measure(quick: bool, report: Report) -> None:
    """All of it on one node."""
    rounds = 20 if quick else 200
    with running() as node:
        node.http.timeout = TIMEOUT_S
        node.deploy("bench/steps")
        if importlib.util.find_spec("dbos") is None:
            report.notes.append("DBOS is not installed (pip install dbos): no comparison with it")
        else:
            compare(node, rounds, report)
        run_all(node, rounds, ITEMS[quick], report)
