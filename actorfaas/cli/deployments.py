"""`actorfaas deploy`, `rollback` and `remove`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from actorfaas.cli.output import note, write_json
from actorfaas.cli.target import Options, common_options

Json = Any  # a decoded JSON document: what the API answered


@click.command("deploy")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--app", default="", metavar="NAME", help="The application's name; default: the file's or folder's.")
@click.option("--entry", default="", metavar="FILE", help="The module to import, if it is not app.py.")
@common_options
def deploy_command(options: Options, path: Path, app: str, entry: str) -> None:
    """Deploy the code at PATH: a .py file, a folder with app.py, or a package.

    What it declares can then be called; the same content again changes nothing. A new version serves only once it is
    imported and initialised; if that fails, the version before stays. A requirements.txt in the folder (or beside the
    file) is installed for it. Files named in .actorfaasignore stay out.

    \b
      actorfaas deploy app.py
      actorfaas deploy workflows/parcels --app shop
    """
    from actorfaas.packing import pack

    bundle = pack(path, app=app, entry=entry)
    started = time.perf_counter()
    with options.client() as node:
        deployed = node.deploy(bundle.app, bundle.archive, entry=bundle.entry)
    _write(options, deployed)
    if not options.as_json:
        files = "1 file" if len(bundle.files) == 1 else f"{len(bundle.files)} files"
        note(f"{files}, {len(bundle.archive):,} bytes, {time.perf_counter() - started:.2f} s")
        warn_unforkable(deployed)


@click.command("rollback")
@click.argument("app")
@click.argument("version", type=click.IntRange(min=1), required=False)
@common_options
def rollback_command(options: Options, app: str, version: int | None) -> None:
    """Make an earlier VERSION of APP current; without one, the version before."""
    with options.client() as node:
        _write(options, node.rollback(app, version or 0))


@click.command("remove")
@click.argument("app")
@common_options
def remove_command(options: Options, app: str) -> None:
    """Stop serving APP, all its functions and workflows."""
    with options.client() as node:
        node.remove(app)
    if options.as_json:
        write_json({"app": app, "removed": True})
    else:
        note(f"removed {app}")


def in_words(deployed: Json) -> str:
    """Which version serves, and whether that is new."""
    if deployed.get("unchanged"):
        return f"{deployed['app']} is unchanged, version {deployed['version']} stays in service"
    return f"{deployed['app']} version {deployed['version']} is in service"


def _write(options: Options, deployed: Json) -> None:
    """What serves now: a line for the version, and one for each thing that can be called."""
    if options.as_json:
        write_json(deployed)
        return
    click.echo(in_words(deployed))
    for kind in ("workflow", "function"):
        for name in deployed[f"{kind}s"]:
            click.echo(f"  {kind}  {name}")


def warn_unforkable(deployed: Json) -> None:
    """Say which functions start slowly, and why."""
    if deployed.get("unforkable"):
        note(
            f"{', '.join(deployed['unforkable'])}: the imports start threads, so instances cannot be forked; each"
            " imports for itself and takes longer to start"
        )
