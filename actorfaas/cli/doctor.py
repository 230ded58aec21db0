"""`actorfaas doctor`: every check, one line each, with what to do; works with and without a node."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from actorfaas.cli import checks, swap_checks
from actorfaas.cli.checks import Check, Machine
from actorfaas.cli.output import write_json
from actorfaas.cli.target import Options, common_options
from actorfaas.config import load
from actorfaas.errors import ApiProblem, ClientError

CHECKS = (*checks.CHECKS, *swap_checks.CHECKS)

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The data folder a node would use.")
@click.option("--host", default=None, help="The address a node would listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="The port a node would listen on.")
@common_options
def doctor_command(options: Options, data_dir: Path | None, host: str | None, port: int | None) -> None:
    """Check whether this machine can run a node, and what could be better.

    The exit code is 1 only if `actorfaas serve` could not work.
    """
    machine = Machine(load({"data_dir": data_dir, "host": host, "port": port}))
    found = [check(machine) for check in CHECKS]
    found.append(check_node(options))
    if options.as_json:
        write_json([asdict(check) for check in found])
    else:
        _write(found)
    if any(check.status == "fail" for check in found):
        raise click.exceptions.Exit(1)


def check_node(options: Options) -> Check:
    """Whether a node answers, and what it says about itself; that none runs is no fault."""
    try:
        with options.client() as node:
            url = node.url
            if not node.is_ready():
                return Check("node", "warn", f"{url} is not ready", "it may be starting; see its log")
            about = node.node()
    except ApiProblem as problem:
        return Check("node", "warn", f"{url} answers {problem.status}: {problem.detail}", "give its --token")
    except ClientError as error:
        return Check("node", "ok", f"none runs ({error})", "start one with: actorfaas serve")
    return Check("node", "ok", f"{url} is ready, version {_version(about)}")


def _version(about: Any) -> str:  # a decoded JSON document
    return str(about.get("version", "unknown")) if isinstance(about, dict) else "unknown"


def _write(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = click.style(check.status.ljust(4), fg=_COLOURS[check.status])
        click.echo(f"{mark}  {check.name.ljust(width)}  {check.found}")
        if check.advice:
            click.echo(f"{' ' * (width + 8)}{click.style(check.advice, dim=True)}")
