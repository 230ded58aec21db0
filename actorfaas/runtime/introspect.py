"""What a process says about itself: open files, memory, restarts, and how late its event loop runs."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

_PERIOD_S = 0.5

RESTARTS = "ACTORFAAS_RESTARTS"
"""The environment variable in which an actor process finds how often it was started again."""


def open_files() -> int:
    """Descriptors this process holds."""
    return len(os.listdir("/proc/self/fd")) - 1  # the listing itself holds one


def rss_bytes() -> int:
    """Resident set size of this process (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()


def restarts() -> int:
    """How often the node has started this process again."""
    return int(os.environ.get(RESTARTS, "0"))


class LoopLag:
    """How much later than asked a timer of the event loop fires; a busy or blocked loop shows here."""

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure on the running loop."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _PERIOD_S
        self._timer = loop.call_at(self._due, self._measure, loop)

    def stop(self) -> None:
        """End the measurement."""
        if self._timer is not None:
            self._timer.cancel()

    def take_ns(self) -> int:
        """The worst delay since the last call."""
        worst, self._worst_s = self._worst_s, 0.0
        return round(worst * 1e9)

    def _measure(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self._worst_s = max(self._worst_s, now - self._due)
        self._due = now + _PERIOD_S
        self._timer = loop.call_at(self._due, self._measure, loop)
