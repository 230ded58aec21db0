"""The command `actorfaas` itself: its global options, its verbs by name, and exit codes for everything that fails.

Owns what is imported before a verb is known: click and nothing else, so that `--help` and completion are quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from actorfaas import __version__
from actorfaas.cli.target import Options, common_options
from actorfaas.errors import ActorFaasError, ApiProblem, ConfigError, NodeUnreachable, ResponseTimeout

EXIT_FAILURE, EXIT_USAGE, EXIT_TIMEOUT, EXIT_INTERRUPT = 1, 2, 124, 130

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Serve": {
        "dev": ("develop", "Serve code from a folder and deploy it again whenever it changes."),
        "serve": ("serve", "Run a node until it is stopped."),
        "deploy": ("deployments", "Deploy a module, a folder or a package."),
        "rollback": ("deployments", "Make an earlier version current."),
        "remove": ("deployments", "Stop serving an application."),
        "swap": ("swap", "Turn swap for idle instances on and off."),
        "doctor": ("doctor", "Check whether this machine can run a node."),
    },
    "Call": {
        "invoke": ("invoke", "Call a function or run a workflow."),
        "list": ("catalogue", "List functions and workflows with their applications."),
        "show": ("catalogue", "Show a function, workflow, execution or application."),
        "test-state": ("trials", "Try one state of a workflow."),
        "executions": ("executions", "List executions, newest first."),
        "cancel": ("executions", "Stop an execution."),
        "redrive": ("executions", "Go on with an execution that failed, from what failed."),
        "task": ("tasks", "Answer tasks that wait for somebody outside."),
        "activity": ("tasks", "Make, list and remove activities, and ask for their tasks."),
        "data": ("data", "Look at and change functions' data."),
    },
    "Watch": {
        "logs": ("logs", "Show what functions wrote."),
        "trace": ("trace", "Show where the time of a request or execution went."),
        "flow": ("flow", "Show what calls what, the bottleneck, and what would help."),
        "workers": ("workers", "Show the pool of instances."),
        "load": ("load", "Generate load and report latencies."),
    },
}
"""Every verb: its module in this package (whose command is called `VERB_command`, with _ for -), and a line of help."""

VERBS = {verb: about for verbs in SECTIONS.values() for verb, about in verbs.items()}


class Root(click.Group):
    """The group of all verbs, which are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = import_module(f"actorfaas.cli.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (_, summary) in verbs.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,  # passed through as it is
    ) -> NoReturn:
        """Run, and exit with a code that says what happened; errors go to standard error."""
        sys.exit(_exit_code(lambda: super(Root, self).main(args, prog_name, complete_var, False, **extra)))


def _exit_code(run: Any) -> int:  # click's main has no useful type: it returns what the command returns
    try:
        result = run()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPT
    except BrokenPipeError:  # whoever read standard output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except ActorFaasError as error:
        return report(error)


def report(error: ActorFaasError) -> int:
    """Tell a person what failed and what can be done; returns the exit code."""
    if isinstance(error, ApiProblem):
        return _report_problem(error)
    click.echo(f"actorfaas: {error}", err=True)
    if isinstance(error, NodeUnreachable):
        click.echo("Start a node with `actorfaas serve`, or say where it is: --url or ACTORFAAS_URL.", err=True)
    if isinstance(error, ConfigError):
        return EXIT_USAGE
    return EXIT_TIMEOUT if isinstance(error, ResponseTimeout) else EXIT_FAILURE


def _report_problem(problem: ApiProblem) -> int:
    if problem.traceback:
        click.echo(problem.traceback.rstrip(), err=True)
    what = f"{problem.error_type}: {problem.detail}" if problem.error_type else problem.detail
    where = f" in {problem.function}" if problem.function else ""
    click.echo(f"actorfaas: {problem.status} {problem.code}{where}: {what}", err=True)
    if problem.status == 401:
        click.echo("Give the node's token with --token or in ACTORFAAS_TOKEN.", err=True)
    if problem.retry_after_s:
        click.echo(f"Try again in {problem.retry_after_s:g} s.", err=True)
    if problem.code == "http_error":
        click.echo("That is not how a node answers; is the address right? See --url and ACTORFAAS_URL.", err=True)
    if problem.code == "not_found":
        click.echo("What there is: actorfaas list", err=True)
    if problem.execution_id:
        click.echo(f"execution {problem.execution_id}; see: actorfaas show {problem.execution_id}", err=True)
    elif problem.request_id:
        hint = f"; what it wrote: actorfaas logs --request {problem.request_id}" if problem.function else ""
        click.echo(f"request {problem.request_id}{hint}", err=True)
    return EXIT_TIMEOUT if problem.code == "timeout" else EXIT_FAILURE


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="actorfaas")
@common_options
def root(options: Options) -> None:
    """Functions and workflows in Python, served from one machine.

    \b
    Quick start:
      actorfaas dev app.py                    serve your code while you write it
      actorfaas invoke hello '"Ada"'          call a function, from another terminal
    """
