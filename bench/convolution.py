"""The convolution workflow, many times, 8 at once: is every image right, does a worker stay, does an actor grow?

`python -m bench.convolution [--quick] [--runs 500] [--side 384] [--json FILE]`: five states hand an image (1.5 MiB of
JSON text) to the next one, and every state's result is journalled. The runs come in blocks; after each one, the
private memory of every actor is read (RssAnon of proc(5): what its heap, its buffers and SQLite's pages occupy).
Every result is compared with the one that numpy gives in this process, for a seed of its own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.node import Node, running
from bench.report import Report, options
from workflows.convolution.app import convolution

PARALLEL = 8
BLOCKS = 10
WARM_BLOCKS = 2
"""What an allocator keeps and what caches hold is settled after these; growth is counted from there."""

SEEDS = 16
GROWTH_GOAL_MB = 8.0
SETTLE_TIMEOUT_S = 10.0
IDLE = ("resident", "paging_out", "swapped")

Memory = dict[str, float]


def memory(node: Node) -> Memory:
    """Private memory of every actor in MB, by name."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        actors = node.get("/v1/node")["actors"]
        away = [actor["actor"] for actor in actors if not actor["connected"]]
        if not away:
            return {actor["actor"]: private_bytes(actor["pid"]) / 1e6 for actor in actors}
        if time.monotonic() > deadline:
            raise RuntimeError(f"{', '.join(away)} did not describe itself")


def private_bytes(pid: int) -> int:
    """RssAnon of a process."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status does not say RssAnon")


class Runs:
    """Calls the workflow and compares what comes back."""

    def __init__(self, node: Node, side: int, seed: int) -> None:
        self._node = node
        self._inputs = [{"side": side, "seed": seed + number} for number in range(SEEDS)]
        self._expected = [json.loads(json.dumps(convolution.run(one))) for one in self._inputs]
        self.wrong: list[str] = []

    def block(self, pool: ThreadPoolExecutor, runs: int) -> float:
        """Run `runs` of them; how many seconds they took."""
        started = time.perf_counter()
        list(pool.map(self._one, range(runs)))
        return time.perf_counter() - started

    def _one(self, number: int) -> None:
        which = number % SEEDS
        try:
            if self._node.invoke("convolution", self._inputs[which]).json() != self._expected[which]:
                self.wrong.append(f"seed {self._inputs[which]['seed']}: a different result")
        except RuntimeError as error:
            self.wrong.append(str(error))


def blocks(node: Node, runs: int, side: int, report: Report) -> Iterator[Memory]:
    """Run all blocks; yields every actor's memory after each."""
    calls = Runs(node, side, report.seed)
    each = max(PARALLEL, runs // BLOCKS)
    with ThreadPoolExecutor(PARALLEL) as pool:
        for number in range(BLOCKS):
            elapsed_s = calls.block(pool, each)
            found = memory(node)
            figures = {f"{actor} MB": used for actor, used in found.items()}
            report.rows.append({"runs": (number + 1) * each, "runs/s": each / elapsed_s, **figures})
            yield found
    report.notes += calls.wrong[:3]
    report.budget("wrong or failed convolutions", 0, float(len(calls.wrong)), "runs")


def judge(found: list[Memory], report: Report) -> None:
    """What each actor's memory did after the first blocks."""
    settled = found[WARM_BLOCKS - 1 :]
    for actor in settled[0]:
        series = [one[actor] for one in settled]
        report.budget(f"growth of {actor}", GROWTH_GOAL_MB, max(series) - series[0], "MB")


def left_over(node: Node, report: Report) -> None:
    """No worker may still be doing something."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        workers: list[dict[str, Any]] = node.get("/v1/workers")["workers"]  # as the endpoint says
        busy = [worker for worker in workers if worker["state"] not in IDLE]
        if not busy or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    report.notes.append(f"{len(workers)} workers live, all idle" if not busy else f"still busy: {busy[:3]}")
    report.budget("workers left over", 0, float(len(busy)), "workers")


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, runs=500, side=384)
    report = Report("convolution", chosen.seed)
    with running() as node:
        node.deploy("workflows/convolution")
        judge(list(blocks(node, 80 if chosen.quick else chosen.runs, chosen.side, report)), report)
        left_over(node, report)
    report.finish(chosen)


if __name__ == "__main__":
    main()
