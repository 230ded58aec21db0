"""`actorfaas logs`: what functions wrote, as lines or as JSON, then or as it comes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from actorfaas.cli.output import note, write_json_line
from actorfaas.cli.target import Options, common_options

if TYPE_CHECKING:
    from actorfaas.client import LogFilter

Json = Any  # a decoded JSON document: what the API answered

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Age(click.ParamType[float]):
    """A duration such as 90s, 15m, 2h or 1d, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # click's type
        if isinstance(value, float):
            return value
        number, unit = str(value)[:-1], str(value)[-1:]
        if not number.isdecimal() or unit not in _UNITS_S:
            self.fail(f"{value!r} is not a duration such as 90s, 15m, 2h or 1d", param, ctx)
        return float(int(number) * _UNITS_S[unit])


@click.command("logs")
@click.argument("function", required=False, default="")
@click.option("--function", "named", default="", metavar="NAME", help="The same as the argument.")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written.")
@click.option("--request", default="", metavar="ID", help="Only of this request.")
@click.option("--execution", default="", metavar="ID", help="Only of this execution.")
@click.option("--trace", default="", metavar="ID", help="Only of this trace.")
@click.option("--since", type=Age(), metavar="DURATION", help="Only lines younger than 90s, 15m, 2h, 1d.")
@click.option("-n", "--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="The newest lines.")
@common_options
def logs_command(
    options: Options,
    function: str,
    named: str,
    follow: bool,
    request: str,
    execution: str,
    trace: str,
    since: float | None,
    limit: int,
) -> None:
    """Show what FUNCTION, or every function, wrote: print, logging, standard error.

    With -o json every line is one JSON document.

    \b
      actorfaas logs resize --since 15m
      actorfaas logs --execution exe_01m82bq8s3zt0jy5n9k3xw6h1c --follow
    """
    if function and named:
        raise click.UsageError("name the function once: as the argument or with --function")
    wanted: LogFilter = {
        "function": function or named,
        "request": request,
        "execution": execution,
        "trace": trace,
    }
    with options.client() as node:
        reply = node.logs(**wanted, since_s=since or 0.0, limit=limit, tail=True)
        lines = reply["lines"]
        for line in lines:
            write_line(line, as_json=options.as_json)
        if not lines and not follow:
            note("nothing was written")
        if since is not None and len(lines) == limit:
            note(f"these are the newest {limit} lines since then; more with -n")
        if follow:
            after = int(reply["after"])
            for line in node.follow_logs(**wanted, after=after):
                write_line(line, as_json=options.as_json)


def write_line(line: Json, *, as_json: bool) -> None:
    """One line of a function's output on standard output."""
    if as_json:
        write_json_line(line)
        return
    at = datetime.fromtimestamp(line["at_ms"] / 1000).strftime("%H:%M:%S.%f")[:-3]
    level = f"{line['level']} " if line.get("level") else ("stderr " if line.get("stream") == "stderr" else "")
    head = click.style(f"{at} {line['function']}", fg="cyan")
    click.echo(f"{head} {click.style(level, fg=_colour(line))}{line['text']}")


def _colour(line: Json) -> str:
    level = str(line.get("level", "")).lower()
    if level in ("error", "critical") or line.get("stream") == "stderr":
        return "red"
    return "yellow" if level == "warning" else "bright_black"
