"""Fork starts per second through the whole platform: every call forks an instance, runs, and ends it.

`python -m bench.forks [--quick] [--minutes 10] [--json FILE]`: flatness is the last tenth's rate against the first's.
"""

from __future__ import annotations

from bench import load
from bench.measure import Summary
from bench.node import running
from bench.report import Report, options

WINDOWS = 10


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, minutes=10.0)
    report = Report("forks", chosen.seed)
    window_s = 3.0 if chosen.quick else chosen.minutes * 60 / WINDOWS
    with running() as node:
        node.deploy("bench/noop")
        url = f"{node.url}/v1/invoke/noop"
        request = load.post(url, b"null", {"Actorfaas-Strategy": "fork"})
        load.run(url, request, connections=4, duration_s=1.0)
        rates, failures = [], 0
        for number in range(1, WINDOWS + 1):
            outcome = load.run(url, request, connections=4, duration_s=window_s)
            summary = Summary.of(outcome.latencies_s)
            rates.append(outcome.rate)
            failures += sum(outcome.failures.values())
            report.rows.append(
                {
                    "window": number,
                    "forks/s": outcome.rate,
                    "p50 ms": summary.p50 * 1000,
                    "p99 ms": summary.p99 * 1000,
                    "failures": sum(outcome.failures.values()),
                }
            )
    report.budget("fork starts", 300, Summary.of(rates).p50, "/s", at_most=False)
    report.budget("last window against the first", 0.8, rates[-1] / rates[0], "×", at_most=False)
    report.budget("failed calls", 0, float(failures), "calls")
    report.finish(chosen)


if __name__ == "__main__":
    main()
