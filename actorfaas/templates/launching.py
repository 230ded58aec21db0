"""Starting an interpreter through the `Launcher`, with pipes for what it writes, as a process that is ours to reap."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

from actorfaas.templates.pipes import PipeReader
from actorfaas.templates.processes import Process
from actorfaas.worker.launch import URL_VARIABLE, Command, Launcher

MARK_VARIABLE = "FW_SUPERVISOR"

TakeLine = Callable[[str, bytes], None]
"""Called with the stream's name (stdout, stderr) and one line."""


class OutputPipes:
    """The two pipes of one process: the ends to give away, then the readers."""

    def __init__(self) -> None:
        """Raises OSError when there are too many open files."""
        self._out_read, self.stdout = os.pipe()
        try:
            self._err_read, self.stderr = os.pipe()
        except OSError:
            os.close(self._out_read)
            os.close(self.stdout)
            raise

    def read(self, take_line: TakeLine) -> list[PipeReader]:
        """Begin to read; the readers own the reading ends from now on."""
        return [
            PipeReader(self._out_read, lambda line: take_line("stdout", line)),
            PipeReader(self._err_read, lambda line: take_line("stderr", line)),
        ]

    def close_writing_ends(self) -> None:
        """Once the process has its copies."""
        os.close(self.stdout)
        os.close(self.stderr)

    def close_reading_ends(self) -> None:
        """When no process came to be."""
        os.close(self._out_read)
        os.close(self._err_read)


class Start:
    """How this supervisor starts interpreters: through which launcher, in which environment.

    `environment` carries a mark by which a process that lost its parents is known as a descendant of ours. It begins
    with `lineage`, which it shares with the supervisors before this one of the same `node` (its data folder). `url`:
    where the node is, for functions that call others.
    """

    def __init__(self, launcher: Launcher, log_limit_bytes: int, node: str, url: str = "") -> None:
        self._launcher = launcher
        self.log_limit_bytes = log_limit_bytes
        digest = hashlib.sha256(os.fsencode(node)).hexdigest()[:16]  # a path could begin as another node's mark does
        self.lineage = f"{MARK_VARIABLE}={digest}:"
        self.mark = f"{self.lineage}{os.getpid()}.{time.monotonic_ns()}"
        name, _, value = self.mark.partition("=")
        self.environment = {**os.environ, name: value, URL_VARIABLE: url}
        self.sessions: set[int] = set()
        """Sessions that were started, for `orphans` to look through."""

    def process(self, command: Command, pipes: OutputPipes) -> Process:
        """Start a command as our own child, writing into `pipes`. Raises OSError."""
        popen = self._launcher.start(command, pipes.stdout, pipes.stderr)
        popen.returncode = 0  # the process is waited for by its pidfd; Popen must not try, nor warn that nobody did
        self.sessions.add(popen.pid)
        return Process(popen.pid, (os.getpid(),))
