"""How long something takes, learned: robust averages with a prior, and a histogram for what is under way. Pure.

Everything is in nanoseconds or bytes; both are positive with long tails, so averages are taken of logarithms.
"""

from __future__ import annotations

from bisect import bisect_right
from math import exp, log

from actorfaas.core.learned_format import Numbers

_FLOOR = 1.0
_MOST = 1e100
_LARGEST_STEP_RATIO = log(4.0)
_TRUSTED = 4
_SPREADS_TO_P90 = 1.6  # of a normal distribution: p90 is 1.28 standard deviations, the mean deviation 0.8


class Estimate:
    """Exponentially weighted geometric mean and mean absolute deviation of logarithms.

    The prior counts as one observation. An observation moves the mean by 1/(n+2) of its distance, later by
    `least_step`; once four are there, one counts as at most four times above or below the mean (winsorised), so that
    an outlier of any size moves it by 15 % and a lasting change is followed within about twenty observations.
    """

    __slots__ = ("_least_step", "_log", "_spread", "count")

    def __init__(self, prior: float, least_step: float = 0.1) -> None:
        self.count = 0
        self._least_step = least_step
        self._log = log(max(prior, _FLOOR))
        self._spread = 0.0

    @property
    def value(self) -> float:
        """What to expect."""
        return exp(self._log)

    @property
    def high(self) -> float:
        """About the 90th percentile."""
        return exp(self._log + _SPREADS_TO_P90 * self._spread)

    def assume(self, prior: float) -> None:
        """A better guess, heeded until something was observed."""
        if not self.count:
            self._log = log(max(prior, _FLOOR))

    def observe(self, value: float) -> None:
        """One measurement."""
        distance = log(max(value, _FLOOR)) - self._log
        if self.count >= _TRUSTED:
            distance = max(-_LARGEST_STEP_RATIO, min(_LARGEST_STEP_RATIO, distance))
        step = max(1.0 / (self.count + 2), self._least_step)
        self._log += step * distance
        self._spread += step * (abs(distance) - self._spread)
        self.count += 1

    def learned(self) -> Numbers:
        """What `restore` needs."""
        return [self.count, self._log, self._spread]

    def restore(self, learned: Numbers) -> None:
        """Be as when this was `learned`. Raises TypeError, ValueError or OverflowError: it never was."""
        count, self._log, self._spread = learned
        self.count = int(count)
        if self.high > _MOST:
            raise ValueError(f"{self.high} is more than anything takes")


_STEPS_AN_OCTAVE = 4
_FIRST_NS = 10_000.0
_OCTAVES = 29
_EDGES = [_FIRST_NS * 2.0 ** (step / _STEPS_AN_OCTAVE) for step in range(_OCTAVES * _STEPS_AN_OCTAVE + 1)]
_HALVE_AT = 512.0


class DurationHistogram:
    """Run durations in buckets of a quarter octave from 10 µs to about 90 minutes; shorter and longer ones share the
    outer two. When 512 are in, all counts are halved: the last few hundred runs decide."""

    __slots__ = ("_buckets", "_total", "count")

    def __init__(self) -> None:
        self.count = 0
        self._total = 0.0
        self._buckets = [0.0] * (len(_EDGES) + 1)

    def observe(self, duration_ns: int) -> None:
        """One run has ended."""
        self._buckets[bisect_right(_EDGES, duration_ns)] += 1.0
        self._total += 1.0
        self.count += 1
        if self._total >= _HALVE_AT:
            self._buckets = [weight / 2.0 for weight in self._buckets]
            self._total /= 2.0

    def learned(self) -> Numbers:
        """What `restore` needs."""
        return [self.count, [[index, weight] for index, weight in enumerate(self._buckets) if weight]]

    def restore(self, learned: Numbers) -> None:
        """Be as when this was `learned`. Raises TypeError, ValueError or IndexError: it never was."""
        count, weights = learned
        self.count = int(count)
        for index, weight in weights:
            self._buckets[index] = float(weight)
        self._total = sum(self._buckets)
        if self._total >= _HALVE_AT:
            raise ValueError(f"{self._total} runs are more than a histogram keeps")

    def expected_ns(self, elapsed_ns: int = 0) -> float | None:
        """E[T | T > elapsed]: how long a run will have taken in all. None when no run took that long."""
        weight = product = 0.0
        for lower, upper, share in self._remaining(elapsed_ns):
            weight += share
            product += share * (lower + upper) / 2.0
        return product / weight if weight else None

    def quantile_ns(self, share: float, elapsed_ns: int = 0) -> float | None:
        """The duration that `share` of the runs that take longer than `elapsed_ns` do not exceed; a bucket's lower
        edge. None when no run took that long."""
        rows = self._remaining(elapsed_ns)
        wanted = share * sum(row[2] for row in rows)
        for lower, _, weight in rows:
            wanted -= weight
            if wanted <= 0.0:
                return lower
        return None

    def _remaining(self, elapsed_ns: int) -> list[tuple[float, float, float]]:
        """(lower edge, upper edge, weight) of what lies above; the bucket of `elapsed_ns` counts as evenly filled."""
        first = bisect_right(_EDGES, elapsed_ns)
        rows = []
        for index in range(first, len(self._buckets)):
            weight = self._buckets[index]
            if not weight:
                continue
            lower = _EDGES[index - 1] if index else 0.0
            upper = _EDGES[index] if index < len(_EDGES) else 2.0 * _EDGES[-1]
            if lower < elapsed_ns:
                if elapsed_ns >= upper:
                    continue
                weight *= (upper - elapsed_ns) / (upper - lower)
                lower = float(elapsed_ns)
            rows.append((lower, upper, weight))
        return rows
