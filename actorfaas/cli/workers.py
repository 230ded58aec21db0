"""`actorfaas workers`: the pool of instances, once or again every second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from actorfaas.cli.output import duration_s, note, size, write_json, write_json_line, write_table
from actorfaas.cli.target import Options, common_options

Json = Any  # a decoded JSON document: what the API answered

MEMORY_COLUMNS = ("memory", "swapped", "working set", "last page-in")
COLUMNS = ("worker", "function", "version", "pid", "state", "instance", *MEMORY_COLUMNS, "held by", "age", "tasks")
UNKNOWN = "-"


@click.command("workers")
@click.option("--watch", is_flag=True, help="Show it again every second.")
@click.option("--interval", "interval_s", default=1.0, type=click.FloatRange(min=0.1), metavar="SECONDS", hidden=True)
@common_options
def workers_command(options: Options, watch: bool, interval_s: float) -> None:
    """Show every live instance: what it serves, its state, who holds it.

    Memory is what is charged to the instance now, swapped what of it is in swap, the working set what was recorded of
    one call, and the last page-in how long reading that back took. Not measured: -
    """
    with options.client() as node:
        if not watch:
            _write(node.workers(), as_json=options.as_json)
            return
        while True:
            pool = node.workers()
            if options.as_json:
                write_json_line(pool)
            else:
                if sys.stdout.isatty():
                    click.clear()
                _write(pool, as_json=False)
            time.sleep(interval_s)


def _write(pool: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(pool)
        return
    for line in _headline(pool):
        note(line)
    write_table(COLUMNS, [_row(worker) for worker in pool["workers"]])
    waiting = sum(topic["waiting"] for topic in pool["topics"])
    note(
        f"{len(pool['workers'])} instances, {waiting} requests waiting, {pool['running_executions']} executions"
        f" running, {pool['reservations']} reservations ({pool['wrong_guesses']} not used)"
    )


def _headline(pool: Json) -> Iterator[str]:
    """How memory is moved here, and how much is in use; nothing while the node does not know yet."""
    if pool["paging_sentence"]:
        yield f"paging: {pool['paging_sentence']}"
    used, budget, swap = pool["memory_usage_bytes"], pool["memory_budget_bytes"], pool["swap_total_bytes"]
    if used or budget or swap:
        memory = size(used) if used else "not measured"
        memory += f" of a budget of {size(budget)}" if budget else ", no budget"
        swapped = f"{size(pool['swap_used_bytes'])} of {size(swap)} in use" if swap else "none"
        yield f"memory of functions: {memory}; swap: {swapped}"


def _row(worker: Json) -> tuple[str, ...]:
    return (
        worker["worker"],
        worker["function"],
        str(worker["version"]),
        str(worker["pid"]),
        worker["state"],
        worker["start_kind"],
        _size(worker["usage_bytes"]),
        _size(worker["swap_bytes"]),
        _size(worker["working_set_bytes"]),
        UNKNOWN if worker["last_page_in_ms"] is None else f"{worker['last_page_in_ms']:.1f} ms",
        worker["held_by"],
        duration_s(worker["age_ms"] / 1000),
        str(worker["tasks"]),
    )


def _size(size_bytes: int | None) -> str:
    return UNKNOWN if size_bytes is None else size(size_bytes)
