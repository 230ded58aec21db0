"""`actorfaas trace`: the waterfall of one trace, or a list of traces."""

from __future__ import annotations

from typing import Any

import click

from actorfaas.cli.logs import Age
from actorfaas.cli.output import ago, note, write_json, write_table
from actorfaas.cli.target import Options, common_options

Json = Any  # a decoded JSON document: what the API answered


@click.command("trace")
@click.argument("trace_id", metavar="[TRACE]", required=False, default="")
@click.option("--function", default="", metavar="NAME", help="List those in which it was called, or that workflow run.")
@click.option("--since", type=Age(), metavar="DURATION", help="List those of the last 90s, 15m, 2h, 1d.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Most lines of the list.")
@click.option("--otlp", default="", metavar="URL", help="Send the spans to an OTLP/HTTP collector instead.")
@common_options
def trace_command(options: Options, trace_id: str, function: str, since: float | None, limit: int, otlp: str) -> None:
    """Show where the time of TRACE went, or list the traces that are kept, newest first.

    A trace's id is in the `traceresponse` header of an answer, and in `actorfaas invoke --timing`.

    \b
    With --otlp the trace, or all spans of the newest calls and executions, go to a collector:
      actorfaas trace --since 5m --limit 1000 --otlp http://127.0.0.1:4318/v1/traces
    """
    if trace_id and (function or since):
        raise click.UsageError("--function and --since are for the list, without a TRACE")
    with options.client() as node:
        if otlp:
            reply = (
                node.trace(trace_id) if trace_id else node.spans(function=function, since_s=since or 0.0, limit=limit)
            )
            _export(reply["spans"], otlp)
            return
        reply = node.trace(trace_id) if trace_id else node.traces(function=function, since_s=since or 0.0, limit=limit)
    if options.as_json:
        write_json(reply)
    elif trace_id:
        _show(reply)
    else:
        _list(reply["traces"])


def _export(documents: Json, endpoint: str) -> None:
    from actorfaas.cli.export import export
    from actorfaas.flow.documents import spans_of

    spans = spans_of(documents)
    note(f"{export(spans, endpoint)} of {len(spans)} spans sent to {endpoint}")


def _show(trace: Json) -> None:
    from actorfaas.flow.documents import spans_of
    from actorfaas.flow.waterfall import waterfall

    for line in waterfall(spans_of(trace["spans"])):
        click.echo(line)


def _list(traces: Json) -> None:
    if not traces:
        note("no traces; of plain calls a share is kept, see the settings trace_share and trace_per_second")
        return
    write_table(
        ("trace", "of", "name", "began", "took ms", "error"),
        [
            (
                one["trace_id"],
                one["kind"],
                one["name"],
                f"{ago(one['began_at_ms'])} ago",
                f"{one['took_ms']:.3f}",
                one["error"],
            )
            for one in traces
        ],
    )
