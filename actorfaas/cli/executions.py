"""`actorfaas executions`, `cancel` and `redrive`, and how one execution is shown."""

from __future__ import annotations

import time
from typing import Any

import click

from actorfaas.cli.logs import Age
from actorfaas.cli.output import ago, duration_s, note, write_json, write_table
from actorfaas.cli.target import Options, common_options
from actorfaas.ids import STATUSES

Json = Any  # a decoded JSON document: what the API answered


@click.command("executions")
@click.option("--name", default="", help="Only of this function or workflow.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those in this state.")
@click.option("--execution-name", default="", metavar="TEXT", help="Only those whose given name begins so.")
@click.option("--since", type=Age(), metavar="DURATION", help="Only those that started within 90s, 15m, 2h, 1d.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Most lines.")
@click.option("--cursor", default="", help="Where the page before ended.")
@common_options
def executions_command(
    options: Options,
    name: str,
    status: str | None,
    execution_name: str,
    since: float | None,
    limit: int,
    cursor: str,
) -> None:
    """List executions, newest first.

    \b
      actorfaas executions --status failed --since 1h
    """
    with options.client() as node:
        reply = node.executions(
            name=name,
            status=status or "",
            execution_name=execution_name,
            started_from_ms=0 if since is None else round((time.time() - since) * 1000),
            limit=limit,
            cursor=cursor,
        )
    if options.as_json:
        write_json(reply)
        return
    if not reply["executions"]:
        note("no executions; a plain function call leaves one only with --async or --wait")
        return
    write_table(
        ("execution", "name", "version", "called", "status", "started", "took"),
        [
            (
                one["execution_id"],
                one["name"],
                str(one.get("version", "")),
                one.get("execution_name") or "",
                one["status"],
                f"{ago(one.get('started_at_ms', 0))} ago",
                took(one),
            )
            for one in reply["executions"]
        ],
    )
    if reply.get("next_cursor"):
        note(f"More: --cursor {reply['next_cursor']}")


@click.command("cancel")
@click.argument("execution_id", metavar="EXECUTION")
@common_options
def cancel_command(options: Options, execution_id: str) -> None:
    """Stop an execution: what runs for it is ended, and nothing follows."""
    with options.client() as node:
        reply = node.cancel(execution_id)
    if options.as_json:
        write_json(reply if reply is not None else {"execution_id": execution_id})
    else:
        note(f"cancelled {execution_id}")


@click.command("redrive")
@click.argument("execution_id", metavar="EXECUTION")
@common_options
def redrive_command(options: Options, execution_id: str) -> None:
    """Go on with an execution that failed, timed out or was cancelled, from what failed.

    States that had succeeded keep their results; in a Parallel or Map state only the branches that had not succeeded
    run again.
    """
    with options.client() as node:
        reply = node.redrive(execution_id)
    if options.as_json:
        write_json(reply)
    else:
        note(f"{execution_id} runs again (redrive {reply['redrive_count']})")


def took(execution: Json) -> str:
    """How long an execution ran, or has been running."""
    started, ended = execution.get("started_at_ms", 0), execution.get("ended_at_ms", 0)
    if not started:
        return "-"
    return duration_s((ended - started) / 1000) if ended else f"{ago(started)} so far"


def map_run_text(run: Json) -> str:
    """What became of the items of a map run, in words."""
    names = ("succeeded", "failed", "running", "pending", "aborted")
    counts = [f"{run[name]} {name}" for name in names if run.get(name)]
    total = run.get("total")
    return f"{run.get('status', '')}: {', '.join(counts) or 'no items'}" + (f" of {total}" if total else "")


def show_states(execution: Json) -> None:
    """One line for each state on standard error: who ran it, and where the time went."""
    states_table(execution, title=f"execution {execution.get('execution_id', '')}", err=True)


def states_table(execution: Json, *, title: str, err: bool) -> None:
    """The states of an execution as a table."""
    rows = [
        (
            _place(state),
            str(state.get("status", "")),
            str(state.get("worker", "")),
            str(state.get("start_kind", "")),
            _ms(state, "gap_ms") if number else "",
            _ms(state, "queue_ms"),
            _ms(state, "page_in_ms"),
            _ms(state, "start_ms"),
            _ms(state, "run_ms"),
        )
        for number, state in enumerate(execution["states"])
    ]
    columns = ("state", "status", "worker", "instance", "hand-off ms", "queue ms", "page-in ms", "start ms", "run ms")
    write_table(columns, rows, title=title, err=err)


def _place(state: Json) -> str:
    """A state's name, and in brackets which branch or item it belongs to."""
    index = state.get("index")
    return str(state.get("name", "")) if index is None else f"{state.get('name', '')} [{index}]"


def _ms(state: Json, name: str) -> str:
    value = state.get(name)
    return "" if value is None else f"{value:.3f}"
