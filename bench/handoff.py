"""Time from the end of one state's handler to the start of the next one's, by strategy.

`python -m bench.handoff [--quick] [--json FILE]` runs `random_average` (two states), `order_pipeline` (six states) and
a workflow with 1 MiB between its states, each with the strategies cold, fork and resident, interleaved in one run. Then
it takes a warm HTTP call of a no-op apart, beside functions-framework and a plain uvicorn no-op. Last come chains of
two states whose second worker is out of memory, with look-ahead and without: on three nodes at once, one of which keeps
everything in memory; then a Choice (80/20), a Parallel state of four branches and a Map of eight items between states,
whose workers are out. This needs root, control groups and 1 GiB of disk.

Strategies take turns in blocks of ten runs, and the first three runs of a block are not counted: they compete for the
processor with what the strategy before left behind. When strategies take turns run by run instead, resident hand-offs
come right after forks and are slower: p50 0.28 ms against 0.18 ms, measured both ways in one run on two cores.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from bench import ahead, load, peers
from bench.machine import ROOT
from bench.measure import Summary, paired_ratio
from bench.node import Node, running
from bench.report import Report, Row, options

STRATEGIES = ("resident", "fork", "cold")
BLOCK = 10
DISCARDED = 3
DISSECTED = 1000
WARM_CALLS = 100
FRAMEWORK = "functions-framework"
TIMING = re.compile(r"(\w+);dur=([\d.]+)")

Samples = dict[tuple[str, str], dict[str, list[float]]]


def order_input() -> Any:  # whatever the example's file holds
    return json.loads((ROOT / "workflows/order_pipeline/inputs/basket.json").read_text())


def workflow_inputs(seed: int) -> dict[str, Any]:
    """The workflows measured and what they are given."""
    return {"random_average": {"count": 1000, "seed": seed}, "order_pipeline": order_input(), "payload": None}


def run_once(node: Node, name: str, value: object, strategy: str, into: dict[str, list[float]]) -> None:
    """One execution: its end-to-end time and every gap between its states, in ms."""
    started = time.perf_counter()
    response = node.invoke(name, value, **{"Actorfaas-Strategy": strategy})
    into.setdefault("end to end", []).append((time.perf_counter() - started) * 1000)
    execution = node.get(f"/v1/executions/{response.headers['Actorfaas-Execution']}")
    into.setdefault("gap", []).extend(state["gap_ms"] for state in execution["states"][1:])
    into.setdefault("run", []).extend(state["run_ms"] for state in execution["states"])


def measure_workflows(node: Node, rounds: int, report: Report) -> Samples:
    """All workflows × strategies in turn, `rounds` times, a block of runs each.

    The first runs of a block are thrown away: what the block before left behind (instances that end, the journal's
    writes) belongs to it. Cold blocks hold one run: it is slow and steady.
    """
    samples: Samples = {}
    inputs = workflow_inputs(report.seed)
    for _ in range(rounds):
        for strategy in STRATEGIES:
            for name, value in inputs.items():
                for _ in range(DISCARDED if strategy != "cold" else 0):
                    run_once(node, name, value, strategy, {})
                for _ in range(BLOCK if strategy != "cold" else 1):
                    run_once(node, name, value, strategy, samples.setdefault((name, strategy), {}))
    report.rows += rows(samples)
    return samples


def rows(samples: Samples) -> Iterator[Row]:
    """One line for every workflow and strategy."""
    for (name, strategy), series in samples.items():
        gap, total = Summary.of(series["gap"]), Summary.of(series["end to end"])
        yield {
            "workflow": name,
            "strategy": strategy,
            "runs": total.count,
            "gap p50 ms": gap.p50,
            "gap p99 ms": gap.p99,
            "end to end p50 ms": total.p50,
            "end to end p99 ms": total.p99,
            "handlers p50 ms": Summary.of(series["run"]).p50,
        }


def measure_call(node: Node, rounds: int, report: Report) -> None:
    """A warm no-op over one connection beside its peers, and where its time goes."""
    with peers.plain_uvicorn() as plain, peers.functions_framework() as framework:
        targets = {"actorfaas": f"{node.url}/v1/invoke/noop", FRAMEWORK: framework, "plain uvicorn": plain}
        series = peers.take_turns(targets, 1, rounds, 0.5)
    medians_s = {name: one.medians_s for name, one in series.items()}
    for name, values in medians_s.items():
        ratio = paired_ratio(values, medians_s[FRAMEWORK])
        p50_ms = Summary.of(values).p50 * 1000
        report.rows.append({"warm no-op, 1 connection": name, "p50 ms": p50_ms, f"× {FRAMEWORK}": ratio})
    ratio = paired_ratio(medians_s["actorfaas"], medians_s[FRAMEWORK])
    report.budget(f"warm HTTP no-op, 1 connection, against {FRAMEWORK}", 0.75, ratio, "×")
    take_apart(targets["actorfaas"], report)


def take_apart(url: str, report: Report) -> None:
    """Server-Timing of many warm calls: queue, start and run; the rest of the same calls' time is HTTP."""
    parts: dict[str, list[float]] = {}
    totals: list[float] = []
    for total_ms, timing in load.one_by_one(url, load.post(url, b"null"), DISSECTED + WARM_CALLS):
        timed = {part: float(duration) for part, duration in TIMING.findall(timing)}
        timed["HTTP, both ways, and the client"] = total_ms - sum(timed.values())
        totals.append(total_ms)
        for part, duration in timed.items():
            parts.setdefault(part, []).append(duration)
    whole = Summary.of(totals[WARM_CALLS:]).p50
    for part, values in parts.items():
        p50 = Summary.of(values[WARM_CALLS:]).p50
        report.rows.append({"part of a warm call": part, "p50 ms": p50, "share of the p50 of all": p50 / whole})


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("handoff", chosen.seed)
    with running() as node:
        for path in ("workflows/random_average", "workflows/order_pipeline", "bench/payload", "bench/noop"):
            node.deploy(path)
        samples = measure_workflows(node, 3 if chosen.quick else 30, report)
        measure_call(node, 5 if chosen.quick else 20, report)
    ahead.measure(report, quick=chosen.quick)
    small = samples["order_pipeline", "resident"]["gap"] + samples["random_average", "resident"]["gap"]
    report.budget("state to state, resident, p50", 0.2, Summary.of(small).p50, "ms")
    report.budget("state to state, resident, p99", 1.0, Summary.of(small).p99, "ms")
    report.budget("1 MiB between states, p50", 3.0, Summary.of(samples["payload", "resident"]["gap"]).p50, "ms")
    report.finish(chosen)


if __name__ == "__main__":
    main()
