"""When a function is called next, from when it was called before: a histogram of inter-arrival times. Pure.

Source: "Serverless in the Wild" (Shahrad et al., USENIX ATC 2020), the hybrid histogram policy: the 5th percentile
says when to have an instance ready, the 99th how long to keep it, each with a margin of 10 %; a histogram is only
trusted when its bins are uneven enough (coefficient of variation of the bins' counts at least 2) and few times lie
out of its bounds; functions called too rarely for it are predicted from their last times with a margin of 15 %.

Two changes suit one node, where an instance costs megabytes of swap and comes back in milliseconds: next to minutes
(4 hours) there is a histogram in seconds (2 minutes), which is preferred; and the rare functions' prediction is the
median of the last times, not ARIMA. About 3 KB per function version, whatever happens.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass
from typing import Literal

from actorfaas.core.learned_format import Numbers

SECOND_NS = 1_000_000_000

Basis = Literal["seconds", "minutes", "series", "default"]


@dataclass(frozen=True, slots=True)
class ArrivalRules:
    """The numbers of the policy; see the module's description for those of the source.

    `least_times`: fewer inter-arrival times say nothing. `most_out_of_bounds`: a larger share out of a histogram's
    bounds makes it useless. `default_keep_ns` is what a function gets of which nothing is known.
    """

    head: float = 0.05
    tail: float = 0.99
    margin: float = 0.10
    series_margin: float = 0.15
    least_variation: float = 2.0
    least_times: int = 8
    least_series: int = 3
    most_out_of_bounds: float = 0.25
    default_keep_ns: int = 60 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Prediction:
    """Relative to the last arrival: have an instance ready after `ready_after_ns` (0: leave it there), and keep it
    until `keep_until_ns`. `basis` says where it comes from."""

    basis: Basis
    ready_after_ns: int
    keep_until_ns: int


@dataclass(frozen=True, slots=True)
class Window:
    """When the next call is expected, on the monotonic clock."""

    start_ns: int
    end_ns: int


class TimesHistogram:
    """Counts of times in bins of equal width; what lies beyond the last bin is only counted.

    At `halve_at` times all counts are halved, so that the counts are bounded and the recent past decides.
    """

    __slots__ = ("_bins", "_halve_at", "_squares", "out_of_bounds", "total", "width_ns")

    def __init__(self, width_ns: int, bins: int, halve_at: int = 1024) -> None:
        self.width_ns = width_ns
        self.total = 0
        self.out_of_bounds = 0
        self._bins = array("H", bytes(2 * bins))
        self._squares = 0
        self._halve_at = halve_at

    def observe(self, time_ns: int) -> None:
        """One inter-arrival time."""
        index = time_ns // self.width_ns
        if index >= len(self._bins):
            self.out_of_bounds += 1
        else:
            self._squares += 2 * self._bins[index] + 1
            self._bins[index] += 1
            self.total += 1
        if self.total + self.out_of_bounds >= self._halve_at:
            self._bins = array("H", (count // 2 for count in self._bins))
            self.out_of_bounds //= 2
            self._sum()

    def _sum(self) -> None:
        self.total = sum(self._bins)
        self._squares = sum(count * count for count in self._bins)

    def learned(self) -> Numbers:
        """What `restore` needs."""
        return [self.out_of_bounds, [[index, count] for index, count in enumerate(self._bins) if count]]

    def restore(self, learned: Numbers) -> None:
        """Be as when this was `learned`. Raises TypeError, ValueError, IndexError or OverflowError: it never was."""
        out_of_bounds, counts = learned
        self.out_of_bounds = int(out_of_bounds)
        for index, count in counts:
            self._bins[index] = count
        self._sum()
        if self.total + self.out_of_bounds >= self._halve_at:
            raise ValueError(f"{self.total + self.out_of_bounds} times are more than a histogram keeps")

    @property
    def out_of_bounds_share(self) -> float:
        """Of all times."""
        everything = self.total + self.out_of_bounds
        return self.out_of_bounds / everything if everything else 0.0

    @property
    def variation(self) -> float:
        """Coefficient of variation of the bins' counts: sqrt(n * sum(c^2) / sum(c)^2 - 1). Even bins have 0, a single
        one in use sqrt(n - 1)."""
        if not self.total:
            return 0.0
        return float(max(0.0, len(self._bins) * self._squares / self.total**2 - 1.0) ** 0.5)

    def bin_at(self, share: float) -> int:
        """The bin in which `share` of the times within the bounds is reached."""
        wanted = share * self.total
        last = 0
        for index, count in enumerate(self._bins):
            if count:
                last = index
                wanted -= count
                if wanted <= 0:
                    break
        return last


class Arrivals:
    """The arrivals of one function version."""

    __slots__ = ("_cached", "_fresh_at", "_last_ns", "_minutes", "_rules", "_seconds", "_series", "count")

    def __init__(self, rules: ArrivalRules | None = None) -> None:
        self._rules = rules or ArrivalRules()
        self._seconds = TimesHistogram(SECOND_NS, 120)
        self._minutes = TimesHistogram(60 * SECOND_NS, 240)
        self._series: deque[int] = deque(maxlen=8)
        self._last_ns: int | None = None
        self._cached = Prediction("default", 0, self._rules.default_keep_ns)
        self._fresh_at = 0
        self.count = 0

    def arrived(self, now_ns: int) -> None:
        """A call came. Calls reported slightly out of order count as simultaneous."""
        if self._last_ns is not None:
            time_ns = max(0, now_ns - self._last_ns)
            self._seconds.observe(time_ns)
            self._minutes.observe(time_ns)
            self._series.append(time_ns)
        self._last_ns = now_ns if self._last_ns is None else max(now_ns, self._last_ns)
        self.count += 1

    def prediction(self) -> Prediction:
        """What is expected after the last arrival. Computed anew after a sixteenth more arrivals: cheap when busy."""
        if self.count >= self._fresh_at:
            self._cached = self._predict()
            self._fresh_at = self.count + 1 + self.count // 16
        return self._cached

    def window(self) -> Window | None:
        """The same on the clock; None before the first arrival. After its end nothing is expected."""
        if self._last_ns is None:
            return None
        prediction = self.prediction()
        return Window(self._last_ns + prediction.ready_after_ns, self._last_ns + prediction.keep_until_ns)

    def learned(self) -> Numbers:
        """What `restore` needs: how long it was from call to call, but not when the last one was, which another
        process's clock could not tell."""
        return [self._seconds.learned(), self._minutes.learned(), list(self._series), self.count]

    def restore(self, learned: Numbers) -> None:
        """Be as when this was `learned`, before any call of this process. Raises TypeError, ValueError, IndexError or
        OverflowError: it never was."""
        seconds, minutes, series, count = learned
        self._seconds.restore(seconds)
        self._minutes.restore(minutes)
        self._series.extend(int(time_ns) for time_ns in series)
        self.count = int(count)

    def _predict(self) -> Prediction:
        rules = self._rules
        default = Prediction("default", 0, rules.default_keep_ns)
        if self._seconds.out_of_bounds_share <= rules.most_out_of_bounds:
            return self._from(self._seconds, "seconds") or default
        if self._minutes.out_of_bounds_share <= rules.most_out_of_bounds:
            return self._from(self._minutes, "minutes") or default
        if len(self._series) >= rules.least_series:
            median_ns = sorted(self._series)[len(self._series) // 2]
            early, late = 1.0 - rules.series_margin, 1.0 + rules.series_margin
            return Prediction("series", int(early * median_ns), int(late * median_ns))
        return default

    def _from(self, histogram: TimesHistogram, basis: Basis) -> Prediction | None:
        rules = self._rules
        if histogram.total < rules.least_times or histogram.variation < rules.least_variation:
            return None
        head_ns = histogram.bin_at(rules.head) * histogram.width_ns
        tail_ns = (histogram.bin_at(rules.tail) + 1) * histogram.width_ns
        return Prediction(basis, int((1.0 - rules.margin) * head_ns), int((1.0 + rules.margin) * tail_ns))
