"""Saturation: does anything grow?

`python -m bench.soak [--quick] [--minutes 2] [--json FILE]`: 32 connections call a no-op without pause; memory,
descriptors and tasks of every actor are read after a warm-up and at the end.
"""

from __future__ import annotations

import time
from typing import Any

from bench import load
from bench.node import Node, running
from bench.report import Report, options

CONNECTIONS = 32
GROWTH_GOAL_MB = 5.0
SETTLE_S = 1.0
"""Until the actors have noticed that the connections of a run are closed."""
LOOKS = 20


def actors(node: Node) -> dict[str, dict[str, Any]]:
    """The descriptions that every actor gives of itself, by name.

    Tasks are the fewest of several looks: a measurement under way is one more for a moment.
    """
    looks = [{actor["actor"]: actor for actor in node.get("/v1/node")["actors"]} for _ in range(LOOKS)]
    return {name: actor | {"tasks": min(look[name]["tasks"] for look in looks)} for name, actor in looks[-1].items()}


def saturate(node: Node, minutes: float, report: Report) -> None:
    """Call a no-op without pause; compare every actor after a warm-up with the end."""
    url = f"{node.url}/v1/invoke/noop"
    request = load.post(url, b"null")
    load.run(url, request, connections=CONNECTIONS, duration_s=min(15.0, minutes * 10))
    time.sleep(SETTLE_S)
    before = actors(node)
    outcome = load.run(url, request, connections=CONNECTIONS, duration_s=minutes * 60)
    time.sleep(SETTLE_S)
    after = actors(node)
    for name, first in before.items():
        last = after[name]
        report.rows.append(
            {
                "actor": name,
                "RSS before MB": first["rss_bytes"] / 1e6,
                "RSS after MB": last["rss_bytes"] / 1e6,
                "files before": first["open_files"],
                "files after": last["open_files"],
                "tasks before": first["tasks"],
                "tasks after": last["tasks"],
            }
        )
        grown = (last["rss_bytes"] - first["rss_bytes"]) / 1e6
        report.budget(f"growth of {name}", GROWTH_GOAL_MB, grown, "MB")
    for what in ("open_files", "tasks"):
        grown = max(after[name][what] - first[what] for name, first in before.items())
        report.budget(f"growth of {what.replace('_', ' ')} in any actor", 0, float(grown), "")
    report.notes.append(f"{len(outcome.latencies_s):,} calls, {outcome.rate:,.0f}/s, failures {outcome.failures}")
    report.budget("failed calls at saturation", 0, float(sum(outcome.failures.values())), "calls")


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, minutes=2.0)
    report = Report("soak", chosen.seed)
    with running() as node:
        node.deploy("bench/noop")
        saturate(node, 0.3 if chosen.quick else chosen.minutes, report)
    report.finish(chosen)


if __name__ == "__main__":
    main()
