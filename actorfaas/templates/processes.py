"""Processes by file descriptor: signalled and waited for without ever meeting a reused pid (pidfd_open(2)).

Owns the supervisor's role as the reaper of all its descendants: a worker whose template died becomes the
supervisor's child (PR_SET_CHILD_SUBREAPER, prctl(2)) and is waited for here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Callable

from actorfaas.templates.exits import Exit

_PR_SET_CHILD_SUBREAPER = 36
_RETRY_DELAY_S = 0.01
_MAX_RETRIES = 100
_libc = ctypes.CDLL(None, use_errno=True)


def become_reaper_of_orphans(enabled: bool) -> None:
    """Have descendants whose parent ends become children of this process. Raises OSError."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "PR_SET_CHILD_SUBREAPER")


def state_parent_session(pid: int) -> tuple[str, int, int]:
    """State letter, parent and session of a process (/proc/PID/stat, proc_pid_stat(5)). Raises ProcessLookupError."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(pid) from error
    fields = text[text.rindex(b")") + 2 :].split()  # the name before may hold anything
    return fields[0].decode(), int(fields[1]), int(fields[3])


def private_bytes(pid: int) -> int:
    """The anonymous memory of a process, in memory and in swap; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            fields = (line.split() for line in file)
            return sum(int(field[1]) * 1024 for field in fields if field[0] in (b"RssAnon:", b"VmSwap:"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Process:
    """A descendant of the supervisor, held by a pidfd."""

    def __init__(self, pid: int, parents: tuple[int, ...]) -> None:
        """Raises ProcessLookupError when `pid` is not a child of one of `parents` (then it has ended)."""
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        self._waiting: Callable[[Exit], None] | None = None
        try:
            if state_parent_session(pid)[1] not in parents:
                raise ProcessLookupError(pid)
        except ProcessLookupError:
            os.close(self._fd)
            raise

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process has ended."""
        if self._fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.signal(signal.SIGKILL)

    def reap(self, ended: Callable[[Exit], None]) -> None:
        """Wait for the end of a process that is, or is about to become, our own child; then call `ended` once."""
        if self._waiting is None and self._fd >= 0:
            self._waiting = ended
            asyncio.get_running_loop().add_reader(self._fd, self._ended, 0)

    def close(self) -> None:
        """Forget the process, which goes on if it has not ended."""
        if self._fd >= 0:
            if self._waiting is not None:
                asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _ended(self, attempt: int) -> None:
        waiting = self._waiting
        if self._fd < 0 or waiting is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        try:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid = 0
        if pid:
            self.close()
            waiting(Exit.from_status(pid, status, usage.ru_maxrss))
        elif attempt < _MAX_RETRIES:
            # its parent is ending at this moment and has not passed it on yet, or has reaped it itself
            loop.call_later(_RETRY_DELAY_S, self._ended, attempt + 1)
        else:
            self.close()
            waiting(Exit(self.pid, 0, 0, is_known=False))
