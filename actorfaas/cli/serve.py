"""`actorfaas serve`: settings from flags, environment and files, then the node until it is stopped."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_type_hints

import click

from actorfaas.cli.output import note, write_json_line
from actorfaas.cli.target import Options, common_options
from actorfaas.config import Settings, load

_PR_SET_PDEATHSIG = 1
_TYPES: dict[type, click.ParamType[Any] | type] = {  # click's parameter types differ by what they yield
    int: int,
    float: float,
    str: str,
    Path: click.Path(path_type=Path),
}


def _described(setting: Field[Any]) -> str:  # a dataclass's field says nothing of its type
    """What a setting means, and what holds where nobody says anything."""
    meaning: str = setting.metadata["doc"]
    if setting.default in (MISSING, "", Path()):
        return meaning
    return f"{meaning}  [default: {str(setting.default).lower()}]"


def setting_options(command: Any) -> Any:  # click's decorators lose the type of what they decorate
    """One option for every setting; what is not given is None."""
    hints = get_type_hints(Settings)
    for field in reversed(fields(Settings)):
        flag = f"--{field.name.replace('_', '-')}"
        kind = hints[field.name]
        decorate = (
            click.option(f"{flag}/--no-{flag[2:]}", default=None, help=_described(field))
            if kind is bool
            else click.option(flag, field.name, type=_TYPES[kind], default=None, help=_described(field))
        )
        command = decorate(command)
    return command


@click.command("serve")
@setting_options
@click.option("--stop-with", "parent_pid", type=int, metavar="PID", hidden=True)
@common_options
def serve_command(options: Options, parent_pid: int | None, **flags: Any) -> None:  # one for each setting
    """Run a node until it is stopped (Ctrl-C, SIGTERM). Its URL is printed when it is ready.

    Every option is also a setting ACTORFAAS_NAME in the environment, and a line `name = value` in actorfaas.toml or
    under [tool.actorfaas] in pyproject.toml; options come first, then the environment.

    \b
      actorfaas serve --data-dir /srv/faas --port 8000
    """
    if parent_pid is not None:
        _stop_with(parent_pid)
    from actorfaas.node import main

    settings = load(flags)

    def on_ready(url: str) -> None:
        if options.as_json:
            write_json_line({"url": url, "pid": os.getpid(), "data_dir": str(settings.data_dir)})
        else:
            click.echo(url)
            note("ready; Ctrl-C stops it")
        sys.stdout.flush()

    raise click.exceptions.Exit(main(settings, on_ready))


def _stop_with(parent_pid: int) -> None:
    """SIGTERM for this process when its parent ends, however it ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before that call
        raise click.exceptions.Exit(1)
