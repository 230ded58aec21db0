"""How much memory workers may use, how much they do, and how fast pages may move. Pure.

Usage is the control groups' (`memory.current`, `memory.usage_in_bytes`): resident sizes of processes say nothing, as
pages paged out stay in the swap cache until they are reclaimed. Between two measurements, what is known to be under
way is added and subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """Marks as shares of `limit_bytes`; above `high` memory is freed down to `low`. 0 bytes: no limit.

    When the share of time in which some task waits for memory (PSI `some avg10`, in percent) exceeds
    `most_pressure_percent`, every measurement takes `tighten_step` off the budget, at most `most_tightened` in all;
    below, `relax_step` comes back: quickly down, slowly up.
    """

    limit_bytes: int
    low: float = 0.80
    high: float = 0.90
    most_pressure_percent: float = 10.0
    tighten_step: float = 0.05
    relax_step: float = 0.01
    most_tightened: float = 0.40

    def __post_init__(self) -> None:
        if self.limit_bytes < 0 or not 0.0 < self.low <= self.high <= 1.0 or not 0.0 <= self.most_tightened < 1.0:
            raise ValueError(f"budget rules contradict each other: {self}")


class MemoryBudget:
    """The workers' memory against its limit."""

    __slots__ = ("_rules", "coming_bytes", "leaving_bytes", "starting_bytes", "tightened", "usage_bytes")

    def __init__(self, rules: BudgetRules) -> None:
        self._rules = rules
        self.usage_bytes = 0
        self.coming_bytes = 0
        """Expected of page-ins under way."""
        self.leaving_bytes = 0
        """Expected of page-outs under way."""
        self.starting_bytes = 0
        """Expected of instances that are being started, or wait for room to be."""
        self.tightened = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._rules.limit_bytes > 0

    @property
    def limit_bytes(self) -> int:
        """Never to be exceeded for long. Pressure does not move it."""
        return self._rules.limit_bytes

    @property
    def high_bytes(self) -> int:
        """Above this, memory is freed."""
        return int(self._rules.limit_bytes * self._rules.high * (1.0 - self.tightened))

    @property
    def low_bytes(self) -> int:
        """Down to this; and guesses are brought in only up to it."""
        return int(self._rules.limit_bytes * self._rules.low * (1.0 - self.tightened))

    @property
    def projected_bytes(self) -> int:
        """Usage once everything under way has ended."""
        return max(0, self.usage_bytes + self.starting_bytes + self.coming_bytes - self.leaving_bytes)

    @property
    def is_above_high(self) -> bool:
        """Whether to begin to free memory."""
        return self.is_limited and self.projected_bytes > self.high_bytes

    @property
    def is_above_low(self) -> bool:
        """Whether to go on freeing it, once begun."""
        return self.is_limited and self.projected_bytes > self.low_bytes

    @property
    def is_above_limit(self) -> bool:
        """Whether nothing else counts."""
        return self.is_limited and self.projected_bytes > self.limit_bytes

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether a guess of this size may be brought in."""
        return not self.is_limited or self.projected_bytes + size_bytes <= self.low_bytes

    def measured(self, usage_bytes: int) -> None:
        """The control groups' usage now."""
        self.usage_bytes = max(0, usage_bytes)

    def moved(self, difference_bytes: int) -> None:
        """What a page-in added or a page-out freed; the next measurement replaces it."""
        self.usage_bytes = max(0, self.usage_bytes + difference_bytes)

    def pressed(self, some_avg10_percent: float) -> None:
        """Pressure-stall information, see BudgetRules."""
        rules = self._rules
        if some_avg10_percent > rules.most_pressure_percent:
            self.tightened = min(rules.most_tightened, self.tightened + rules.tighten_step)
        else:
            self.tightened = max(0.0, self.tightened - rules.relax_step)


class TrafficCap:
    """A bucket of bytes that page-out and page-in share: `bytes_per_s` flow in, up to `burst_bytes`.

    Whoever may wait asks `has_room`: a move may begin while the bucket is not empty, so one larger than the burst is
    possible, and its debt is paid first. What cannot wait is charged anyway, but adds no more debt than one burst in
    all: calls do not stop page-outs for minutes. 0: no cap.
    """

    __slots__ = ("_burst_bytes", "_bytes_per_s", "_level_bytes", "_since_ns")

    def __init__(self, bytes_per_s: int, burst_bytes: int) -> None:
        self._bytes_per_s = bytes_per_s
        self._burst_bytes = burst_bytes
        self._level_bytes = float(burst_bytes)
        self._since_ns = 0

    def has_room(self, now_ns: int) -> bool:
        """Whether a move that may wait may begin."""
        self._flow(now_ns)
        return not self._bytes_per_s or self._level_bytes > 0.0

    def charge(self, size_bytes: int, now_ns: int) -> None:
        """A move begins."""
        self._flow(now_ns)
        charged = self._level_bytes - size_bytes
        if self._level_bytes <= 0.0:
            charged = max(charged, min(self._level_bytes, -float(self._burst_bytes)))
        self._level_bytes = charged

    def room_at_ns(self, now_ns: int) -> int:
        """When `has_room` will be true."""
        if self.has_room(now_ns):
            return now_ns
        return now_ns + 1 + int((1.0 - self._level_bytes) / self._bytes_per_s * SECOND_NS)

    def _flow(self, now_ns: int) -> None:
        elapsed_ns = max(0, now_ns - self._since_ns)
        self._since_ns = max(self._since_ns, now_ns)
        gained = self._bytes_per_s * elapsed_ns / SECOND_NS
        self._level_bytes = min(float(self._burst_bytes), self._level_bytes + gained)
