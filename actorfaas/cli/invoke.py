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
from actorfaas.errors import ApiProblem, ResponseTimeout
from actorfaas.ids import STRATEGIES

if TYPE_CHECKING:
    from actorfaas.client import Answer, Client

Json = Any  # a decoded JSON document: what the API answered

WAIT_STEP_S = 30.0
"""How long one request waits for an execution to end; the next one follows."""


@click.command("invoke")
@click.argument("name")
@click.argument("source", metavar="[-]", default="", type=click.Choice(["-", ""]))
@click.option("-d", "--data", help="The input: a JSON document.")
@click.option(
    "-f", "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Read the input from a file."
)
@click.option("--async", "asynchronous", is_flag=True, help="Start it and print the execution's id.")
@click.option("--wait", is_flag=True, help="Start it, survive a lost connection, wait for the end, print the output.")
@click.option("--stream", is_flag=True, help="Write pieces of a streamed response as they come.")
@click.option("--strategy", type=click.Choice(sorted(STRATEGIES)), help="How the instance is obtained.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit.")
@click.option("--idempotency-key", default="", metavar="TEXT", help="The same key is done once, however often sent.")
@click.option("--timing", is_flag=True, help="Say on standard error where the time went.")
@common_options
def invoke_command(
    options: Options,
    name: str,
    source: str,
    data: str | None,
    file: Path | None,
    asynchronous: bool,
    wait: bool,
    stream: bool,
    strategy: str | None,
    timeout_s: float | None,
    idempotency_key: str,
    timing: bool,
) -> None:
    """Call the function or run the workflow NAME.

    The input is JSON: from --data, --file, or standard input with `-`; without any of them it is null. The result is
    written to standard output exactly as the node sent it.

    \b
      actorfaas invoke hello --data '{"name": "Ada"}'
      echo '[1, 2]' | actorfaas invoke total -
    """
    body = _body(source, data, file)
    with options.client() as node:
        if asynchronous or wait:
            execution_id = node.start(
                name, body, strategy=strategy or "", timeout_s=timeout_s, idempotency_key=idempotency_key
            )
            if not wait:
                _write_started(options, execution_id)
                return
            _wait(node, execution_id, timeout_s, timing)
            return
        started = time.perf_counter()
        with node.open(
            name, body, strategy=strategy or "", timeout_s=timeout_s, idempotency_key=idempotency_key
        ) as opened:
            out = sys.stdout.buffer
            if stream:
                for piece in opened.pieces():
                    out.write(piece)
                    out.flush()
            else:
                out.write(b"".join(opened.pieces()))
            _end_line(out)
        if timing:
            _write_timing(node, opened.head, (time.perf_counter() - started) * 1000)


def _body(source: str, data: str | None, file: Path | None) -> bytes:
    """The input as bytes, checked to be JSON here: the message can then say where it came from."""
    if sum([source == "-", data is not None, file is not None]) > 1:
        raise click.UsageError("give the input once: --data, --file or -")
    if source == "-":
        body, origin = sys.stdin.buffer.read(), "standard input"
    elif file is not None:
        body, origin = file.read_bytes(), str(file)
    else:
        body, origin = (data or "").encode(), "--data"
    if body.strip():
        try:
            json.loads(body)
        except ValueError as error:
            hint = "; text needs quotes of its own: --data '\"text\"'" if origin == "--data" else ""
            raise click.UsageError(f"{origin} is not JSON: {error}{hint}") from error
    elif data is not None or file is not None:
        raise click.UsageError(f"{origin} is empty; leave it out to send null")
    return body


def _write_started(options: Options, execution_id: str) -> None:
    if options.as_json:
        write_json({"execution_id": execution_id})
    else:
        click.echo(execution_id)
    note(f"Follow it with: actorfaas show {execution_id}")


def _wait(node: Client, execution_id: str, timeout_s: float | None, timing: bool) -> None:
    """Wait for an execution to end and write its output. Raises ApiProblem when it did not succeed."""
    note(f"execution {execution_id}")
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = WAIT_STEP_S if deadline is None else deadline - time.monotonic()
        if left_s <= 0:
            raise ResponseTimeout(f"execution {execution_id} is still running; see: actorfaas show {execution_id}")
        execution = node.execution(execution_id, wait_s=min(WAIT_STEP_S, left_s))
        if execution["status"] != "running":
            break
    if timing:
        show_states(execution)
    if execution["status"] != "succeeded":
        raise _failure(execution)
    out = sys.stdout.buffer
    out.write(json.dumps(execution["output"], ensure_ascii=False, separators=(",", ":")).encode())
    _end_line(out)


def _failure(execution: Json) -> ApiProblem:
    error = execution["error"] or {}
    status: str = execution["status"]
    return ApiProblem(
        504 if status == "timed_out" else 500,
        "timeout" if status == "timed_out" else status,
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
