"""`actorfaas invoke`: the input from the command line, a file or standard input; the result exactly as it came."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from actorfaas.cli.executions import show_states
from actorfaas.cli.output import note, write_json
from actorfaas.cli.target import Options, common_options
from actorfaas.errors import ApiProblem, NodeUnreachable, ResponseTimeout
from actorfaas.ids import STRATEGY_MEANINGS

if TYPE_CHECKING:
    from actorfaas.client import Answer, Client, InvokeOptions

Json = Any  # a decoded JSON document: what the API answered

WAIT_STEP_S = 30.0
"""How long one request waits for an execution to end; the next one follows."""
RETRY_S = 1.0
LOST_LIMIT_S = 60.0
"""How long a node may be away while the end of an execution is waited for."""

STRATEGY_HELP = "How the instance is obtained, instead of the function's own choice.\n\n\b\n" + "\n".join(
    f"{name}: {meaning}" for name, meaning in STRATEGY_MEANINGS.items()
)


@click.command("invoke")
@click.argument("name")
@click.argument("given", metavar="[INPUT]", required=False)
@click.option("-d", "--data", metavar="INPUT", help="The input, as an option.")
@click.option("-f", "--file", metavar="FILE", help="Read the input from a file: the same as @FILE.")
@click.option("--async", "asynchronous", is_flag=True, help="Start it and print the execution's id.")
@click.option("--wait", is_flag=True, help="Start it and wait for the end, through lost connections; print the output.")
@click.option("--stream", is_flag=True, help="Write pieces of a streamed response as they come.")
@click.option("--strategy", type=click.Choice(tuple(STRATEGY_MEANINGS)), metavar="NAME", help=STRATEGY_HELP)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time limit of this call; can only shorten the function's own.",
)
@click.option("--idempotency-key", default="", metavar="TEXT", help="The same key is done once, however often sent.")
@click.option("--name", "execution_name", default="", metavar="TEXT", help="Name the execution: there is one of each.")
@click.option("--timing", is_flag=True, help="Say on standard error where the time went.")
@common_options
def invoke_command(
    options: Options,
    name: str,
    given: str | None,
    data: str | None,
    file: str | None,
    asynchronous: bool,
    wait: bool,
    stream: bool,
    strategy: str | None,
    timeout_s: float | None,
    idempotency_key: str,
    execution_name: str,
    timing: bool,
) -> None:
    """Call the function or run the workflow NAME.

    INPUT is a JSON document, @FILE for one in a file, or - for one on standard input; without it, null is sent. The
    result is written to standard output exactly as the node sent it.

    \b
      actorfaas invoke hello '{"name": "Ada"}'
      echo '[1, 2]' | actorfaas invoke total -
    """
    if stream and (asynchronous or wait):
        raise click.UsageError("--stream shows a call as it runs; --async and --wait have only its end")
    body = json_input(given, data, None if file is None else f"@{file}")
    how: InvokeOptions = {
        "strategy": strategy or "",
        "timeout_s": timeout_s,
        "idempotency_key": idempotency_key,
        "execution_name": execution_name,
    }
    with options.client() as node:
        if wait:
            _wait(node, node.start(name, body, **how), timeout_s, timing)
        elif asynchronous:
            _write_started(options, node.start(name, body, **how))
        else:
            _call(node, name, body, how, stream=stream, timing=timing)


def _call(node: Client, name: str, body: bytes, how: InvokeOptions, *, stream: bool, timing: bool) -> None:
    """Call and write the result: in pieces as they come, or once all of it is there."""
    started = time.perf_counter()
    with node.open(name, body, **how) as opened:
        out = sys.stdout.buffer
        for piece in opened.pieces() if stream else [b"".join(opened.pieces())]:
            out.write(piece)
            out.flush()
        _end_line(out)
    if timing:
        _write_timing(node, opened.head, (time.perf_counter() - started) * 1000)


def json_input(*inputs: str | None) -> bytes:
    """The input as bytes, checked to be JSON here: the message can then say where it came from."""
    given = [one for one in inputs if one is not None]
    if len(given) > 1:
        raise click.UsageError("give the input once: behind the name, with --data or with --file")
    if not given:
        return b""
    body, origin = _read(given[0])
    if not body.strip():
        if given[0] == "-":
            return b""
        raise click.UsageError(f"{origin} is empty; leave it out to send null")
    try:
        json.loads(body, parse_constant=_refuse_constant)
    except ValueError as error:
        hint = "; text needs quotes of its own, such as '\"Ada\"'; @FILE reads a file" if origin == "the input" else ""
        raise click.UsageError(f"{origin} is not JSON: {error}{hint}") from error
    return body


def _refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity, which are not JSON (RFC 8259)."""
    raise ValueError(f"{name} is no JSON value")


def _read(given: str) -> tuple[bytes, str]:
    """What was given as the input, and what to call it."""
    if given == "-":
        return sys.stdin.buffer.read(), "standard input"
    if not given.startswith("@"):
        return given.encode(), "the input"
    try:
        return Path(given[1:]).read_bytes(), given[1:]
    except OSError as error:
        raise click.UsageError(f"{given[1:]} cannot be read: {error.strerror}") from error


def _write_started(options: Options, execution_id: str) -> None:
    if options.as_json:
        write_json({"execution_id": execution_id})
    else:
        click.echo(execution_id)
    note(f"Follow it with: actorfaas show {execution_id}")


def _wait(node: Client, execution_id: str, timeout_s: float | None, timing: bool) -> None:
    """Wait for an execution to end and write its output. Raises ApiProblem when it did not succeed."""
    note(f"execution {execution_id}")
    execution = _ended(node, execution_id, None if timeout_s is None else time.monotonic() + timeout_s)
    if timing:
        show_states(execution)
    if execution["status"] != "succeeded":
        raise _failure(execution)
    out = sys.stdout.buffer
    out.write(json.dumps(execution["output"], ensure_ascii=False, separators=(",", ":")).encode())
    _end_line(out)


def _ended(node: Client, execution_id: str, deadline_s: float | None) -> Json:
    """The execution once it has ended. A node that is away for a while is asked again: the execution survives that."""
    lost_s: float | None = None
    while True:
        left_s = WAIT_STEP_S if deadline_s is None else deadline_s - time.monotonic()
        if left_s <= 0:
            raise ResponseTimeout(f"execution {execution_id} is still running; see: actorfaas show {execution_id}")
        try:
            execution = node.execution(execution_id, wait_s=min(WAIT_STEP_S, left_s))
        except (NodeUnreachable, ResponseTimeout, ApiProblem) as error:
            if isinstance(error, ApiProblem) and not error.retryable:
                raise
            if lost_s is None:
                note(f"{error}; asking again")
                lost_s = time.monotonic()
            elif time.monotonic() - lost_s > LOST_LIMIT_S:
                raise
            time.sleep(min(RETRY_S, left_s))
        else:
            lost_s = None
            if execution["status"] != "running":
                return execution


def _failure(execution: Json) -> ApiProblem:
    """As what the node answers to whoever waits for it."""
    error = execution["error"] or {}
    codes = {"timed_out": (504, "timeout"), "cancelled": (409, "cancelled")}
    status: str = execution["status"]
    return ApiProblem(
        *codes.get(status, (500, "execution_failed")),
        error.get("error_message") or f"the execution ended {status}",
        execution_id=execution["execution_id"],
        error_type=error.get("error_type", ""),
        function=execution["name"],
    )


def _end_line(out: BinaryIO) -> None:
    """On a terminal the prompt begins on a line of its own; elsewhere nothing is added to the result."""
    if sys.stdout.isatty():
        out.write(b"\n")
    out.flush()


def _write_timing(node: Client, head: Answer, total_ms: float) -> None:
    note(f"{total_ms:.2f} ms in all, {timing_in_words(head.timing)}")
    served = f" by {head.worker}" if head.worker else ""
    note(f"request {head.request_id or '-'}{served}")
    if head.trace_id:
        note(f"trace {head.trace_id}; see: actorfaas trace {head.trace_id}")
    if head.execution_id:
        show_states(node.execution(head.execution_id))


def timing_in_words(header: str) -> str:
    """A `Server-Timing` header for people: `queue 0.03 ms, start 0.17 ms (resident), run 1.20 ms`."""
    parts = []
    for entry in header.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        described = given.get("desc", "").strip('"')
        if "dur" in given:
            parts.append(f"{name} {float(given['dur']):.2f} ms" + (f" ({described})" if described else ""))
        elif described:
            parts.append(f"{described} {name}")
    return ", ".join(parts) or "the node sent no Server-Timing"
