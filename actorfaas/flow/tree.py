"""Spans as trees: what is below what. A span whose parent is not kept is a root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from actorfaas.flow.spans import PREFETCH, Span


class Forest:
    """All spans, by what they are below."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._by_id = {(span.trace_id, span.span_id): span for span in spans}
        self._below: dict[tuple[str, str], list[Span]] = defaultdict(list)
        self.roots: list[Span] = []
        for span in sorted(self._by_id.values(), key=lambda one: (one.began_ns, -one.ended_ns)):
            if (span.trace_id, span.parent_id) in self._by_id:
                self._below[span.trace_id, span.parent_id].append(span)
            else:
                self.roots.append(span)

    def below(self, span: Span) -> list[Span]:
        """What is directly below a span, in the order in which it began."""
        return self._below.get((span.trace_id, span.span_id), [])

    def above(self, span: Span) -> Span | None:
        """What a span is below; None of a root."""
        return self._by_id.get((span.trace_id, span.parent_id))

    def walk(self, root: Span, depth: int = 0) -> Iterator[tuple[int, Span]]:
        """A span and all below it, each with its depth, parents first."""
        waiting = [(depth, root)]
        while waiting:
            depth, span = waiting.pop()
            yield depth, span
            waiting.extend((depth + 1, one) for one in reversed(self.below(span)))


def waits(spans: Iterable[Span]) -> Forest:
    """What there is to work out from: all but what was read ahead, for which nothing waits."""
    return Forest(span for span in spans if span.kind != PREFETCH)
