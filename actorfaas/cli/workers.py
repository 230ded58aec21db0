"""`actorfaas workers`: the pool of instances, once or again every second."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from actorfaas.cli.output import duration_s, note, write_json, write_json_line, write_table
from actorfaas.cli.target import Options, common_options

Json = Any  # a decoded JSON document: what the API answered

COLUMNS = ("worker", "function", "version", "pid", "state", "instance", "held by", "age", "tasks")


@click.command("workers")
@click.option("--watch", is_flag=True, help="Show it again every second.")
@click.option("--interval", "interval_s", default=1.0, type=click.FloatRange(min=0.1), metavar="SECONDS", hidden=True)
@common_options
def workers_command(options: Options, watch: bool, interval_s: float) -> None:
    """Show every live instance: what it serves, its state, who holds it."""
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
    write_table(COLUMNS, [_row(worker) for worker in pool["workers"]])
    waiting = sum(topic["waiting"] for topic in pool["topics"])
    note(
        f"{len(pool['workers'])} instances, {waiting} requests waiting, {pool['running_executions']} executions"
        f" running, {pool['reservations']} reservations ({pool['wrong_guesses']} not used)"
    )


def _row(worker: Json) -> tuple[str, ...]:
    return (
        worker["worker"],
        worker["function"],
        str(worker["version"]),
        str(worker["pid"]),
        worker["state"],
        worker["start_kind"],
        worker["held_by"],
        duration_s(worker["age_ms"] / 1000),
        str(worker["tasks"]),
    )
