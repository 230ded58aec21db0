"""How a process ended, in words for people; and whether the kernel may have killed it for its memory.

Owns the wording of `WorkerExited.detail` and `TemplateExited.detail`.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

EXIT_MEANINGS = {71: " (its connection to the platform broke; did the handler close it?)"}
"""What an exit status of `actorfaas.worker.worker` means to people; a handler may of course use the same number."""

_VMSTAT = "/proc/vmstat"
_RECENT_NS = 5_000_000_000
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS})


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of one process. `signal` is 0 when it exited by itself; `is_known` is False when nobody could reap it."""

    pid: int
    exit_code: int
    signal: int
    max_rss_bytes: int = 0
    is_known: bool = True

    @classmethod
    def from_status(cls, pid: int, status: int, max_rss_kib: int) -> Exit:
        """From what wait4(2) reports."""
        code = os.waitstatus_to_exitcode(status)
        return cls(pid, max(code, 0), max(-code, 0), max_rss_kib * 1024)


def describe_exit(ended: Exit, reason: str, out_of_memory: bool) -> str:
    """A sentence part: "exited with status 3", "was killed by signal 9 (SIGKILL): timeout".

    `reason`: why the platform killed it, or "". `out_of_memory`: what `OomWatch.suspects` says.
    """
    because = f": {reason}" if reason else ""
    if not ended.is_known:
        return f"ended, nobody saw how{because}"
    if ended.signal == 0:
        known = EXIT_MEANINGS.get(ended.exit_code, "")
        return f"exited with status {ended.exit_code}{because}{known}"
    name = f"signal {ended.signal} ({signal_name(ended.signal)})"
    if ended.signal in _CRASHES:
        return f"crashed: {name}{because}"
    if out_of_memory:
        return f"was killed by {name}, probably out of memory"
    return f"was killed by {name}{because}"


def signal_name(number: int) -> str:
    """SIGKILL for 9; the number itself when it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


class OomWatch:
    """Notices when the kernel's count of out-of-memory kills (global and in cgroups, Linux 4.13+) has grown."""

    def __init__(self) -> None:
        self._count = _oom_kills()
        self._grew_at_ns = -_RECENT_NS

    def suspects(self, ended: Exit, reason: str, now_ns: int) -> bool:
        """Whether an exit looks like one: SIGKILL, sent by nobody here, and something was just killed for memory."""
        if ended.signal != signal.SIGKILL or reason:
            return False
        self.look(now_ns)
        return now_ns - self._grew_at_ns < _RECENT_NS

    def look(self, now_ns: int) -> None:
        """Read the count; regularly, so that an old kill is not taken for a recent one."""
        count = _oom_kills()
        if count > self._count:
            self._count = count
            self._grew_at_ns = now_ns


def _oom_kills() -> int:
    try:
        with open(_VMSTAT, "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except OSError:
        pass  # no /proc/vmstat: then an exit is described without this guess
    return 0
