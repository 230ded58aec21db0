"""The time an actor sees: one seam, so that a test can say what time it is.

Timers of the event loop are not here; an actor that decides something from the time reads `Actor.clock`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where an actor reads the time."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds: the same in every process of one machine."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch, for people and for what is stored."""


class SystemClock:
    """The machine's clocks."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until told otherwise (for tests)."""

    def __init__(self, monotonic_ns: int = 1_000_000_000, wall_ms: int = 1_700_000_000_000) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ms = wall_ms

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def wall_ms(self) -> int:
        return self._wall_ms

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        if seconds < 0:
            raise ValueError(f"time cannot go back by {-seconds} s")
        self._monotonic_ns += round(seconds * 1_000_000_000)
        self._wall_ms += round(seconds * 1000)


SYSTEM_CLOCK = SystemClock()
