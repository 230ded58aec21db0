"""What watching costs: the same calls and workflows on nodes with everything on and everything off, taking turns.

`python -m bench.observability [--quick] [--json FILE]`. Off: `metrics=false`, `tracing=false`. On: the defaults, all
figures counted, every request in a trace, of plain calls the first ten of a second kept and a twentieth of the others,
all executions. A third node keeps the trace of every call. Ratios are medians over rounds in which each has its turn;
processor time, of all processes of a node together, says most where other work is on the machine. Then one scrape of
`/metrics` of a node with a thousand functions, each called in two ways and run as a task, as the text is made: in all,
and the longest piece, which is how long a call may have to wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from actorfaas.core.lifecycle import TRANSITIONS
from actorfaas.core.tally import Tally
from actorfaas.http.metrics import Metrics, NodeFigures
from actorfaas.messages import FunctionMemory, MemoryFigures, PoolFigures, StateCount, TopicState
from bench import load, peers
from bench.measure import Summary, paired_ratio
from bench.node import Node, running
from bench.report import Report, options

OFF, ON, ALL = "off", "on", "on, every call kept"
SETTINGS: Mapping[str, dict[str, str | float]] = {
    OFF: {"metrics": "false", "tracing": "false"},
    ON: {},
    ALL: {"trace_share": 1.0},
}
CONNECTIONS = (1, 16)
WORKFLOW, INPUT = "random_average", {"count": 1000, "seed": 1}
BLOCK, DISCARDED = 20, 3
FUNCTIONS = 1000


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("observability", chosen.seed)
    rounds, seconds = (10, 0.25) if chosen.quick else (60, 0.25)
    with ExitStack() as stack:
        nodes = {name: stack.enter_context(running(**settings)) for name, settings in SETTINGS.items()}
        for node in nodes.values():
            node.deploy("bench/noop")
            node.deploy(f"workflows/{WORKFLOW}")
        for connections in CONNECTIONS:
            measure_calls(nodes, connections, rounds, seconds, report)
        measure_workflows(nodes, 3 if chosen.quick else 15, report)
    measure_scrape(report)
    report.finish(chosen)


def measure_calls(nodes: Mapping[str, Node], connections: int, rounds: int, turn_s: float, report: Report) -> None:
    """Warm no-ops over so many connections."""
    series, processor_us = take_turns(nodes, connections, rounds, turn_s)
    off = series[OFF]
    for name, one in series.items():
        report.rows.append(
            {
                "warm no-op, connections": connections,
                "observability": name,
                "calls/s": Summary.of(one.rates).p50,
                "p50 ms": Summary.of(one.latencies_s).p50 * 1000,
                "p99 ms": Summary.of(one.latencies_s).p99 * 1000,
                "processor µs a call": Summary.of(processor_us[name]).p50,
                "failures": one.failures,
                "rate × off": paired_ratio(one.rates, off.rates),
                "p50 × off": paired_ratio(one.medians_s, off.medians_s),
                "processor × off": paired_ratio(processor_us[name], processor_us[OFF]),
            }
        )
    on = series[ON]
    rate, p50 = paired_ratio(on.rates, off.rates), paired_ratio(on.medians_s, off.medians_s)
    processor = paired_ratio(processor_us[ON], processor_us[OFF])
    plural = "s" if connections > 1 else ""
    if connections > 1:
        report.budget(f"rate at {connections} connections, on against off", 0.95, rate, "×", at_most=False)
    report.budget(f"p50 at {connections} connection{plural}, on against off", 1.05, p50, "×")
    report.budget(f"processor time at {connections} connection{plural}, on against off", 1.05, processor, "×")


def take_turns(
    nodes: Mapping[str, Node], connections: int, rounds: int, turn_s: float
) -> tuple[dict[str, peers.Series], dict[str, list[float]]]:
    """As `peers.take_turns`, with the processor time of a node's processes for each call."""
    series = {name: peers.Series() for name in nodes}
    processor_us: dict[str, list[float]] = {name: [] for name in nodes}
    names = list(nodes)
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            url = f"{nodes[name].url}/v1/invoke/noop"
            before_s = processor_s(nodes[name])
            outcome = load.run(url, load.post(url, b"null"), connections, turn_s)
            used_s = processor_s(nodes[name]) - before_s
            if number > 0:
                series[name].add(outcome)
                processor_us[name].append(used_s / len(outcome.latencies_s) * 1e6)
    return series, processor_us


def processor_s(node: Node) -> float:
    """What all processes of a node have used so far."""
    total = 0
    for pid in node.processes():
        with suppress(OSError):  # it has ended
            total += sum(int(field) for field in Path(f"/proc/{pid}/schedstat").read_text().split()[:1])
    return total / 1e9


def measure_workflows(nodes: Mapping[str, Node], rounds: int, report: Report) -> None:
    """A workflow of two states: from its start to its answer, and from one state's end to the next one's start."""
    totals: dict[str, list[float]] = {name: [] for name in nodes}
    gaps: dict[str, list[float]] = {name: [] for name in nodes}
    names = list(nodes)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            block = [run_once(nodes[name]) for _ in range(BLOCK + DISCARDED)][DISCARDED:]
            totals[name].append(Summary.of([total_ms for total_ms, _ in block]).p50)
            gaps[name].append(Summary.of([gap_ms for _, gap_ms in block]).p50)
    for name in names:
        report.rows.append(
            {
                "workflow": WORKFLOW,
                "observability": name,
                "end to end p50 ms": Summary.of(totals[name]).p50,
                "state to state p50 ms": Summary.of(gaps[name]).p50,
                "end to end × off": paired_ratio(totals[name], totals[OFF]),
                "state to state × off": paired_ratio(gaps[name], gaps[OFF]),
            }
        )
    report.budget("workflow, end to end, on against off", 1.05, paired_ratio(totals[ON], totals[OFF]), "×")


def run_once(node: Node) -> tuple[float, float]:
    """One execution: its time in all, and between its two states, in ms."""
    began = time.perf_counter()
    response = node.invoke(WORKFLOW, INPUT)
    total_ms = (time.perf_counter() - began) * 1000
    execution = node.get(f"/v1/executions/{response.headers['Actorfaas-Execution']}")
    return total_ms, execution["states"][1]["gap_ms"]


def measure_scrape(report: Report) -> None:
    """The text for a thousand functions, piece by piece."""
    metrics, tasks = Metrics(), Tally()
    for number in range(FUNCTIONS):
        for kind in ("resident", "fork"):
            metrics.count(f"function_{number}", 200, kind, 1_000_000, 500_000, 128)
            tasks.of(f"function_{number}", kind).add(1_000_000, False, 500_000, 128)
    topics = [f"function_{number}@1" for number in range(FUNCTIONS)]
    states = tuple(StateCount(state, 10) for state in TRANSITIONS)
    memory = MemoryFigures(1, 2, 3, 4, 5, 6, 7, 8, tuple(FunctionMemory(topic, 1, 2) for topic in topics))
    pool = PoolFigures(states, 1, 2, 0, 2, tuple(tasks.figures()))
    node = NodeFigures(1, 1, [], pool, memory, [TopicState(topic, 0, 1000, 1, 0) for topic in topics])
    pieces_ms: list[float] = []
    size_bytes = 0
    began = time.perf_counter()
    for piece in metrics.text(node):
        now = time.perf_counter()
        pieces_ms.append((now - began) * 1000)
        began = now
        size_bytes += len(piece)
    report.rows.append(
        {
            "scrape, functions": FUNCTIONS,
            "text MB": size_bytes / 1e6,
            "in all ms": sum(pieces_ms),
            "longest piece ms": max(pieces_ms),
        }
    )
    report.budget(f"scrape of {FUNCTIONS} functions", 200.0, sum(pieces_ms), "ms")


if __name__ == "__main__":
    main()
