"""Saturation: does anything grow? And the convolution workflow, many times in parallel.

`python -m bench.soak [--quick] [--minutes 2] [--json FILE]`: 32 connections call a no-op while memory, descriptors and
tasks of every actor are sampled; then `convolution` runs 500 times, 8 at once, every answer compared with the one that
numpy gives here.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import load
from bench.node import Node, running
from bench.report import Report, options
from workflows.convolution.app import convolution

CONVOLUTION_INPUT = {"side": 384, "seed": 1}


def actors(node: Node) -> dict[str, dict[str, Any]]:
    """The descriptions that every actor gives of itself, by name."""
    return {actor["actor"]: actor for actor in node.get("/v1/node")["actors"]}


def saturate(node: Node, minutes: float, report: Report) -> None:
    """Call a no-op without pause; compare every actor after a warm-up with the end."""
    url = f"{node.url}/v1/invoke/noop"
    request = load.post(url, b"null")
    load.run(url, request, connections=32, duration_s=min(15.0, minutes * 10))
    before = actors(node)
    outcome = load.run(url, request, connections=32, duration_s=minutes * 60)
    time.sleep(1)
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
        report.budget(f"growth of {name}", 5.0, grown, "MB")
    report.notes.append(f"{len(outcome.latencies_s):,} calls, {outcome.rate:,.0f}/s, failures {outcome.failures}")
    report.budget("failed calls at saturation", 0, float(sum(outcome.failures.values())), "calls")


def convolve(node: Node, runs: int, report: Report) -> None:
    """Run the convolution workflow `runs` times, 8 at once; every answer must be the one computed in this process."""
    expected = json.loads(json.dumps(convolution.run(CONVOLUTION_INPUT)))
    wrong: list[str] = []
    memory: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(1.0):
            memory.append(sum(actor["rss_bytes"] for actor in actors(node).values()))

    def one(_: int) -> None:
        try:
            if node.invoke("convolution", CONVOLUTION_INPUT).json() != expected:
                wrong.append("a different result")
        except RuntimeError as error:
            wrong.append(str(error))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(runs)))
    elapsed = time.perf_counter() - started
    stop.set()
    watcher.join()
    workers = node.get("/v1/workers")["workers"]
    busy = [worker for worker in workers if worker["state"] != "resident"]
    report.rows.append(
        {
            "convolution runs": runs,
            "seconds": elapsed,
            "runs/s": runs / elapsed,
            "wrong": len(wrong),
            "workers after": len(workers),
            "of them not idle": len(busy),
            "actors' RSS half-way MB": memory[len(memory) // 2] / 1e6 if memory else 0.0,
            "actors' RSS at the end MB": memory[-1] / 1e6 if memory else 0.0,
        }
    )
    report.notes += wrong[:3]
    report.budget("wrong or failed convolutions", 0, float(len(wrong)), "runs")
    report.budget("workers not idle afterwards", 0, float(len(busy)), "workers")


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, minutes=2.0)
    report = Report("soak", chosen.seed)
    with running() as node:
        node.deploy("bench/noop")
        node.deploy("workflows/convolution")
        saturate(node, 0.3 if chosen.quick else chosen.minutes, report)
        convolve(node, 40 if chosen.quick else 500, report)
    report.finish(chosen)


if __name__ == "__main__":
    main()
