"""For tests: the functions' data in memory (`MemoryData`), and a real node with a free port and a folder of its own.

    with running_node() as node:
        httpx.post(f"{node.url}/v1/invoke/hello", json={"name": "Ada"})

This module starts and stops the process; it does not know what is said to it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from actorfaas.data.memory import MemoryData

__all__ = ["MemoryData", "NodeDidNotStart", "RunningNode", "running_node"]

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
_POLL_S = 0.02
_DIRECT = build_opener(ProxyHandler({}))
"""No proxy stands between a person and their own node, whatever the environment says."""


class NodeDidNotStart(RuntimeError):
    """The node ended, or was not ready in time; the message holds its log."""


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that answers: where it is, where its data is, and its process."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """What the node has logged so far."""
        return (self.folder / "node.log").read_text("utf-8", "replace")


@contextmanager
def running_node(folder: Path | None = None, /, **settings: str | float) -> Iterator[RunningNode]:
    """Start `actorfaas serve` and wait until it is ready; stop it at the end.

    `folder` becomes the data folder and is kept; without it a temporary one is used. `settings` are those of
    `actorfaas.config.Settings`. Raises NodeDidNotStart.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="actorfaas-") as name, running_node(Path(name), **settings) as node:
            yield node
        return
    process = start_process(folder, settings)
    try:
        yield RunningNode(wait_until_ready(folder, process), folder, process)
    finally:
        _stop(process)


def start_process(folder: Path, settings: dict[str, str | float]) -> subprocess.Popen[bytes]:
    """Start `actorfaas serve` in its data folder; whether and when it serves is left to `wait_until_ready`."""
    given = {"data_dir": str(folder), "port": "0", "log_level": "warning"} | settings
    environment = os.environ | {f"ACTORFAAS_{name.upper()}": str(value) for name, value in given.items()}
    command = [sys.executable, "-P", "-m", "actorfaas", "serve"]
    if threading.current_thread() is threading.main_thread():
        # Nobody would stop it if this process were killed. The kernel watches the thread that forks, not the process.
        command += ["--stop-with", str(os.getpid())]
    with (folder / "node.log").open("wb") as log:
        # a session of its own: Ctrl-C reaches whoever started the node, which then stops it in order
        return subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=log,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def wait_until_ready(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """Its URL, once it serves. Raises NodeDidNotStart."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            state = json.loads((folder / "node.json").read_text("utf-8"))
            if state["pid"] == process.pid:
                with _DIRECT.open(f"{state['url']}/readyz", timeout=5):
                    return str(state["url"])
        except (OSError, URLError, ValueError, KeyError):
            pass
        time.sleep(_POLL_S)
    why = "ended" if process.poll() is not None else f"was not ready in {START_TIMEOUT_S:g} s"
    raise NodeDidNotStart(f"the node {why}:\n{(folder / 'node.log').read_text('utf-8', 'replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
