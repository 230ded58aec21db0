"""`actorfaas list` and `show`: what is deployed, and one thing of it (or one execution) in detail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from actorfaas.cli.definitions import EXECUTION_PREFIX, definition_of
from actorfaas.cli.executions import map_run_text, states_table, took
from actorfaas.cli.output import ago, note, write_json, write_table
from actorfaas.cli.target import Options, common_options
from actorfaas.errors import ApiProblem, ClientError
from actorfaas.ids import STRATEGY_MEANINGS

if TYPE_CHECKING:
    from actorfaas.client import Client

Json = Any  # a decoded JSON document: what the API answered

OUTPUT_CHARACTERS = 2_000
"""Of a longer output only the beginning is shown among the facts about its execution."""


@click.command("list")
@common_options
def list_command(options: Options) -> None:
    """List every function and workflow that can be called, with its application."""
    with options.client() as node:
        functions, workflows = node.functions()["functions"], node.workflows()["workflows"]
    if options.as_json:
        write_json({"functions": functions, "workflows": workflows})
        return
    rows = [
        (one["name"], kind, one.get("app", ""), str(one.get("version", "")), how(one), one.get("description", ""))
        for kind, found in (("workflow", workflows), ("function", functions))
        for one in found
    ]
    if not rows:
        note("nothing is deployed yet; see: actorfaas deploy --help")
        return
    write_table(("name", "kind", "app", "version", "how", "description"), rows)


@click.command("show")
@click.argument("name")
@click.option("--asl", is_flag=True, help="Only the workflow's Amazon States Language definition.")
@click.option("--diagram", is_flag=True, help="The states of a workflow (or execution) as a picture: SVG.")
@click.option("--mermaid", is_flag=True, help="The workflow's states as Mermaid text.")
@click.option("--into", metavar="FILE", default="", help="Write the definition, picture or text there.")
@click.option("--cursor", default="", help="Of a long execution: where the page before ended.")
@click.option("--history", is_flag=True, help="Every event of the execution, as JSON.")
@click.option("--app", "is_app", is_flag=True, help="NAME is an application: list its versions.")
@common_options
def show_command(
    options: Options, name: str, cursor: str, history: bool, is_app: bool, into: str, **forms: bool
) -> None:
    """Show the function, workflow, execution or application NAME.

    Where an application has the name of a function or workflow, --app shows the application. With --asl, --diagram
    or --mermaid, NAME may also be a file that is not deployed: a definition (ending in .json), or a Python module,
    as app.py or, where it has several workflows, app.py:WORKFLOW. The diagram of an execution shows what became of
    each state.

    \b
      actorfaas show orders
      actorfaas show exe_01m82bq8s3zt0jy5n9k3xw6h1c --history
      actorfaas show orders --diagram --into orders.svg
      actorfaas show app.py:orders --asl
    """
    form = _form(forms, into)
    if form:
        _show_definition(options, name, form, into)
        return
    with options.client() as node:
        if name.startswith(EXECUTION_PREFIX):
            if history:
                write_json(node.history(name))
            else:
                _show_execution(options, node.execution(name, cursor=cursor))
            return
        found = node.deployment(name) if is_app else _find(node, name)
    if "deployments" in found:
        _show_versions(options, found)
    elif options.as_json:
        write_json(found)
    else:
        _show_settings(found)


def how(one: Json) -> str:
    """The setting that says most about how something runs."""
    return str(one.get("durability") or one.get("strategy") or "")


def _form(forms: dict[str, bool], into: str) -> str:
    """Which of asl, diagram and mermaid was asked for, or ""."""
    asked = [form for form, is_asked in forms.items() if is_asked]
    if len(asked) > 1:
        raise click.UsageError(f"choose one of {', '.join(f'--{form}' for form in asked)}")
    if into and not asked:
        raise click.UsageError("--into needs --asl, --diagram or --mermaid")
    return asked[0] if asked else ""


def _show_definition(options: Options, name: str, form: str, into: str) -> None:
    from actorfaas.diagrams.mermaid import mermaid
    from actorfaas.diagrams.statuses import statuses_of
    from actorfaas.diagrams.svg import svg

    found = definition_of(options, name)
    match form:
        case "diagram":
            text = svg(found.definition, found.name, statuses_of(found.visits))
        case "mermaid":
            text = mermaid(found.definition)
        case _:
            text = json.dumps(found.definition, indent=2, ensure_ascii=False) + "\n"
    if not into:
        click.echo(text, nl=False)
        return
    try:
        Path(into).write_text(text, "utf-8")
    except OSError as error:
        raise click.FileError(into, error.strerror or str(error)) from None
    note(f"{into} shows {found.name}")


def _find(node: Client, name: str) -> Json:
    """The function, workflow or application called `name`. Raises ClientError when there is none of them."""
    for look_up in (node.function, node.workflow, node.deployment):
        try:
            return look_up(name)
        except ApiProblem as problem:
            if problem.status != 404:
                raise
    raise ClientError(f"no function, workflow, execution or application is called {name!r}; see: actorfaas list")


def _show_versions(options: Options, found: Json) -> None:
    if options.as_json:
        write_json(found)
        return
    write_table(
        ("version", "serves", "deployed", "entry", "functions and workflows"),
        [
            (
                str(one["version"]),
                "yes" if one["active"] else "",
                f"{ago(one['created_at_ms'])} ago",
                one["entry"],
                ", ".join([*one["workflows"], *one["functions"]]),
            )
            for one in found["deployments"]
        ],
    )


def _show_execution(options: Options, execution: Json) -> None:
    if options.as_json:
        write_json(execution)
        return
    facts = [
        ("execution", execution.get("execution_id", "")),
        ("name", f"{execution.get('name', '')} version {execution.get('version', '')}"),
        ("status", execution.get("status", "")),
        ("started", f"{ago(execution.get('started_at_ms', 0))} ago"),
        ("took", took(execution)),
    ]
    if execution.get("error"):
        facts.append(("error", "{error_type}: {error_message}".format_map(execution["error"])))
    if execution.get("status") == "succeeded":
        facts.append(("output", _shortened(_compact(execution.get("output")))))
    facts += [(f"map {run.get('state', '')}", map_run_text(run)) for run in execution.get("map_runs", ())]
    _write_facts(facts)
    if execution.get("states"):
        click.echo()
        states_table(execution, title="", err=False)
    if execution.get("next_cursor"):
        note(f"More: --cursor {execution['next_cursor']}")


def _show_settings(found: Json) -> None:
    strategy = found.get("strategy", "")
    if strategy in STRATEGY_MEANINGS:
        found = found | {"strategy": f"{strategy}: {STRATEGY_MEANINGS[strategy]}"}
    _write_facts([(key, _compact(value)) for key, value in found.items() if key != "definition"])
    if "definition" in found:
        click.echo()
        write_json(found["definition"])


def _write_facts(facts: list[tuple[str, str]]) -> None:
    width = max(len(key) for key, _ in facts)
    for key, value in facts:
        click.echo(f"{key.ljust(width)}  {value}")


def _shortened(text: str) -> str:
    if len(text) <= OUTPUT_CHARACTERS:
        return text
    return f"{text[:OUTPUT_CHARACTERS]}… ({len(text)} characters; all of them with -o json)"


def _compact(value: Json) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
