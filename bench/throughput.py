"""No-op calls at 1, 16 and 64 connections: the platform, functions-framework and a plain uvicorn, interleaved.

`python -m bench.throughput [--quick] [--json FILE]`. The same client (`bench.load`) drives all three, on the same
machine, so it competes with them for the processor; compare the ratios, not the rates.
"""

from __future__ import annotations

from bench import load, peers
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


def measure(targets: dict[str, str], connections: int, rounds: int, seconds: float, report: Report) -> None:
    """All targets in turn, `rounds` times, with so many connections; one warm-up round is thrown away."""
    rates: dict[str, list[float]] = {name: [] for name in targets}
    medians: dict[str, list[float]] = {name: [] for name in targets}
    latencies: dict[str, list[float]] = {name: [] for name in targets}
    failures: dict[str, int] = dict.fromkeys(targets, 0)
    for round_number in range(rounds + 1):
        for name, url in targets.items():
            outcome = load.run(url, load.post(url, b"null"), connections, seconds)
            if round_number == 0:
                continue
            rates[name].append(outcome.rate)
            medians[name].append(Summary.of(outcome.latencies_s).p50)
            latencies[name] += outcome.latencies_s
            failures[name] += sum(outcome.failures.values())
    for name in targets:
        summary = Summary.of(latencies[name])
        report.rows.append(
            {
                "connections": connections,
                "server": name,
                "calls/s": Summary.of(rates[name]).p50,
                "p50 ms": summary.p50 * 1000,
                "p99 ms": summary.p99 * 1000,
                "failures": failures[name],
                f"rate × {FRAMEWORK}": paired_ratio(rates[name], rates[FRAMEWORK]),
            }
        )
    if connections == 1:
        ratio = paired_ratio(medians["actorfaas"], medians[FRAMEWORK])
        report.budget(f"p50 at 1 connection against {FRAMEWORK}", 0.75, ratio, "×")
    if connections == 16:
        ratio = paired_ratio(rates["actorfaas"], rates[FRAMEWORK])
        report.budget(f"rate at 16 connections against {FRAMEWORK}", 2.0, ratio, "×", at_most=False)


if __name__ == "__main__":
    main()
