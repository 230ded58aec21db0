"""A node as a child process of this one: started, waited for, stopped. It stops too when this process dies.

Owns the life of that process; `develop` decides what it is for.
"""

from __future__ import annotations

import json
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from actorfaas.config import Settings
from actorfaas.errors import NodeUnreachable

START_TIMEOUT_S = 30.0
STOP_GRACE_S = 10.0
"""How much longer than the node's own `stop_timeout_s` it may take to stop."""
_SOCKET_PATH_LIMIT = 107  # bytes in sockaddr_un.sun_path, less the final zero (unix(7))
_LONGEST_SOCKET_NAME = "execution_manager.handover.sock"


class ChildNode:
    """A running node and its URL."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, settings: Settings, run_dir: str) -> None:
        self.process = process
        self.url = url
        self._settings = settings
        self._run_dir = run_dir

    @classmethod
    def start(cls, settings: Settings) -> ChildNode:
        """Start a node in development mode and wait until it is ready. Raises NodeUnreachable when it is not."""
        prepare_folder(settings.data_dir)
        run_dir = _short_run_dir(settings.run_path)
        command = [
            *(sys.executable, "-m", "actorfaas", "-o", "json", "serve", "--stop-with-parent", "--dev"),
            *("--data-dir", str(settings.data_dir), "--run-dir", run_dir or str(settings.run_path)),
            *("--host", settings.host, "--port", str(settings.port), "--log-level", settings.log_level),
        ]
        # a session of its own: Ctrl-C reaches this process only, which stops the node in order
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        try:
            url = _read_url(process)
        except BaseException:
            process.kill()
            process.wait()
            shutil.rmtree(run_dir, ignore_errors=True)
            raise
        return cls(process, url, settings, run_dir)

    def has_ended(self) -> bool:
        """Whether the node is gone, which it should not be before `stop`."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """Ask the node to stop, and make it."""
        self.process.terminate()
        try:
            self.process.wait(self._settings.stop_timeout_s + STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if self._run_dir:
            shutil.rmtree(self._run_dir, ignore_errors=True)


def prepare_folder(folder: Path) -> None:
    """Make a data folder that version control leaves alone."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")


def free_port(host: str, wanted: int) -> int:
    """`wanted` if nothing listens there, else 0 (the node then picks one)."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            return 0
    return wanted


def _short_run_dir(wanted: Path) -> str:
    """A folder for sockets when `wanted` is too long for their addresses, else ""."""
    if len(str(wanted / _LONGEST_SOCKET_NAME).encode()) <= _SOCKET_PATH_LIMIT:
        return ""
    return tempfile.mkdtemp(prefix="actorfaas-")


def _read_url(process: subprocess.Popen[bytes]) -> str:
    """What the node says when it is ready: one line of JSON on its standard output."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_S
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while b"\n" not in received:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise NodeUnreachable(f"the node was not ready in {START_TIMEOUT_S:g} s")
            piece = process.stdout.read1(4096)  # type: ignore[attr-defined]  # a pipe is a BufferedReader
            if not piece:
                raise NodeUnreachable(f"the node did not start (exit code {process.wait()}); its messages are above")
            received += piece
    url: str = json.loads(received.splitlines()[0])["url"]
    return url
