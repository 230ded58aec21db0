"""The HTML report of a run: one file that needs nothing else, light or dark as its reader's system is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from actorfaas.load import plots
from actorfaas.load.plots import Series
from actorfaas.load.summary import NOT_TOLD

Json = dict[str, Any]  # a JSON object

SHOWN = ("p50", "p90", "p99", "p99.9", "p99.99", "max")

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2330;--soft:#5b6472;--rule:#d9dee6;--bad:#b3261e;--good:#1b6e3c;
--c0:#0b5cad;--c1:#b4540a;--c2:#0f7b5f;--c3:#8a3fa0;--c4:#6b6b00;--c5:#a3204f;--c6:#3f5563;--c7:#7a5c3a}
@media(prefers-color-scheme:dark){:root{--paper:#12161d;--ink:#e6eaf0;--soft:#a3adba;--rule:#2c3440;--bad:#ff8a80;
--good:#7ddc9f;--c0:#6db3ff;--c1:#ffb066;--c2:#5fd9b4;--c3:#d9a0ee;--c4:#d5d06a;--c5:#ff93b8;--c6:#a9bccb;--c7:#d3b48c}}
body{margin:0 auto;max-width:62rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .25rem}p{margin:.25rem 0;color:var(--soft)}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.75rem;margin:1.25rem 0;padding:0}
.numbers div{border:1px solid var(--rule);border-radius:.5rem;padding:.6rem .8rem}
dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.35rem;font-variant-numeric:tabular-nums}
.warning,.verdict{border-left:.3rem solid var(--bad);padding:.4rem .8rem;margin:.5rem 0;color:var(--ink)}
.verdict.met{border-color:var(--good)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child{text-align:left}th{color:var(--soft);font-weight:600}tbody th{color:inherit;font-weight:400}
figure{margin:0}.plot{width:100%;height:auto}.plot text{fill:var(--soft);font-size:11px}
.grid{stroke:var(--rule);stroke-width:.6}.axis{stroke:var(--soft);fill:none}.line{fill:none;stroke-width:1.8;stroke-linecap:round}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:0;padding:0 0 0 3.5rem;font-size:.9rem}
.key{width:28px;height:10px;margin-right:.4rem}
.line.s0{stroke:var(--c0)}.line.s1{stroke:var(--c1);stroke-dasharray:7 3}.line.s2{stroke:var(--c2);stroke-dasharray:2 2}
.line.s3{stroke:var(--c3);stroke-dasharray:9 3 2 3}.line.s4{stroke:var(--c4)}.line.s5{stroke:var(--c5)}
.line.s6{stroke:var(--c6)}.line.s7{stroke:var(--c7)}
.fill.s0{fill:var(--c0)}.fill.s1{fill:var(--c1)}.fill.s2{fill:var(--c2)}.fill.s3{fill:var(--c3)}.fill.s4{fill:var(--c4)}
.fill.s5{fill:var(--c5)}.fill.s6{fill:var(--c6)}.fill.s7{fill:var(--c7)}
.stack .key .line{stroke-dasharray:none;stroke-width:9}
"""


def page(result: Json) -> str:
    """The whole document for a result of `summary.summarise`."""
    parts = [
        _head(result),
        *(f'<p class="warning" role="alert">{escape(text)}</p>' for text in result["warnings"]),
        *map(_verdict, result["thresholds"]),
        _numbers(result),
    ]
    if result["latency_ms"]["count"]:
        parts += _plots(result)
    parts += _tables(result)
    return document(f"Load: {_subject(result)}", "".join(parts))


def document(title: str, content: str) -> str:
    """A page with this heading and content (HTML, such as plots), that needs nothing else."""
    name = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{name}</h1>{content}</main></body></html>\n"
    )


def _subject(result: Json) -> str:
    names = [target["name"] for target in result["plan"]["targets"]]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _head(result: Json) -> str:
    plan = result["plan"]
    facts = f"{result['began_at']}, {plan['endpoint']}, seed {plan['seed']}, generator processes: {plan['processes']}"
    facts += f", strategy {plan['strategy']}" if "strategy" in plan else ""
    kind = (
        "open loop: latencies count from the intended start" if plan["open"] else "closed loop: latencies from sending"
    )
    return f"<p>{escape(plan['arrivals'])} ({kind})</p><p>{escape(facts)}</p>"


def _verdict(one: Json) -> str:
    met = "" if one["failed"] else " met"
    said = "failed" if one["failed"] else "passed"
    return f'<p class="verdict{met}">{said}: fail if {escape(one["fail_if"])}; measured {escape(one["measured"])}</p>'


def _numbers(result: Json) -> str:
    calls, latency = result["calls"], result["latency_ms"]
    shown = {
        "ok": f"{calls['ok']:,}",
        "ok a second": f"{result['ok_per_s']:,.1f}",
        "p50": f"{latency['p50']:,.2f} ms",
        "p99": f"{latency['p99']:,.2f} ms",
        "p99.9": f"{latency['p99.9']:,.2f} ms",
        "failed": f"{calls['failed']:,}",
        "dropped": f"{calls['dropped']:,}",
        "sent late": f"{calls['late']:,}",
    }
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in shown.items())
    return f'<dl class="numbers">{cells}</dl>'


def _plots(result: Json) -> list[str]:
    course, width_s = result["course"], result["course"]["width_s"]
    x = plots.seconds("seconds from the begin", len(course["intended"]) * width_s)
    drawn = [_latency_over_time(result, x), _percentile_curve(result), _rates(course, x)]
    return drawn if list(course["kinds"]) == [NOT_TOLD] else [*drawn, _kinds(course, x)]


def _latency_over_time(result: Json, x: plots.Axis) -> str:
    course, width_s = result["course"], result["course"]["width_s"]
    latency = result["latency_ms"]
    series = [Series(name, _at(course[f"{name}_ms"], width_s)) for name in ("p50", "p99", "max")]
    description = (
        f"p50, p99 and maximum of each {width_s:g} s, by when calls were to be sent; over the whole run "
        f"{latency['p50']:,.2f}, {latency['p99']:,.2f} and {latency['max']:,.2f} ms."
    )
    least = min(value for value in course["p50_ms"] if value is not None)
    y = plots.logarithmic("ms", least, latency["max"])
    return plots.lines("Latency over time", description, series, x, y)


def _percentile_curve(result: Json) -> str:
    curve, latency = result["curve"], result["latency_ms"]
    x = plots.nines("percentile", curve[-1][0])
    y = plots.logarithmic("ms", latency["min"], latency["max"])
    said = ", ".join(f"{name} {latency[name]:,.2f}" for name in SHOWN)
    return plots.lines("Latency by percentile", f"In ms: {said}.", [Series("latency", curve)], x, y)


def _rates(course: Json, x: plots.Axis) -> str:
    width_s = course["width_s"]
    rates = {name: [count / width_s for count in course[name]] for name in ("intended", "sent", "ok", "failed")}
    names = {"intended": "intended", "sent": "sent", "ok": "ok", "failed": "failed"}
    shown = [name for name in names if name != "failed" or any(rates[name])]
    series = [Series(names[name], _at(rates[name], width_s)) for name in shown]
    most = max(max(rates[name]) for name in shown)
    description = "Calls that were to be sent, were sent, and were answered, a second."
    return plots.lines("Rates over time", description, series, x, plots.linear("calls/s", most or 1))


def _kinds(course: Json, x: plots.Axis) -> str:
    description = "How the instances of calls were obtained, by when the calls were to be sent (Server-Timing)."
    figure = plots.columns("Start kinds over time", description, course["kinds"], course["width_s"], x)
    return f'<div class="stack">{figure}</div>'


def _at(values: Sequence[float | None], width_s: float) -> list[plots.Point]:
    return [((number + 0.5) * width_s, value) for number, value in enumerate(values)]


def _tables(result: Json) -> Iterable[str]:
    views = {"latency": result["latency_ms"]}
    if result["plan"]["open"]:
        views |= {"from when it was really sent": result["from_send_ms"], "lateness of sending": result["lateness_ms"]}
    else:
        views[f"corrected for a call each {result['corrected_for_ms']:g} ms"] = result["corrected_ms"]
    yield _latency_table("Latency, in ms", "time", views)
    yield _latency_table("By start kind, in ms", "start kind", result["by_kind"])
    targets = {
        f"{one['name']} ({one['failed']:,} failed, {one['dropped']:,} dropped)": one["latency_ms"]
        for one in result["by_target"]
    }
    yield _latency_table("By target, in ms", "target", targets)
    if result["errors"]:
        rows = ([kind, f"{count:,}"] for kind, count in result["errors"].items())
        yield _table("Errors", ("error", "calls"), rows)


def _latency_table(title: str, first: str, histograms: dict[str, Json]) -> str:
    rows = (
        [name, f"{one['count']:,}", *(f"{one[figure]:,.3f}" for figure in ("mean", *SHOWN))]
        for name, one in histograms.items()
    )
    return _table(title, (first, "calls", "mean", *SHOWN), rows)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'  # wide ones are scrolled by keys
    return f"<h2>{title}</h2>{region}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
