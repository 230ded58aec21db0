"""No-op calls at 1, 16 and 64 connections: the platform, functions-framework and a plain uvicorn, interleaved.

`python -m bench.throughput [--quick] [--json FILE]`. The same client (`bench.load`) drives all three, on the same
machine, so it competes with them for the processor; compare the ratios, not the rates. Peers run with their defaults
(`bench.peers`): functions-framework in one process with four threads for each core.
"""

from __future__ import annotations

from bench import peers
from bench.measure import Summary, paired_ratio
from bench.node import running
from bench.report import Report, options

CONNECTIONS = (1, 16, 64)
FRAMEWORK = "functions-framework"


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("throughput", chosen.seed)
    rounds, seconds = (3, 1.0) if chosen.quick else (10, 2.0)
    with running() as node, peers.plain_uvicorn() as plain, peers.functions_framework() as framework:
        node.deploy("bench/noop")
        targets = {"actorfaas": f"{node.url}/v1/invoke/noop", FRAMEWORK: framework, "plain uvicorn": plain}
        for connections in CONNECTIONS:
            measure(targets, connections, rounds, seconds, report)
    report.finish(chosen)


def measure(targets: dict[str, str], connections: int, rounds: int, turn_s: float, report: Report) -> None:
    """All targets in turn with so many connections."""
    series = peers.take_turns(targets, connections, rounds, turn_s)
    ours, framework = series["actorfaas"], series[FRAMEWORK]
    for name, one in series.items():
        summary = Summary.of(one.latencies_s)
        report.rows.append(
            {
                "connections": connections,
                "server": name,
                "calls/s": Summary.of(one.rates).p50,
                "p50 ms": summary.p50 * 1000,
                "p99 ms": summary.p99 * 1000,
                "failures": one.failures,
                f"rate × {FRAMEWORK}": paired_ratio(one.rates, framework.rates),
            }
        )
    if connections == 1:
        ratio = paired_ratio(ours.medians_s, framework.medians_s)
        report.budget(f"p50 at 1 connection against {FRAMEWORK}", 0.75, ratio, "×")
    if connections == 16:
        ratio = paired_ratio(ours.rates, framework.rates)
        report.budget(f"rate at 16 connections against {FRAMEWORK}", 2.0, ratio, "×", at_most=False)
    report.budget(f"failed calls at {connections} connections", 0, float(ours.failures), "calls")


if __name__ == "__main__":
    main()
