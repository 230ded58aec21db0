"""Hand-offs to a worker that is out of memory, with look-ahead and without, beside resident ones: part of `handoff`.

Three nodes at once: one on which everything stays in memory, and two whose second state's worker is really out before
each run, one of which looks no state ahead. Its predecessor sleeps, or keeps a processor busy.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench import ahead_branches
from bench.measure import Summary
from bench.node import Node, running
from bench.paging import LINGER_S, bundle, wait_until_out, workers
from bench.report import Report

LASTS_MS = (0, 5, 20, 100)
"""As in `bench/ahead_of/app.py`."""

FOLLOW = "follow"
RESIDENT, AHEAD, LATE = ahead_branches.RESIDENT, ahead_branches.AHEAD, "out, no look-ahead"
SETTINGS: dict[str, dict[str, str | float]] = {
    RESIDENT: {"paging": "off"},
    AHEAD: {"paging_policy": "pressure", "swap_mb": 1024},
    LATE: {"paging_policy": "pressure", "look_ahead": 0},
}
"""The second node's swap file is the machine's, and so the third one's as well; nodes stop in reverse."""

LEARNING_RUNS = 4
MOST_ADDED_MS = 0.5


@dataclass
class Gaps:
    """What was measured of one chain on one node, in ms."""

    gap_ms: list[float] = field(default_factory=list)
    run_ms: list[float] = field(default_factory=list)
    page_in_ms: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)


Measured = dict[tuple[str, int, str], Gaps]


def run_once(node: Node, chain: str, into: Gaps, *, is_paged: bool) -> None:
    """One execution whose second state meets a worker that is out."""
    if is_paged:
        wait_until_out(node, FOLLOW)
    response = node.invoke(f"after_{chain}", None)
    state = node.get(f"/v1/executions/{response.headers['Actorfaas-Execution']}")["states"][1]
    into.gap_ms.append(state["gap_ms"])
    into.run_ms.append(state["run_ms"])
    into.kinds[state["start_kind"]] += 1
    if is_paged:
        into.page_in_ms += [w["last_page_in_ms"] for w in workers(node, FOLLOW) if w["last_page_in_ms"] is not None]


def prepare(nodes: dict[str, Node], chains: list[tuple[str, int]]) -> None:
    """Deploy, record the second state's working set, and let each node learn how long things take."""
    for name, node in nodes.items():
        with bundle("bench/ahead_of", {"linger_s": LINGER_S[name != RESIDENT]}) as folder:
            node.deploy(str(folder))
        for number in range(LEARNING_RUNS if name != RESIDENT else 0):
            if number:
                wait_until_out(node, FOLLOW)
            node.invoke(FOLLOW, None, **{"Actorfaas-Strategy": "reap"})
    for _ in range(LEARNING_RUNS):
        run_all(nodes, chains, {})


def run_all(nodes: dict[str, Node], chains: list[tuple[str, int]], measured: Measured) -> None:
    """Each chain once on each node."""
    for manner, lasts_ms in chains:
        for name, node in nodes.items():
            into = measured.setdefault((manner, lasts_ms, name), Gaps())
            run_once(node, f"{manner}_{lasts_ms}", into, is_paged=name != RESIDENT)


def measure(report: Report, *, quick: bool) -> None:
    """All chains on all nodes in turn; their rows and the budget."""
    manners = ("sleeping",) if quick else ("sleeping", "busy")
    chains = [(manner, lasts_ms) for lasts_ms in LASTS_MS for manner in manners]
    measured: Measured = {}
    with ExitStack() as stack:
        nodes = {name: stack.enter_context(running(**settings)) for name, settings in SETTINGS.items()}
        prepare(nodes, chains)
        for _ in range(3 if quick else 10):
            run_all(nodes, chains, measured)
        tabulate(measured, report)
        ahead_branches.measure(nodes, report, quick=quick)


def tabulate(measured: Measured, report: Report) -> None:
    """A line for every chain and node. Predecessors that outlast the prefetch make the budget."""
    worst_ms = 0.0
    for (manner, lasts_ms, name), gaps in measured.items():
        gap = Summary.of(gaps.gap_ms)
        added_ms = gap.p50 - Summary.of(measured[manner, lasts_ms, RESIDENT].gap_ms).p50
        page_in_ms = Summary.of(gaps.page_in_ms or [0.0])
        outlasts = name == AHEAD and lasts_ms > page_in_ms.p90
        if outlasts:
            worst_ms = max(worst_ms, added_ms)
        row = {
            "predecessor": f"{manner} {lasts_ms} ms",
            "next worker": name,
            "runs": gap.count,
            "gap p50 ms": gap.p50,
            "gap p99 ms": gap.p99,
            "added p50 ms": added_ms,
            "handler p50 ms": Summary.of(gaps.run_ms).p50,
            "page-in p50 ms": page_in_ms.p50,
            "outlasts it": "yes" if outlasts else "",
            "started": ", ".join(f"{kind} {count}" for kind, count in gaps.kinds.most_common()),
        }
        report.rows.append(row)
    report.budget("next worker out, predecessor outlasts the prefetch: added gap, p50", MOST_ADDED_MS, worst_ms, "ms")
