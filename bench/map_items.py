"""Map states of many items: how long they take, and whether memory stays flat.

`python -m bench.map_items [--quick] [--json FILE]`. Ten thousand items, eight at once: in the state's input (an inline
Map state), and as rows of a CSV object (a distributed one, whose results are written to the object store). Then a CSV
object of a million rows, in batches of a thousand. Memory is what the ExecutionManager and the DataLayer have for
themselves (anonymous pages, in memory and in swap, by /proc/PID/smaps_rollup), looked at ten times a second: a payload
file that is mapped does not count, since the kernel drops its pages when it needs them. `grown` is the most that was
added.

A look at such an execution afterwards gets its first page. At the end a running Map state of ten thousand items is
cancelled: how long until no instance works any more; an item that began after the answer fails the benchmark.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.node import Node, running
from bench.report import Report, options

Json = Any  # a decoded JSON document

ACTORS = ("execution_manager", "data_layer")
LOOK_EVERY_S = 0.1
PATIENCE_S = 600.0


def own_bytes(pid: int) -> int:
    """What a process has for itself, in memory and in swap."""
    found = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        name, _, rest = line.partition(":")
        if name in ("Anonymous", "Swap"):
            found += int(rest.split()[0]) * 1024
    return found


@dataclass
class Memory:
    """What actors had before, and the most since then, in bytes by actor."""

    before: dict[str, int]
    most: dict[str, int] = field(default_factory=dict)

    def grown_mb(self, actor: str) -> float:
        """How much more it was at most."""
        return (self.most[actor] - self.before[actor]) / 1e6


@contextmanager
def watched(node: Node) -> Iterator[Memory]:
    """Look at the actors' memory until the end."""
    pids = {one["actor"]: one["pid"] for one in node.get("/v1/node")["actors"] if one["actor"] in ACTORS}
    memory = Memory({actor: own_bytes(pid) for actor, pid in pids.items()})
    memory.most = dict(memory.before)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_EVERY_S):
            for actor, pid in pids.items():
                memory.most[actor] = max(memory.most[actor], own_bytes(pid))

    looker = threading.Thread(target=look, name="memory")
    looker.start()
    try:
        yield memory
    finally:
        ended.set()
        looker.join()


def started(node: Node, name: str, value: Json) -> str:
    """Begin an execution; its id."""
    return str(node.invoke(name, value, Prefer="respond-async").json()["execution_id"])


def ended(node: Node, execution: str) -> Json:
    """An execution once it has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = node.get(f"/v1/executions/{execution}?wait=30&limit=1")
        if found["status"] != "running":
            return found
    raise TimeoutError(f"{execution} has not ended within {PATIENCE_S:g} s")


def run(node: Node, report: Report, name: str, value: Json, items: int) -> Memory:
    """One execution as a row."""
    with watched(node) as memory:
        began = time.monotonic()
        execution = started(node, name, value)
        found = ended(node, execution)
        took_s = time.monotonic() - began
    if found["status"] != "succeeded":
        raise RuntimeError(f"{name}: {found['error']}")
    report.rows.append(
        {
            "Map state": name,
            "items": items,
            "s": took_s,
            "items/s": items / took_s,
            **{f"{actor} before, MB": memory.before[actor] / 1e6 for actor in ACTORS},
            **{f"{actor} grown, MB": memory.grown_mb(actor) for actor in ACTORS},
        }
    )
    look_up(node, report, name, execution)
    return memory


def look_up(node: Node, report: Report, name: str, execution: str) -> None:
    """What it costs to look at an execution afterwards, without saying how much of it."""
    for path in ("", "/history"):
        began = time.monotonic()
        answer = node.http.get(f"/v1/executions/{execution}{path}").raise_for_status()
        took_ms = (time.monotonic() - began) * 1e3
        what = f"GET /v1/executions/ID{path}"
        report.rows.append({"of": name, "look-up": what, "kB": len(answer.content) / 1e3, "ms": took_ms})


def cancel(node: Node, report: Report, value: Json, items: int) -> float:
    """Cancel an execution that runs; how long until no instance works any more."""

    def succeeded() -> int:
        (run,) = node.get(f"/v1/executions/{execution}?limit=10")["map_runs"] or [{}]
        return int(run.get("succeeded") or 0)

    execution = started(node, "rows", value)
    while succeeded() < items // 20:
        time.sleep(0.01)
    began = time.monotonic()
    node.http.post(f"/v1/executions/{execution}/cancel").raise_for_status()
    while any(worker["execution_id"] == execution for worker in node.get("/v1/workers")["workers"]):
        time.sleep(0.005)
    took_s = time.monotonic() - began
    ran = len(tasks(node, execution))
    time.sleep(1)
    more = len(tasks(node, execution)) - ran
    report.rows.append({"cancelled": "rows", "items": items, "had run": ran, "ms until all was still": took_s * 1e3})
    if more:
        raise RuntimeError(f"{more} items ran after the execution was cancelled")
    return took_s


def tasks(node: Node, execution: str) -> list[Json]:
    """The results in an execution's history."""
    found: list[Json] = []
    cursor = ""
    while True:
        page = node.get(f"/v1/executions/{execution}/history?limit=10000&cursor={cursor}")
        found += [event for event in page["events"] if event["type"] == "TaskSucceeded"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def table(rows: int) -> str:
    """A CSV object."""
    return "id,name,amount\n" + "".join(f"{number},name {number},{number * 3}\n" for number in range(rows))


def main(arguments: list[str] | None = None) -> Report:
    """Run it."""
    given = options(__doc__, arguments)
    report = Report("map_items", given.seed)
    items, many = (1_000, 100_000) if given.quick else (10_000, 1_000_000)
    with tempfile.TemporaryDirectory() as folder, running(objects_dir=folder) as node:
        for bucket in ("in", "out"):
            Path(folder, bucket).mkdir()
        Path(folder, "in", "table.csv").write_text(table(items))
        Path(folder, "in", "large.csv").write_text(table(many))
        node.deploy("bench/items")
        Path(folder, "in", "few.csv").write_text(table(200))
        ended(node, started(node, "rows", "few.csv"))  # pools and code are warm
        in_input = run(node, report, "inline", list(range(items)), items)
        in_object = run(node, report, "rows", "table.csv", items)
        large = run(node, report, "batches", "large.csv", many)
        still_s = cancel(node, report, "table.csv", items)
    for actor in ACTORS:
        report.budget(f"{actor}: inline Map state, memory grown", 16, in_input.grown_mb(actor), "MB")
        report.budget(f"{actor}: rows of an object, memory grown", 16, in_object.grown_mb(actor), "MB")
        report.budget(f"{actor}: a large object in batches, memory grown", 16, large.grown_mb(actor), "MB")
    report.budget("cancelled until all is still", 1_000, still_s * 1e3, "ms")
    report.finish(given)
    return report


if __name__ == "__main__":
    main()
