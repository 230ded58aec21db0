"""Turning samples into figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least `percent` % of all do not exceed (nearest rank)."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank) - 1, 0)]


@dataclass(frozen=True, slots=True)
class Summary:
    """Count, median and tail of one series, in the unit of its samples."""

    count: int
    p50: float
    p90: float
    p99: float
    maximum: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Summary:
        """Summarise at least one sample."""
        return cls(
            len(samples),
            percentile(samples, 50),
            percentile(samples, 90),
            percentile(samples, 99),
            max(samples),
        )


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios of figures taken in the same rounds, so that a drifting machine cancels out."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
