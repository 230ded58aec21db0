"""A thousand deployed functions with two live instances each: to deploy, start, serve and stop them; time and memory.

`python -m bench.scale [--quick] [--functions 1000] [--budget 2048] [--json FILE]` needs root, control groups and 12 GB
of disk. Every function has a template and two workers, so the node has three times as many processes as functions. Then
functions are called at random, one after the other over one connection, and each must answer for itself. The node is
stopped, and started again with everything deployed. Memory of the functions is what their control groups are charged;
that of the node's own processes is the sum of their PSS.
"""

from __future__ import annotations

import os
import random
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from actorfaas import testing
from bench.measure import Summary
from bench.node import Node, running
from bench.node_at_rest import pss_bytes
from bench.paging import kind_of, tree_of, workers
from bench.report import Report, options

INSTANCES = 2
TIMEOUT_S = 1200.0
STOP_TIMEOUT_S = 120.0
QUICK_FUNCTIONS = 100


class Stopwatch:
    """Rows of what took how long, and what memory was in use then."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._began_s = time.monotonic()

    def lap(self, step: str, node: Node | None = None) -> None:
        """A step is over; the next one begins."""
        took_s = time.monotonic() - self._began_s
        row: dict[str, object] = {"step": step, "s": took_s}
        if node is not None:
            found = Counter(worker["state"] for worker in workers(node))
            row |= {
                "live workers": sum(found.values()),
                "in swap": found["swapped"],
                "functions' memory MB": tree_of(node).top().usage_bytes() / 1e6,
                "node's own MB": sum(pss_bytes(pid) for pid in own_processes(node)) / 1e6,
            }
        self._report.rows.append(row)
        self._began_s = time.monotonic()


def own_processes(node: Node) -> list[int]:
    """The node's process and its actors, which are its children and no functions' processes."""
    first, *others = node.processes()
    return [
        first,
        *(pid for pid in others if b"actorfaas.runtime.process" in Path(f"/proc/{pid}/cmdline").read_bytes()),
    ]


def wait_for_all(node: Node, functions: int) -> None:
    """Until every function has its instances, and nothing moves. Raises RuntimeError if that takes too long."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found = workers(node)
        here = Counter(worker["function"] for worker in found)
        at_rest = all(worker["state"] in ("resident", "swapped") for worker in found)
        if at_rest and len(here) == functions and min(here.values()) >= INSTANCES:
            return
        if time.monotonic() > deadline:
            states = Counter(worker["state"] for worker in found)
            raise RuntimeError(f"{len(here)} of {functions} functions after {TIMEOUT_S:g} s, workers {states}")
        time.sleep(1.0)


def serve(node: Node, functions: int, calls: int, when: str, report: Report) -> None:
    """Call functions at random; latencies by how the instance was had, and how many answered wrongly or not at all."""
    chance = random.Random(report.seed)
    by_kind: dict[str, list[float]] = {}
    wrong = 0
    for _ in range(calls):
        number = chance.randrange(functions)
        began_s = time.perf_counter()
        try:
            answer = node.http.post(f"/v1/invoke/wide_{number:04}", content=b"null")
            right = answer.status_code == 200 and answer.json()[0] == number
        except httpx.TransportError:
            right = False
        took_ms = (time.perf_counter() - began_s) * 1000
        wrong += not right
        if right:
            kind = kind_of(f"server-timing: {answer.headers['server-timing']}")
            for name in (kind, "all"):
                by_kind.setdefault(name, []).append(took_ms)
    for kind, times in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        summary = Summary.of(times)
        report.rows.append(
            {"called": when, "started": kind, "calls": summary.count, "p50 ms": summary.p50, "p99 ms": summary.p99}
        )
    report.budget(f"calls wrong or lost {when}", 0, float(wrong), "")


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, functions=1000, budget=2048)
    report = Report("scale", chosen.seed)
    functions = QUICK_FUNCTIONS if chosen.quick else chosen.functions
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    testing.START_TIMEOUT_S, testing.STOP_TIMEOUT_S = TIMEOUT_S, STOP_TIMEOUT_S
    os.environ |= {"WIDE_FUNCTIONS": str(functions), "WIDE_WARM": str(INSTANCES)}
    settings: dict[str, str | float] = {
        "max_workers": functions * (INSTANCES + 1),
        "memory_budget_mb": chosen.budget,
        "swap_mb": 10 * 1024,
    }
    with tempfile.TemporaryDirectory(prefix="actorfaas-bench-") as name:
        watch = Stopwatch(report)
        with running(Path(name), **settings) as node:
            watch.lap("start an empty node", node)
            node.deploy("bench/wide")
            watch.lap(f"deploy {functions} functions", node)
            wait_for_all(node, functions)
            watch.lap("until all instances live", node)
            serve(node, functions, 2 * functions, "at random", report)
            watch.lap(f"{2 * functions} calls at random", node)
        watch.lap("stop")
        with running(Path(name), **settings) as node:
            watch.lap("start again with all deployed", node)
            serve(node, functions, functions // 10, "while it starts", report)
            watch.lap(f"{functions // 10} calls meanwhile")
            wait_for_all(node, functions)
            watch.lap("until all instances live", node)
        watch.lap("stop")
    report.finish(chosen)


if __name__ == "__main__":
    main()
