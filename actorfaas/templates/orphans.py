"""Processes that user code started and left behind: found among the supervisor's children, ended and reaped.

The supervisor inherits every descendant whose parent has ended. Those that still belong to the process group of a
live worker are left alone (a worker leads a group of its own, and may start what it likes); everything else that
carries our mark or session is killed: an instance's processes end with it, and it cannot detach one.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path

from actorfaas.templates.processes import state_parent_session


class OrphanSweeper:
    """Looks through this process's children. `mark`: NAME=VALUE in the environment of all our descendants."""

    def __init__(self, mark: str, sessions: set[int]) -> None:
        self._mark = b"\0" + mark.encode() + b"\0"
        self._sessions = sessions
        self._zombies: set[int] = set()

    def sweep(self, known: Collection[int]) -> int:
        """End and reap what is not `known` (pids somebody waits for, live workers among them); how many were killed."""
        zombies: set[int] = set()
        used_sessions: set[int] = set()
        killed = 0
        for pid in _children():
            try:
                state, _, session = state_parent_session(pid)
                used_sessions.add(session)
                if pid in known:
                    continue
                if state == "Z":
                    zombies.add(pid)
                    if session in self._sessions or pid in self._zombies:  # whoever else owned it had time to reap it
                        os.waitpid(pid, os.WNOHANG)
                elif self._is_orphan(pid, session, known):
                    os.kill(pid, signal.SIGKILL)  # our child: its pid cannot be reused before we reap it
                    killed += 1
            except (ProcessLookupError, ChildProcessError):
                continue
        self._zombies = zombies
        self._sessions &= used_sessions | {one for one in self._sessions if os.path.exists(f"/proc/{one}")}
        return killed

    def _is_orphan(self, pid: int, session: int, known: Collection[int]) -> bool:
        if session not in self._sessions and not self._is_marked(pid):
            return False
        return os.getpgid(pid) not in known

    def _is_marked(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return self._mark in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
        return False


def end_remains(lineage: str) -> int:
    """End what supervisors before this one left behind because they were killed; how many were ended.

    Before this one has children: every process with `lineage` in its environment. Templates and workers have ended
    with their supervisor, but what user code detached has not, and `init` is its parent now.
    """
    wanted = b"\0" + lineage.encode()
    killed = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            held = os.pidfd_open(int(entry.name))
            try:
                if wanted in b"\0" + Path(entry.path, "environ").read_bytes():
                    signal.pidfd_send_signal(held, signal.SIGKILL)
                    killed += 1
            finally:
                os.close(held)
    return killed


def _children() -> list[int]:
    """Children of all threads of this process (proc_pid_task_children(5); none where the kernel lacks the file)."""
    found: list[int] = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/self/task/{task}/children").read_text().split())
    return found
