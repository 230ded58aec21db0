"""What calls cost, added up: how many by how their instance was had, how long they took, what of it is billed. Pure.

One addition is a few operations on plain numbers, so that it can stand on the way of every call. Billing follows
function platforms: the handler's time, rounded up to whole milliseconds, times the memory its function declares.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from actorfaas.messages import CallFigures

BUCKETS_NS = tuple(
    int(seconds * 1e9)
    for seconds in (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
)
"""Upper bounds of a latency histogram's buckets; one more counts what is above all of them."""

NS_PER_MS = 1_000_000
MB_MS_PER_GB_S = 1024 * 1000


def billed_ms(run_ns: int) -> int:
    """What is billed of a handler that ran: begun milliseconds, at least one; 0 when it did not run."""
    return -(-run_ns // NS_PER_MS)


def billed(tasks: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Milliseconds, and megabytes times milliseconds, billed of handlers, each by its nanoseconds and memory in MB."""
    whole_ms = mb_ms = 0
    for run_ns, memory_mb in tasks:
        one_ms = billed_ms(run_ns)
        whole_ms += one_ms
        mb_ms += one_ms * memory_mb
    return whole_ms, mb_ms


def gb_seconds(mb_ms: int) -> float:
    """Megabytes times milliseconds as gigabyte-seconds."""
    return mb_ms / MB_MS_PER_GB_S


class Figures:
    """Calls of one function whose instance was had in one way."""

    __slots__ = ("billed_mb_ms", "billed_ms", "buckets", "calls", "failed", "sum_ns")

    def __init__(self) -> None:
        self.calls = 0
        self.failed = 0
        self.sum_ns = 0
        self.buckets = [0] * (len(BUCKETS_NS) + 1)
        self.billed_ms = 0
        self.billed_mb_ms = 0

    def add(self, took_ns: int, failed: bool, run_ns: int, memory_mb: int) -> None:
        """One call: how long it took in all, and in the handler."""
        self.calls += 1
        self.failed += failed
        self.sum_ns += took_ns
        self.buckets[bisect_left(BUCKETS_NS, took_ns)] += 1
        billed = -(-run_ns // NS_PER_MS)
        self.billed_ms += billed
        self.billed_mb_ms += billed * memory_mb

    def include(self, other: Figures) -> None:
        """Add those of other calls."""
        self.calls += other.calls
        self.failed += other.failed
        self.sum_ns += other.sum_ns
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.billed_ms += other.billed_ms
        self.billed_mb_ms += other.billed_mb_ms


class Tally:
    """Figures by function and start kind. Bounded by what is deployed: the rest is forgotten, see `forget_except`."""

    __slots__ = ("_figures",)

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str], Figures] = {}

    def of(self, function: str, start_kind: str) -> Figures:
        """The figures to add to."""
        key = (function, start_kind)
        figures = self._figures.get(key)
        if figures is None:
            figures = self._figures[key] = Figures()
        return figures

    def forget_except(self, functions: Iterable[str]) -> None:
        """Keep only these."""
        keep = frozenset(functions)
        self._figures = {key: figures for key, figures in self._figures.items() if key[0] in keep}

    def figures(self) -> Iterator[CallFigures]:
        """All of it, as messages carry it."""
        for (function, start_kind), one in self._figures.items():
            yield CallFigures(
                function,
                start_kind,
                one.calls,
                one.failed,
                one.sum_ns,
                tuple(one.buckets),
                one.billed_ms,
                one.billed_mb_ms,
            )
