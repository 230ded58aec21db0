"""A node as a child process of this one: started, waited for, stopped. It stops too when this process dies.

Owns the life of that process; `develop` decides what it is for.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from actorfaas.config import Settings
from actorfaas.errors import ClientError

START_TIMEOUT_S = 30.0
STOP_GRACE_S = 10.0
"""How much longer than the node's own `stop_timeout_s` it may take to stop."""


class ChildNode:
    """A node's process, and its URL once it is ready."""

    def __init__(self, process: subprocess.Popen[bytes], stop_within_s: float) -> None:
        self.process = process
        self.url = ""
        self._stop_within_s = stop_within_s

    @classmethod
    def start(cls, settings: Settings) -> ChildNode:
        """Start a node in development mode and wait until it is ready. Raises ClientError when it is not."""
        prepare_folder(settings.data_dir)
        # a session of its own: Ctrl-C reaches this process only, which stops the node in order
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "actorfaas", "-o", "json", "serve", "--stop-with", str(os.getpid())],
            env=os.environ | replace(settings, dev=True).to_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        node = cls(process, settings.stop_timeout_s + STOP_GRACE_S)
        try:
            node.url = _read_url(process)
        except BaseException:  # Ctrl-C too: what has started by now is stopped in order
            node.stop()
            raise
        return node

    def has_ended(self) -> bool:
        """Whether the node is gone, which it should not be before `stop`."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """Ask the node to stop, and make it."""
        self.process.terminate()
        try:
            self.process.wait(self._stop_within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def prepare_folder(folder: Path) -> None:
    """Make a data folder that version control leaves alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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


def _read_url(process: subprocess.Popen[bytes]) -> str:
    """What the node says when it is ready: one line of JSON on its standard output."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_S
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while b"\n" not in received:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise ClientError(f"the node was not ready in {START_TIMEOUT_S:g} s")
            piece = process.stdout.read1(4096)  # type: ignore[attr-defined]  # a pipe is a BufferedReader
            if not piece:
                raise ClientError(f"the node did not start ({_ending(process)}); its messages are above")
            received += piece
    url: str = json.loads(received.splitlines()[0])["url"]
    return url


def _ending(process: subprocess.Popen[bytes]) -> str:
    """How a process that has closed its output ends."""
    try:
        return f"exit code {process.wait(STOP_GRACE_S)}"
    except subprocess.TimeoutExpired:
        return "it hangs"
