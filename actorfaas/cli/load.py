"""`actorfaas load`: what is called, how often, what is shown meanwhile, and what is written at the end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actorfaas.cli.output import note, write_json, write_table
from actorfaas.cli.target import Options, common_options
from actorfaas.errors import ConfigError
from actorfaas.ids import STRATEGY_MEANINGS

if TYPE_CHECKING:
    from actorfaas.load.plan import Arrivals, Closed, Plan, Target
    from actorfaas.load.script import TargetCall
    from actorfaas.load.traces import Replay

OUTSTANDING = "So many calls may have no answer yet; more are dropped."
DEFAULT_RATE, DEFAULT_DURATION = "10/s", "10s"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EXIT_FAILURE, EXIT_INTERRUPT = 1, 130
_SHOWN = ("p50", "p90", "p99", "p99.9", "p99.99", "max")

Json = Any  # a decoded JSON document


@dataclass(frozen=True, slots=True)
class Given:
    """The options of the verb, as they were given."""

    rate: str | None
    duration: str | None
    arrivals: str | None
    closed: bool
    connections: int
    calls: int
    trace: Path | None
    speed: float
    first_minute: int
    minutes: int
    share: float
    cap: int
    data: str | None
    inputs: tuple[str, ...]
    headers: tuple[str, ...]
    method: str | None
    strategy: str | None
    processes: int
    max_outstanding: int
    timeout: str
    seed: int
    fail_if: tuple[str, ...]
    json_file: Path | None
    html_file: Path | None
    quiet: bool


@click.command("load")
@click.argument("names", metavar="[NAME[=WEIGHT]... | SCRIPT.py]", nargs=-1)
@click.option("--rate", metavar="RATE", help=f"Poisson arrivals: 200/s, 30/m.  [default: {DEFAULT_RATE}]")
@click.option("--duration", metavar="TIME", help=f"For how long: 30s, 5m.  [default: {DEFAULT_DURATION}]")
@click.option("--arrivals", metavar="PHASES", help="Phases of arrivals; see above.")
@click.option("--closed", is_flag=True, help="Closed loop: each connection calls again when it has its answer.")
@click.option("--connections", type=click.IntRange(min=1), default=16, show_default=True, help="Of a closed loop.")
@click.option("--calls", type=click.IntRange(min=0), default=0, metavar="N", help="End a closed loop after N calls.")
@click.option("--trace", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Replay invocations.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Replay so many times as fast.",
)
@click.option("--first-minute", type=click.IntRange(min=0), default=0, help="Replay from this minute on.")
@click.option("--minutes", type=click.IntRange(min=0), default=0, help="Replay so many minutes.  [default: all]")
@click.option(
    "--share",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Replay this part of the calls.",
)
@click.option("--cap", type=click.IntRange(min=0), default=0, metavar="N", help="Thin rows with more calls to N.")
@click.option("-d", "--data", metavar="INPUT", help="The input of every call: JSON or @FILE.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=INPUT", help="The input of one target's calls.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header of every request.")
@click.option("--method", type=click.Choice(METHODS), help="With a bare --url.  [default: POST with data, else GET]")
@click.option("--strategy", type=click.Choice(tuple(STRATEGY_MEANINGS)), metavar="NAME", help="As with `invoke`.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Generator processes.")
@click.option(
    "--max-outstanding", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N", help=OUTSTANDING
)
@click.option("--timeout", default="30s", show_default=True, metavar="TIME", help="Of one call.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same calls.")
@click.option("--fail-if", multiple=True, metavar="CONDITION", help='Exit with 1 if it holds: "p99>5ms"; repeatable.')
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the result there.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a report there.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@common_options
def load_command(options: Options, names: tuple[str, ...], **given: Any) -> None:  # the options, by name
    """Call functions and workflows as many people would, and say how long that took.

    Calls are made when it is time for them, whether or not others have an answer, and their latencies count from then
    (open loop). NAME may be a pattern ('many_*'), WEIGHT says how often in proportion to others. A SCRIPT.py has a
    `load = Load(...)`; see `actorfaas.load`. Without any NAME, --url is called as it is.

    \b
    PHASES of --arrivals follow each other, separated by commas:
      poisson 200/s 30s            independent arrivals
      constant 10..500/s 1m        evenly spaced, here with a rate that grows
      burst 100 every 2s 20s       100 at once, every two seconds
      pause 5s

    \b
    CONDITION of --fail-if: [TARGET or START KIND:]METRIC >, >=, < or <= VALUE, of
      mean, min, max, p50, p99.9 ...            5ms, 1.5s
      errors, dropped, late, unfinished         10, 0.1%
      rate                                      900 (good answers a second)

    With --trace, NAME=ROW binds a row (its number from 0, or how its HashFunction begins) instead of a weight; other
    names get the remaining rows in order.

    \b
      actorfaas load hello --rate 200/s --duration 30s --fail-if "p99>5ms" --html report.html
      actorfaas load 'many_*' --trace invocations.csv --speed 144
      actorfaas load workflows/order_pipeline/load.py
      actorfaas load --url http://127.0.0.1:9000/ --closed --connections 16
    """
    _load(options, names, Given(**given))


def _load(options: Options, names: tuple[str, ...], given: Given) -> None:
    from actorfaas.cli import load_progress
    from actorfaas.load import running, summary, thresholds

    for file in (given.json_file, given.html_file):
        if file and not file.parent.is_dir():
            raise click.UsageError(f"{file} cannot be written: there is no folder {file.parent}")
    _refuse_what_has_no_effect(names, given)
    plan, fail_if = make_plan(options, names, given)
    conditions = [thresholds.parse(text) for text in fail_if]
    with load_progress.shown(plan, quiet=given.quiet) as progress:
        outcome = running.run(plan, progress)
    result = summary.summarise(outcome, conditions)
    if given.json_file:
        given.json_file.write_text(json.dumps(result) + "\n", "utf-8")
    if given.html_file:
        from actorfaas.load.page import page

        given.html_file.write_text(page(result), "utf-8")
    write(options, result)
    if outcome.interrupted:
        raise click.exceptions.Exit(EXIT_INTERRUPT)
    if summary.failed(result):
        raise click.exceptions.Exit(EXIT_FAILURE)


def _refuse_what_has_no_effect(names: tuple[str, ...], given: Given) -> None:
    is_script = names[:1] != () and names[0].endswith(".py")
    for is_wrong, said in (
        (is_script and len(names) > 1, "a SCRIPT.py stands alone: it says what is called"),
        (is_script and (given.data is not None or given.inputs), "a SCRIPT.py has inputs of its own"),
        (names and given.method, "--method is for a bare --url: functions are called by POST"),
        (not names and given.strategy, "--strategy is for functions of a node; a bare --url has none"),
        (given.calls and not given.closed, "--calls ends a closed loop: give --closed, too"),
        (
            not given.trace and (given.first_minute or given.minutes or given.cap),
            "--minutes and --cap are for a --trace",
        ),
        (not given.trace and (given.speed != 1 or given.share != 1), "--speed and --share are for a --trace"),
        (given.trace and given.duration, "--trace has its own duration: use --minutes"),
    ):
        if is_wrong:
            raise click.UsageError(said)


def make_plan(options: Options, names: tuple[str, ...], given: Given) -> tuple[Plan, tuple[str, ...]]:
    """What is to be done, and the conditions under which it fails. Raises ConfigError and click.UsageError."""
    from actorfaas.cli import load_targets
    from actorfaas.load import arrivals
    from actorfaas.load.plan import Endpoint, Plan

    load = load_targets.of_script(names[0]) if len(names) == 1 and names[0].endswith(".py") else None
    rows: tuple[TargetCall, ...] = ()
    targets: tuple[Target, ...]
    if load is None and not names:
        url, targets = load_targets.bare(options, given.data, given.headers, given.method or "", given.inputs)
    else:
        rows = load.calls if load else load_targets.named(names, given.data, given.inputs, traced=bool(given.trace))
        url, rows, targets = load_targets.of_node(options, rows, given.headers, given.strategy or "", given.seed)
    plan = Plan(
        Endpoint.of(url),
        targets,
        _arrivals(given, rows, load.arrivals if load else ""),
        seed=given.seed,
        processes=given.processes,
        most_outstanding=given.max_outstanding,
        timeout_s=arrivals.duration_s(given.timeout),
        notes={"strategy": given.strategy} if given.strategy else {},
    )
    return plan, (*(load.fail_if if load else ()), *given.fail_if)


def _arrivals(given: Given, calls: tuple[TargetCall, ...], of_script: str) -> Arrivals:
    from actorfaas.load import arrivals

    chosen = [
        name
        for name, is_given in (
            ("--arrivals", given.arrivals),
            ("--rate", given.rate),
            ("--closed", given.closed),
            ("--trace", given.trace),
        )
        if is_given
    ]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} exclude each other: each says when calls are made")
    if given.closed:
        return _closed(given)
    if given.trace:
        return _replay(given, given.trace, calls)
    if given.arrivals and given.duration:
        raise click.UsageError("--arrivals has its own durations; leave --duration out")
    text = given.arrivals or ("" if given.rate or given.duration else of_script)
    return arrivals.parse(text or f"poisson {given.rate or DEFAULT_RATE} {given.duration or DEFAULT_DURATION}")


def _closed(given: Given) -> Closed:
    from actorfaas.load.arrivals import duration_s
    from actorfaas.load.plan import Closed

    if given.connections < given.processes:
        raise click.UsageError("a closed loop needs at least one connection for each process")
    return Closed(given.connections, duration_s(given.duration or DEFAULT_DURATION), given.calls)


def _replay(given: Given, trace: Path, calls: tuple[TargetCall, ...]) -> Replay:
    from actorfaas.load import traces

    if not calls:
        raise click.UsageError("--trace needs names of functions to bind its rows to")
    try:
        with trace.open(encoding="utf-8", newline="") as lines:
            rows = traces.read(lines, given.first_minute, given.minutes)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{trace} cannot be read: {error}") from error
    if given.cap:
        rows = traces.capped(rows, given.cap)
    bound = traces.bind(rows, [one.name for one in calls], [one.row for one in calls])
    return traces.Replay(bound, 60 / given.speed, given.share)


def write(options: Options, result: Json) -> None:
    """The result on standard output; what is wrong with it, or failed, on standard error."""
    if options.as_json:
        write_json(result)
    else:
        _write_tables(result)
    for warning in result["warnings"]:
        note(f"WARNING: {warning}")
    for one in result["thresholds"]:
        note(f"{'FAILED' if one['failed'] else 'passed'}: {one['fail_if']}; measured {one['measured']}")


def _write_tables(result: Json) -> None:
    calls = result["calls"]
    counts = ("intended", "sent", "ok", "failed", "dropped", "late")
    row = [*(f"{calls[name]}" for name in counts), f"{result['ok_per_s']:.1f}"]
    write_table([*counts, "ok/s"], [row], title=f"{result['plan']['arrivals']}; {result['elapsed_s']:g} s")
    click.echo()
    views = {"latency": result["latency_ms"]}
    if result["plan"]["open"]:
        views |= {"  from sending": result["from_send_ms"], "  sent late by": result["lateness_ms"]}
    else:
        views["  corrected"] = result["corrected_ms"]
    views |= {f"start {kind}": one for kind, one in result["by_kind"].items()}
    if len(result["by_target"]) > 1:
        views |= {one["name"]: one["latency_ms"] for one in result["by_target"]}
    lines = ([name, str(one["count"]), *(f"{one[figure]:.2f}" for figure in _SHOWN)] for name, one in views.items())
    write_table(["ms", "calls", *_SHOWN], lines)
    if result["errors"]:
        click.echo()
        write_table(["error", "calls"], ([kind, str(count)] for kind, count in result["errors"].items()))
