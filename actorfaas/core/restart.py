"""Whether and when something that died is started again: exponential back-off and a limit. Pure: time is given.

Starting, killing and waiting belong to whoever owns the process (`runtime.supervisor`, the templates' owner).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartRules:
    """The numbers of a restart policy.

    The n-th death in a row is followed by a delay of `first_delay_s * 2**(n-1)`, at most `longest_delay_s`. A life of
    `stable_after_s` makes the next death the first again and forgives those before. More than `limit` deaths within
    `window_s` end it.
    """

    first_delay_s: float = 0.05
    longest_delay_s: float = 5.0
    stable_after_s: float = 60.0
    limit: int = 10
    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again after `delay_s`; this was the `in_a_row`-th death without a stable life between."""

    delay_s: float
    in_a_row: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start it again: it died `deaths` times within `window_s`."""

    deaths: int
    window_s: float


class RestartPolicy:
    """What is known about the deaths of one child."""

    __slots__ = ("_deaths", "_in_a_row", "rules")

    def __init__(self, rules: RestartRules | None = None) -> None:
        self.rules = rules or RestartRules()
        self._in_a_row = 0
        self._deaths: deque[float] = deque()

    def died(self, now_s: float, lived_s: float) -> Restart | GiveUp:
        """Decide after a death at `now_s` (monotonic) of a child that lived for `lived_s`."""
        rules = self.rules
        if lived_s >= rules.stable_after_s:
            self._in_a_row = 0
            self._deaths.clear()
        self._in_a_row += 1
        self._deaths.append(now_s)
        while self._deaths[0] <= now_s - rules.window_s:
            self._deaths.popleft()
        if len(self._deaths) > rules.limit:
            return GiveUp(len(self._deaths), rules.window_s)
        doublings = min(self._in_a_row - 1, 63)  # beyond that a float only grows without meaning
        return Restart(min(rules.first_delay_s * 2.0**doublings, rules.longest_delay_s), self._in_a_row)
