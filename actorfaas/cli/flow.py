"""`actorfaas flow`: what calls what, where the time goes, and what would help; from the traces that are kept."""

from __future__ import annotations

from typing import Any

import click

from actorfaas.cli.logs import Age
from actorfaas.cli.output import note, write_json, write_table
from actorfaas.cli.target import Options, common_options
from actorfaas.flow import report
from actorfaas.flow.critical import critical_path
from actorfaas.flow.diagnosis import diagnose
from actorfaas.flow.documents import waits_of
from actorfaas.flow.graph import graph_of, percentile
from actorfaas.flow.replay import Change
from actorfaas.flow.tree import Forest

Json = Any  # a decoded JSON document: what the API answered


class WhatIf(click.ParamType[Change]):
    """FUNCTION:workers=N or FUNCTION:faster=X."""

    name = "change"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Change:  # click's type
        if isinstance(value, Change):
            return value
        function, _, rest = str(value).partition(":")
        what, _, number = rest.partition("=")
        try:
            if function and what == "workers" and int(number) > 0:
                return Change(workers={function: int(number)})
            if function and what == "faster" and 0 < float(number) < float("inf"):
                return Change(faster={function: float(number)})
        except ValueError:
            pass
        return self.fail(f"{value!r} is not FUNCTION:workers=N or FUNCTION:faster=X", param, ctx)


@click.command("flow")
@click.argument("name", required=False, default="")
@click.option("--since", type=Age(), metavar="DURATION", help="Only what began in the last 90s, 15m, 2h, 1d.")
@click.option(
    "--limit", default=200, show_default=True, type=click.IntRange(1, 1000), help="Most calls and executions."
)
@click.option("--trace", "trace_id", default="", metavar="ID", help="The critical path of one trace instead.")
@click.option(
    "--what-if",
    "wanted",
    multiple=True,
    type=WhatIf(),
    metavar="CHANGE",
    help="FUNCTION:workers=N or FUNCTION:faster=X; repeatable.",
)
@click.option("--mermaid", is_flag=True, help="Only the graph, as Mermaid text.")
@common_options
def flow_command(
    options: Options,
    name: str,
    since: float | None,
    limit: int,
    trace_id: str,
    wanted: tuple[Change, ...],
    mermaid: bool,
) -> None:
    """Show what calls what, what the time of NAME (a workflow or function; or of everything) goes into, and what more
    workers or faster functions would gain. From the traces that are kept.

    \b
      actorfaas flow orders --since 15m
      actorfaas flow orders --what-if resize:workers=8
    """
    with options.client() as node:
        if trace_id:
            _show_path(waits_of(node.trace(trace_id)["spans"]), as_json=options.as_json)
            return
        forest = waits_of(node.spans(since_s=since or 0.0, limit=limit)["spans"])
        concurrency = {one["name"]: int(one["concurrency"]) for one in node.functions()["functions"]}
    graph = graph_of(forest, name)
    if mermaid:
        for line in report.mermaid(graph):
            click.echo(line)
        return
    diagnosis = diagnose(forest, concurrency, name, wanted)
    if options.as_json:
        write_json(report.document(graph, diagnosis))
        return
    if not diagnosis.took_ns:
        note(f"no traces of {name or 'anything'} are kept; of plain calls a share is, see the setting trace_share")
        return
    write_table(report.EDGE_COLUMNS, report.edge_rows(graph))
    _show(diagnosis.took_ns, report.share_rows(diagnosis), f"{name or 'whatever began a trace'}")
    click.echo(f"\nBottleneck: {diagnosis.bottleneck}")
    if diagnosis.effects:
        click.echo("")
        write_table(report.EFFECT_COLUMNS, report.effect_rows(diagnosis))
        note(report.caution(diagnosis.effects[0]))


def _show(took_ns: tuple[int, ...], rows: list[tuple[str, ...]], name: str) -> None:
    p50, p99 = percentile(took_ns, 50) / 1e6, percentile(took_ns, 99) / 1e6
    click.echo(f"\n{len(took_ns)} × {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms. On the critical path:")
    write_table(report.SHARE_COLUMNS, rows)


def _show_path(forest: Forest, *, as_json: bool) -> None:
    for root in forest.roots:
        path = critical_path(forest, root)
        if as_json:
            write_json([{"name": s.name, "kind": s.kind, "took_us": s.took_ns / 1000} for s in path])
        else:
            title = f"critical path of {root.kind} {root.name}, {root.took_ns / 1e6:.3f} ms"
            write_table(("at ms", "took ms", "in", "what"), report.path_rows(path), title=title)
