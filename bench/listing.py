"""A million executions: how long pages of them take, the start of a node, and retention while executions are started.

`python -m bench.listing [--quick] [--executions 1000000] [--folder DIR] [--json FILE]` writes a database with the
store's own statements (unless DIR has one already): executions of twenty workflows over a month, a tenth of them with
names; a thousand still run, of an application that is not there any more, so that the node ends them at its start. Then
it is asked over HTTP, every kind of query in turn, 50 executions a page, one page after the other. In the end a node
whose retention is lower deletes the oldest, while executions are started and listed.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actorfaas.messages import ClaimExecutionName, CreateExecution, FinishExecution, HistoryEvent
from actorfaas.storage import execution_names, executions, schema
from actorfaas.storage.bodies import Body
from actorfaas.storage.database import Database
from actorfaas.storage.writer import Transaction
from actorfaas.testing import running_node
from bench.measure import Summary
from bench.node import Node
from bench.report import Report, options

Json = Any  # a decoded JSON document

WORKFLOWS = 20
MONTH_MS = 30 * 86_400_000
RUNNING = 1_000
NAMED_SHARE = 0.1
CHUNK = 5_000
PAGE = 50
PAGE_GOAL_MS = 20.0
START_GOAL_S = 10.0
STALL_GOAL_MS = 100.0
ENDS = ("succeeded",) * 90 + ("failed",) * 7 + ("timed_out",) * 2 + ("cancelled",)
PRUNED_SHARE = 0.1
UNDER_RETENTION_S = 8.0


def fill(folder: Path, count: int, seed: int) -> float:
    """Write so many executions; the seconds it took."""
    began = time.perf_counter()
    database = Database(folder / "state.sqlite", schema.STATE_APPLICATION_ID, schema.STATE_MIGRATIONS, "normal")
    database.prepare()
    connection = database.writer()
    connection.execute("PRAGMA cache_size = -262144")  # as much as a bulk load likes
    chance = random.Random(seed)
    now_ms = time.time_ns() // 1_000_000
    for first in range(0, count, CHUNK):
        connection.execute("BEGIN")
        transaction = Transaction(connection)
        for number in range(first, min(first + CHUNK, count)):
            at_ms = now_ms - MONTH_MS + number * MONTH_MS // count
            _write(transaction, number, at_ms, chance, is_running=number >= count - RUNNING)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return time.perf_counter() - began


def _write(transaction: Transaction, number: int, at_ms: int, chance: random.Random, *, is_running: bool) -> None:
    execution_id, workflow = f"exe_{number:026}", f"flow{number % WORKFLOWS}"
    create = CreateExecution(execution_id, workflow, "app", 1, "workflow", "standard", 0, "", b"")
    if chance.random() < NAMED_SHARE:
        given = f"{'order' if chance.random() < 0.99 else 'rare'}-{number}"
        execution_names.claim(transaction, ClaimExecutionName(workflow, given, "f", execution_id), at_ms)
    if is_running:
        executions.create(transaction, create, Body(b'{"n":1}'), at_ms)
        return
    status = chance.choice(ENDS)
    executions.create(transaction, create, Body(b'{"n":1}'), at_ms)
    events = (_event(1, at_ms, "ExecutionStarted"), _event(2, at_ms + 100, f"Execution{status.title()}"))
    finish = FinishExecution(execution_id, status, "", "", events, b"")
    executions.finish(transaction, finish, [Body(b""), Body(b""), Body(b'{"done":true}')], at_ms + 100)


def _event(seq: int, at_ms: int, type_: str) -> HistoryEvent:
    return HistoryEvent(seq, at_ms, type_, "", 0, "", "", 0, 0, 0, 0, "", "", b"")


# --- queries ------------------------------------------------------------------------------------------------------


def kinds(now_ms: int) -> dict[str, dict[str, str]]:
    """What is asked for, by what it is called."""
    week_ago = str(now_ms - MONTH_MS * 7 // 30)
    return {
        "all": {},
        "of a workflow": {"name": "flow7"},
        "with a frequent status": {"status": "succeeded"},
        "with a rare status": {"status": "cancelled"},
        "running": {"status": "running"},
        "of a workflow, with a rare status": {"name": "flow7", "status": "cancelled"},
        "before a week ago": {"started_before_ms": week_ago},
        "of a workflow and status, before a week ago": {
            "name": "flow7",
            "status": "failed",
            "started_before_ms": week_ago,
        },
        "a frequent beginning of the name": {"execution_name": "order-"},
        "a rare beginning of the name": {"execution_name": "rare-1"},
        "a rare beginning of the name, of a workflow": {"execution_name": "rare-", "name": "flow7"},
    }


def page(node: Node, query: dict[str, str]) -> tuple[float, Json]:
    """One page, and how many milliseconds it took."""
    began = time.perf_counter()
    answer = node.http.get("/v1/executions", params={**query, "limit": str(PAGE)})
    answer.raise_for_status()
    return (time.perf_counter() - began) * 1000, answer.json()


def ask(node: Node, query: dict[str, str], times: int) -> tuple[list[float], int, bool]:
    """Pages one after the other, from the first one on: their times, how many executions, whether more would follow."""
    took: list[float] = []
    found = 0
    cursor = ""
    for _ in range(times):
        ms, answer = page(node, {**query, **({"cursor": cursor} if cursor else {})})
        took.append(ms)
        found += len(answer["executions"])
        cursor = answer["next_cursor"] or ""
    return took, found, bool(cursor)


def measure(node: Node, report: Report, times: int) -> None:
    """Every kind of query."""
    queries = kinds(time.time_ns() // 1_000_000)
    for query in queries.values():
        page(node, query)  # what it needs of the file is in memory then
    for name, query in queries.items():
        took, found, _ = ask(node, query, times)
        summary = Summary.of(took)
        report.rows.append(
            {"executions": name, "pages": times, "found": found, "p50 ms": summary.p50, "p99 ms": summary.p99}
        )
        report.budget(f"page: {name}", PAGE_GOAL_MS, summary.p99, "ms p99")


# --- starting and retention ---------------------------------------------------------------------------------------


def started(folder: Path, retention: int, use: Callable[[Node], None]) -> float:
    """Start a node on the database and use it; the seconds until it was ready."""
    began = time.perf_counter()
    with running_node(folder, execution_retention=retention) as running:
        took = time.perf_counter() - began
        node = Node(running)
        with node.http:
            use(node)
    return took


def under_retention(node: Node, report: Report) -> None:
    """Start executions and list them, while the oldest are deleted."""
    node.deploy("bench/echo")
    starts: list[float] = []
    pages: list[float] = []
    until = time.monotonic() + UNDER_RETENTION_S
    while time.monotonic() < until:
        began = time.perf_counter()
        node.invoke("echo", 1, Prefer="respond-async")
        starts.append((time.perf_counter() - began) * 1000)
        pages.append(page(node, {"name": "flow7"})[0])
    for name, took in (("start of an execution (202)", starts), ("page of a workflow", pages)):
        summary = Summary.of(took)
        report.rows.append(
            {"while the oldest are deleted": name, "count": summary.count, "p50 ms": summary.p50, "p99 ms": summary.p99}
            | {"slowest ms": summary.maximum}
        )
        report.budget(f"{name}, while the oldest are deleted", STALL_GOAL_MS, summary.p99, "ms p99")


def left(folder: Path) -> int:
    """How many executions the database has."""
    database = Database(folder / "state.sqlite", schema.STATE_APPLICATION_ID, schema.STATE_MIGRATIONS, "normal")
    connection = database.reader()
    try:
        return int(connection.execute("SELECT count(*) FROM execution").fetchone()[0])
    finally:
        connection.close()


def main() -> None:
    """Fill, ask, start again with less retention, write."""
    chosen = options(__doc__, executions=1_000_000, folder="")
    count = 100_000 if chosen.quick else chosen.executions
    report = Report("listing", chosen.seed)
    with tempfile.TemporaryDirectory(prefix="actorfaas-listing-") as name:
        folder = Path(chosen.folder or name)
        if not (folder / "state.sqlite").exists():
            seconds = fill(folder, count, chosen.seed)
            report.notes.append(f"{count:,} executions were written in {seconds:.0f} s")
        size_mb = (folder / "state.sqlite").stat().st_size / 1e6
        report.notes.append(f"the database has {left(folder):,} executions and {size_mb:,.0f} MB")
        times = 20 if chosen.quick else 100
        start_s = started(folder, 10 * count, lambda node: measure(node, report, times))
        report.budget(f"start of a node with {count:,} executions", START_GOAL_S, start_s, "s")
        kept = int(count * (1 - PRUNED_SHARE))
        before = left(folder)
        started(folder, kept, lambda node: under_retention(node, report))
        report.notes.append(f"{before - left(folder):,} more were deleted than started in {UNDER_RETENTION_S:g} s")
    report.finish(chosen)


if __name__ == "__main__":
    main()
