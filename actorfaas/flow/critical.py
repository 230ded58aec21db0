"""The critical path: of each moment between the beginning and the end of a call or execution, what it waited for.

From the end backwards: what ended last is what the end waited for, before that what had ended when it began, and so on.
Time in which nothing below was under way is its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from actorfaas.flow.spans import EXECUTION, PARTS, REQUEST, STATE, Span
from actorfaas.flow.tree import Forest

TOLERANCE_NS = 500_000
"""What ends so shortly after another begins is still before it: some instants are known to the millisecond."""

OWN, WAIT = "own", "wait"
"""Kinds of time besides the parts of calls: in the platform or outside of any span, and in Wait states."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the path: whose, and what it is: one of `spans.PARTS`, `OWN` or `WAIT`."""

    name: str
    kind: str
    began_ns: int
    ended_ns: int

    @property
    def took_ns(self) -> int:
        """How long it lasted."""
        return self.ended_ns - self.began_ns


@dataclass(frozen=True, slots=True)
class Share:
    """What one kind of time of one name has of all critical paths together."""

    name: str
    kind: str
    took_ns: int
    share: float


def critical_path(forest: Forest, root: Span) -> list[Segment]:
    """The stretches from the beginning of `root` to its end, in order and without gaps."""
    return sorted((segment for _, segment in stretches(forest, root)), key=lambda segment: segment.began_ns)


def stretches(forest: Forest, root: Span) -> Iterator[tuple[Span, Segment]]:
    """The critical path in no order, each stretch with the span that it is of."""
    waiting = [(root, root.ended_ns)]
    while waiting:
        span, now_ns = waiting.pop()
        for child in sorted(forest.below(span), key=lambda one: (-one.ended_ns, one.began_ns)):
            if child.began_ns >= now_ns or child.ended_ns > now_ns + TOLERANCE_NS:
                continue
            ended_ns = min(child.ended_ns, now_ns)
            if now_ns > ended_ns:
                yield span, _own(span, ended_ns, now_ns)
            waiting.append((child, ended_ns))
            now_ns = max(child.began_ns, span.began_ns)
        if now_ns > span.began_ns:
            yield span, _own(span, span.began_ns, now_ns)


def _own(span: Span, began_ns: int, ended_ns: int) -> Segment:
    kind = span.kind if span.kind in PARTS else OWN
    if span.kind == STATE and "function" not in span.told:
        kind = WAIT
    return Segment(span.name, kind, began_ns, ended_ns)


def shares(paths: Iterable[list[Segment]]) -> list[Share]:
    """Where the time of many paths went, the largest share first."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for path in paths:
        for segment in path:
            sums[segment.name, segment.kind] += segment.took_ns
    whole_ns = sum(sums.values()) or 1
    found = [Share(name, kind, took_ns, took_ns / whole_ns) for (name, kind), took_ns in sums.items()]
    return sorted(found, key=lambda one: -one.took_ns)


def wholes(forest: Forest, name: str = "") -> list[Span]:
    """The executions and calls whose flow is looked at: those called `name`, or else what begins a trace. What still
    runs is left out."""
    spans = forest.roots if not name else [span for root in forest.roots for _, span in forest.walk(root)]
    return [
        span
        for span in spans
        if span.kind in (EXECUTION, REQUEST) and name in ("", span.name) and span.told.get("status") != "running"
    ]
