"""Choice, Parallel and Map states whose workers are out of memory, with look-ahead and without, beside resident ones:
part of `handoff`.

The state before sleeps for a tenth of a second. The Choice goes one way in four of five runs and the other way in the
fifth; the Parallel state has four branches, the Map state eight items, each with a worker of its own. What counts is
the time from the end of the state before until the last of its followers has begun.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bench.measure import Summary
from bench.node import Node
from bench.paging import wait_until_out, workers
from bench.report import Report

RESIDENT, AHEAD = "resident", "out, look-ahead"
USUAL_OF = 5
"""Every so many-th run of the Choice goes the other way."""

MOST_ADDED_MS = 0.5


@dataclass(frozen=True, slots=True)
class Shape:
    """A workflow, the functions behind its state that computes, each with the number of its workers, and how many runs
    teach a node what there is to know."""

    workflow: str
    followers: dict[str, int]
    lessons: int


SHAPES = {
    "Choice, 80/20": Shape("after_choice", {"usual": 1, "unusual": 1}, 10),
    "Parallel of 4": Shape("after_parallel", {"parted": 4}, 4),
    "Map of 8": Shape("after_map", {"mapped": 8}, 4),
}
"""As in `bench/ahead_of/app.py`."""


@dataclass
class Began:
    """How long the followers took to begin, in ms, and how their workers were had."""

    gap_ms: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)


Measured = dict[tuple[str, str], Began]


def run_once(node: Node, shape: Shape, number: int, *, is_paged: bool) -> tuple[str, float, list[str]]:
    """One execution: which way it went, when its last follower began, and how each follower's worker was had."""
    for function in shape.followers if is_paged else ():
        wait_until_out(node, function)
    is_usual = number % USUAL_OF != USUAL_OF - 1
    response = node.invoke(shape.workflow, {"usual": is_usual, "items": list(range(8))})
    states: list[dict[str, Any]] = node.get(f"/v1/executions/{response.headers['Actorfaas-Execution']}")["states"]
    tasks = [state for state in states if state["worker"] and state["name"] != "first"]
    way = "" if len(shape.followers) == 1 else (", the usual way" if is_usual else ", the other way")
    return way, max(state["gap_ms"] for state in tasks), [state["start_kind"] for state in tasks]


def prepare(node: Node, *, is_paged: bool) -> None:
    """As many workers as will run at once, their working sets recorded, and what executions usually do learned."""
    for shape in SHAPES.values():
        for number in (0, USUAL_OF - 1):
            run_once(node, shape, number, is_paged=False)
        for number in range(shape.lessons):
            run_once(node, shape, number, is_paged=is_paged)
        for function, count in shape.followers.items():
            if len(workers(node, function)) < count:
                raise RuntimeError(f"{function} has fewer than {count} workers")


def measure(nodes: dict[str, Node], report: Report, *, quick: bool) -> None:
    """Every shape on every node in turn; their rows and the budget. The nodes are those of `ahead`."""
    for name, node in nodes.items():
        prepare(node, is_paged=name != RESIDENT)
    measured: Measured = {}
    wrong = {name: guesses(node) for name, node in nodes.items()}
    for number in range(USUAL_OF * (1 if quick else 4)):
        for shape_name, shape in SHAPES.items():
            for name, node in nodes.items():
                way, gap_ms, kinds = run_once(node, shape, number, is_paged=name != RESIDENT)
                into = measured.setdefault((f"{shape_name}{way}", name), Began())
                into.gap_ms.append(gap_ms)
                into.kinds.update(kinds)
    tabulate(measured, report)
    for name, node in nodes.items():
        reserved, given_up = (after - before for after, before in zip(guesses(node), wrong[name], strict=True))
        report.rows.append({"look-ahead behind computations": name, "reserved": reserved, "wrong guesses": given_up})


def guesses(node: Node) -> tuple[int, int]:
    """Reservations so far, and wrong ones among them."""
    pool = node.get("/v1/workers")
    return pool["reservations"], pool["wrong_guesses"]


def tabulate(measured: Measured, report: Report) -> None:
    """A line for every shape and node; what was foreseen makes the budget."""
    worst_ms = 0.0
    for (shape, name), began in measured.items():
        gap = Summary.of(began.gap_ms)
        added_ms = gap.p50 - Summary.of(measured[shape, RESIDENT].gap_ms).p50
        if name == AHEAD and not shape.endswith("other way"):
            worst_ms = max(worst_ms, added_ms)
        row = {
            "between the states": shape,
            "workers after it": name,
            "runs": gap.count,
            "last began p50 ms": gap.p50,
            "last began p99 ms": gap.p99,
            "added p50 ms": added_ms,
            "started": ", ".join(f"{kind} {count}" for kind, count in began.kinds.most_common()),
        }
        report.rows.append(row)
    what = "workers behind a Choice, Parallel or Map out: added until the last began, p50"
    report.budget(what, MOST_ADDED_MS, worst_ms, "ms")
