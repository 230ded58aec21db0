"""`actorfaas test-state`: one state tried out on a node, with its function called or mocked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from actorfaas.cli.definitions import definition_in_file
from actorfaas.cli.invoke import json_input
from actorfaas.cli.output import write_json
from actorfaas.cli.target import Options, common_options

Json = Any  # a decoded JSON document

EXIT_FAILED = 1


@click.command("test-state")
@click.argument("name")
@click.argument("state", required=False, default="")
@click.argument("given", metavar="[INPUT]", required=False)
@click.option("--result", metavar="JSON", help="What the state's work gives, instead of calling its function.")
@click.option("--error", metavar="NAME", help="The error that the state's work fails with, instead of calling it.")
@click.option("--cause", metavar="TEXT", default="", help="What is said of --error.")
@click.option(
    "--level",
    type=click.Choice(["INFO", "DEBUG", "TRACE"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="DEBUG: also the data step by step; TRACE: also how the function was called.",
)
@click.option("--variables", metavar="JSON", help="The variables that the state finds, as an object.")
@click.option("--context", metavar="JSON", help="The context object that expressions see.")
@click.option("--retries", type=click.IntRange(min=0), default=0, help="How often the state was tried before.")
@click.option("--failed-iterations", type=click.IntRange(min=0), default=0, help="How many of a Map state's failed.")
@click.option("--items", metavar="FILE", default="", help="What the ItemReader of a Map state finds.")
@common_options
def test_state_command(
    options: Options,
    name: str,
    state: str,
    given: str | None,
    level: str,
    retries: int,
    failed_iterations: int,
    items: str,
    **texts: str | None,
) -> None:
    """Try STATE of the workflow NAME with INPUT: JSON, @FILE or - (standard input); {} if not given.

    NAME may also be a file that is not deployed: a definition (ending in .json; one that is a single state needs no
    STATE: give "" if INPUT follows), or a Python module, as app.py or app.py:WORKFLOW. Without --result or --error
    the function of a Task state is called, as deployed. Exit code 1: the state fails.

    \b
      actorfaas test-state orders check '{"lines": []}'
      actorfaas test-state orders check '{"lines": []}' --error SoldOut --level DEBUG
    """
    wanted: dict[str, Json] = {"inspection_level": level.upper()}
    found = definition_in_file(name, may_be_state=True)
    of = {"workflow": name} if found is None else {"definition": found.definition}
    mock = _mock(texts["result"], texts["error"], texts["cause"] or "")
    wanted |= {"mock": mock} if mock else {}
    wanted |= {key: _json(texts[key], f"--{key}") for key in ("variables", "context") if texts[key] is not None}
    counts = {"retries": retries, "failed_iterations": failed_iterations}
    wanted |= {key: count for key, count in counts.items() if count}
    if items:
        wanted["items"] = _text_of(items)
    value = json.loads(json_input(given) or b"{}")
    with options.client() as node:
        tried = node.test_state(state, value, **of, **wanted)
    _write(options, tried)
    if tried["status"] == "FAILED":
        click.get_current_context().exit(EXIT_FAILED)


def _mock(result: str | None, error: str | None, cause: str) -> Json:
    if result is not None and error is not None:
        raise click.UsageError("give either --result or --error")
    if cause and error is None:
        raise click.UsageError("--cause needs --error")
    if error is not None:
        return {"error": error, "cause": cause}
    return None if result is None else {"result": _json(result, "--result")}


def _json(text: str | None, option: str) -> Json:
    try:
        return json.loads(text or "")
    except ValueError as error:
        raise click.UsageError(f"{option} is not JSON: {error}") from None


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.FileError(path, str(error)) from None


def _write(options: Options, tried: Json) -> None:
    if options.as_json:
        write_json(tried)
        return
    shown = {"status": tried["status"], "next": tried["next_state"], "error": tried["error"], "cause": tried["cause"]}
    for key, value in shown.items():
        if value:
            click.echo(f"{key.ljust(6)}  {value}")
    if tried["status"] in ("SUCCEEDED", "CAUGHT_ERROR"):
        click.echo("output")
        write_json(tried["output"])
    for step, value in tried.get("inspection", {}).items():
        click.echo(step)
        write_json(value)
    if "call" in tried:
        click.echo("call")
        write_json(tried["call"])
