"""`actorfaas dev`: a node of one's own, the code deployed again whenever it changes, its output shown live."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from actorfaas.cli.child_node import ChildNode, free_port
from actorfaas.cli.logs import write_line
from actorfaas.cli.output import note
from actorfaas.cli.redeploy import Redeployer
from actorfaas.cli.target import Options, common_options
from actorfaas.config import Settings, load
from actorfaas.discovery import DEV_FOLDER
from actorfaas.errors import ClientError
from actorfaas.packing import Ignore, find_apps

DEBOUNCE_MS = 200
NODE_CHECK_MS = 1000
"""How often it is noticed that the node has died."""
LOG_RETRY_S = 0.5


@click.command("dev")
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=".")
@click.option("--host", default=None, help="Address to listen on; default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Default 8080, or a free one if it is taken.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where to keep data; default .actorfaas in the folder."
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Of the node itself.")
@common_options
def dev_command(
    options: Options, path: Path, host: str | None, port: int | None, data_dir: Path | None, log_level: str | None
) -> None:
    """Serve the code at PATH and deploy it again whenever it changes; Ctrl-C stops.

    PATH is a .py file, a folder with app.py, a package, or a folder that holds several of those. Code that cannot be
    imported leaves the version before in service. What functions write is shown as it comes.

    \b
      actorfaas dev                     this folder
      actorfaas dev app.py --port 0     on any free port
    """
    find_apps(path)
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    flags = {
        "host": host,
        "port": port,
        "data_dir": data_dir or folder / DEV_FOLDER,
        "log_level": log_level or "warning",
    }
    settings = load(flags, folder=folder)
    if port is None:
        settings = replace(settings, port=free_port(settings.host, settings.port))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _develop(path, settings, as_json=options.as_json)
    except KeyboardInterrupt:
        note("stopped")


def _develop(path: Path, settings: Settings, *, as_json: bool) -> None:
    node = ChildNode.start(settings)
    try:
        note(f"node {node.url}, data in {settings.data_dir}")
        _show_logs(node.url, settings.api_token, as_json=as_json)
        with Options(node.url, settings.api_token).client() as client:
            redeployer = Redeployer(client, path)
            redeployer.deploy_all()
            note("watching for changes; Ctrl-C stops")
            for changed in _changes(path):
                if node.has_ended():
                    raise ClientError(f"the node has ended with exit code {node.process.returncode}")
                if changed or redeployer.has_due():
                    redeployer.files_changed(changed)
    finally:
        node.stop()


def _changes(path: Path) -> Iterator[set[Path]]:
    """Files that changed, gathered over a moment; an empty set about once a second, and Ctrl-C as KeyboardInterrupt."""
    from watchfiles import watch

    path = path.absolute()
    root = path.parent if path.is_file() else path
    ignore = Ignore()
    for batch in watch(
        root,
        watch_filter=lambda _, name: not ignore.excludes(Path(name).relative_to(root).as_posix()),
        debounce=DEBOUNCE_MS,
        rust_timeout=NODE_CHECK_MS,
        yield_on_timeout=True,
        recursive=path.is_dir(),
    ):
        yield {Path(name) for _, name in batch}


def _show_logs(url: str, token: str, *, as_json: bool) -> None:
    """Write functions' output to standard output from a thread that ends with this process."""

    def follow() -> None:
        with Options(url, token).client() as client:
            after = -1
            while True:
                try:
                    if after < 0:
                        after = int(client.logs(limit=1, tail=True)["after"])
                    for line in client.follow_logs(after=after):
                        after = max(after, int(line["seq"]))
                        write_line(line, as_json=as_json)
                except ClientError:
                    time.sleep(LOG_RETRY_S)  # the node, or a part of it, is restarting

    threading.Thread(target=follow, name="logs", daemon=True).start()
