"""`actorfaas task` and `actorfaas activity`: answering tasks from outside, and activities with their tasks."""

from __future__ import annotations

import json
from typing import Any

import click

from actorfaas.cli.output import ago, note, write_json, write_table
from actorfaas.cli.target import Options, common_options

Json = Any  # a decoded JSON document


class JsonText(click.ParamType[Json]):
    """A JSON document on the command line."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Json:  # click's type
        try:
            return json.loads(value)
        except ValueError as error:
            self.fail(f"it is not JSON: {error}", param, ctx)


@click.group("task")
def task_command() -> None:
    """Answer tasks that wait for somebody outside, by their tokens.

    \b
      actorfaas task succeed TOKEN '{"approved": true}'
      actorfaas task fail TOKEN --error Rejected --cause "too dear"
    """


@task_command.command("succeed")
@click.argument("task_token", metavar="TOKEN")
@click.argument("result", metavar="[OUTPUT]", type=JsonText(), default="null")
@common_options
def succeed_command(options: Options, task_token: str, result: Json) -> None:
    """Give the task TOKEN its result OUTPUT, a JSON document (default: null)."""
    with options.client() as node:
        node.succeed_task(task_token, result)
    _answered(options, task_token, "succeeded")


@task_command.command("fail")
@click.argument("task_token", metavar="TOKEN")
@click.option("--error", default="", help="The error's name, for Retry and Catch.  [default: States.TaskFailed]")
@click.option("--cause", default="", help="Why, for people.")
@common_options
def fail_command(options: Options, task_token: str, error: str, cause: str) -> None:
    """Let the task TOKEN fail."""
    with options.client() as node:
        node.fail_task(task_token, error, cause)
    _answered(options, task_token, "failed")


@task_command.command("heartbeat")
@click.argument("task_token", metavar="TOKEN")
@common_options
def heartbeat_command(options: Options, task_token: str) -> None:
    """Say that the task TOKEN goes on."""
    with options.client() as node:
        node.heartbeat_task(task_token)
    _answered(options, task_token, "goes on")


def _answered(options: Options, task_token: str, what: str) -> None:
    if options.as_json:
        write_json({"task_token": task_token, "status": what})
    else:
        note(f"{task_token} {what}")


@click.group("activity")
def activity_command() -> None:
    """Activities: names under which workers outside the node ask for tasks.

    \b
      actorfaas activity create review
      actorfaas activity poll review --worker ada      prints a task's token and input
    """


@activity_command.command("create")
@click.argument("name")
@common_options
def create_command(options: Options, name: str) -> None:
    """Make the activity NAME; one that is there stays as it is."""
    with options.client() as node:
        made = node.create_activity(name)
    if options.as_json:
        write_json(made)
    else:
        note(f"activity {name}: in a definition arn:aws:states:::activity:{name}")


@activity_command.command("list")
@common_options
def list_command(options: Options) -> None:
    """List the activities."""
    with options.client() as node:
        reply = node.activities()
    if options.as_json:
        write_json(reply)
    elif not reply["activities"]:
        note("no activities; actorfaas activity create NAME makes one")
    else:
        write_table(
            ("activity", "created"), [(one["name"], f"{ago(one['created_at_ms'])} ago") for one in reply["activities"]]
        )


@activity_command.command("remove")
@click.argument("name")
@common_options
def remove_command(options: Options, name: str) -> None:
    """Remove the activity NAME. Tasks that wait for it go on waiting, for as long as their time limits allow."""
    with options.client() as node:
        node.delete_activity(name)
    if options.as_json:
        write_json({"name": name})
    else:
        note(f"removed {name}")


@activity_command.command("poll")
@click.argument("name")
@click.option("--wait", "wait_s", default=60.0, show_default=True, type=click.FloatRange(0, 60), help="Most seconds.")
@click.option("--worker", default="", help="Who asks, for the history.")
@common_options
def poll_command(options: Options, name: str, wait_s: float, worker: str) -> None:
    """Ask the activity NAME for a task.

    Its token and input are written as JSON. Without one the exit code is 1.
    """
    with options.client() as node:
        task = node.poll_activity(name, worker=worker, wait_s=wait_s)
    if task is None:
        note(f"no task of {name} within {wait_s:g} s")
        click.get_current_context().exit(1)
    write_json({"task_token": task.token, "input": task.input})
