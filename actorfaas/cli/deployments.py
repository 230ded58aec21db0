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

    The new version serves only once it is imported and initialised; if that fails, the version before stays. A
    requirements.txt in the folder (or beside the file) is installed for it. Files named in .actorfaasignore stay out.
    """
    from actorfaas.packing import pack

    bundle = pack(path, app=app, entry=entry)
    started = time.perf_counter()
    with options.client() as node:
        deployed = node.deploy(bundle.app, bundle.archive, entry=bundle.entry)
    if options.as_json:
        write_json(deployed)
        return
    click.echo(f"{deployed['app']} version {deployed['version']}: {what(deployed)}")
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
        deployed = node.rollback(app, version or 0)
    if options.as_json:
        write_json(deployed)
    else:
        click.echo(f"{deployed['app']} version {deployed['version']}: {what(deployed)}")


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


def what(deployed: Json) -> str:
    """What a deployment holds, in words."""
    parts = [
        f"{kind} {', '.join(deployed[key])}"
        for kind, key in (("functions", "functions"), ("workflows", "workflows"))
        if deployed.get(key)
    ]
    return "; ".join(parts) or "nothing declared"


def warn_unforkable(deployed: Json) -> None:
    """Say which functions start slowly, and why."""
    if deployed.get("unforkable"):
        note(
            f"{', '.join(deployed['unforkable'])}: the imports start threads, so instances cannot be forked; each"
            " imports for itself and takes longer to start"
        )
