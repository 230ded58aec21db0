"""Distributions of durations: HdrHistogram over microseconds, from 1 µs to an hour. Pure."""

from __future__ import annotations

from typing import Any

from hdrh.histogram import HdrHistogram

MOST_US = 3_600_000_000
PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99)
_CORRECTION_STEPS = 10_000


class Histogram:
    """How long something took, how often. `digits`: significant figures kept (3: 0.1 %)."""

    __slots__ = ("_hdr", "digits", "record_us")

    def __init__(self, digits: int = 3) -> None:
        self.digits = digits
        self._adopt(HdrHistogram(1, MOST_US, digits))

    def _adopt(self, hdr: Any) -> None:  # the library has no types
        self._hdr = hdr
        self.record_us = hdr.record_value

    def record(self, seconds: float, count: int = 1) -> None:
        """One duration more, or several; those out of range count as the nearest in it."""
        self.record_us(min(max(1, round(seconds * 1e6)), MOST_US), count)

    def add(self, other: Histogram) -> None:
        """All durations of another histogram too; the precision is that of the coarser one."""
        if other.count:
            self._hdr.add(other._hdr)

    @property
    def count(self) -> int:
        """How many durations."""
        return int(self._hdr.get_total_count())

    @property
    def mean_s(self) -> float:
        """Their mean; 0 of none."""
        return float(self._hdr.get_mean_value()) / 1e6 if self.count else 0.0

    @property
    def max_s(self) -> float:
        """The longest; 0 of none."""
        return float(self._hdr.get_max_value()) / 1e6 if self.count else 0.0

    @property
    def min_s(self) -> float:
        """The shortest; 0 of none."""
        return float(self._hdr.get_min_value()) / 1e6 if self.count else 0.0

    def percentile_s(self, percent: float) -> float:
        """The duration that so many percent do not exceed; 0 of none."""
        return float(self._hdr.get_value_at_percentile(percent)) / 1e6 if self.count else 0.0

    def percentiles_s(self, percents: tuple[float, ...] = PERCENTILES) -> dict[float, float]:
        """Several of them, in one pass."""
        if not self.count:
            return dict.fromkeys(percents, 0.0)
        found = self._hdr.get_percentile_to_value_dict(list(percents))
        return {percent: float(found[percent]) / 1e6 for percent in percents}

    def corrected(self, interval_s: float) -> Histogram:
        """What a closed loop would have seen, had it gone on calling every `interval_s` while it waited.

        Gil Tene's correction of coordinated omission: a call that took longer stands for all those that it kept from
        being made.
        """
        corrected = Histogram(self.digits)
        interval_us = max(1, round(max(interval_s, self.max_s / _CORRECTION_STEPS) * 1e6))
        for item in self._hdr.get_recorded_iterator():
            waited_us, count = item.value_iterated_to, item.count_added_in_this_iter_step
            corrected.record_us(waited_us, count)
            while (waited_us := waited_us - interval_us) >= interval_us:  # the library's own also adds shorter ones
                corrected.record_us(waited_us, count)
        return corrected

    def encode(self) -> str:
        """As text: HdrHistogram's compressed V2 format in base64, which its tools read."""
        return str(self._hdr.encode().decode("ascii"))

    @classmethod
    def decode(cls, text: str, digits: int = 3) -> Histogram:
        """The histogram of `encode`."""
        found = cls(digits)
        found._hdr.decode_and_add(text.encode("ascii"))
        return found


def in_ms(histogram: Histogram) -> dict[str, float]:
    """Its figures for people and programs, in milliseconds: `count`, `mean`, `min`, `p50` ... `p99.99`, `max`."""
    named = {f"p{percent:g}": duration_s for percent, duration_s in histogram.percentiles_s().items()}
    named = {"mean": histogram.mean_s, "min": histogram.min_s, **named, "max": histogram.max_s}
    return {"count": histogram.count, **{name: round(duration_s * 1000, 3) for name, duration_s in named.items()}}
