"""A trace as text: one line for each span, with a bar where its time was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from actorfaas.flow.spans import PARTS, PREFETCH, REQUEST, STATE, Span
from actorfaas.flow.tree import Forest

BAR_WIDTH = 48
NAME_WIDTH = 44
MIB = 1024 * 1024


def waterfall(spans: Iterable[Span], width: int = BAR_WIDTH) -> Iterator[str]:
    """The lines. Times are from the beginning of the trace."""
    forest = Forest(spans)
    if not forest.roots:
        return
    rows = [row for root in forest.roots for row in forest.walk(root)]
    began_ns = min(span.began_ns for _, span in rows)
    whole_ns = max(1, max(span.ended_ns for _, span in rows) - began_ns)
    labels = [("  " * depth + label(span))[:NAME_WIDTH] for depth, span in rows]
    name_width = max(map(len, labels))
    for text, (_, span) in zip(labels, rows, strict=True):
        failed = f"  {span.error}" if span.error and span.kind not in PARTS else ""
        bar = _bar(span.began_ns - began_ns, span.took_ns, whole_ns, width, is_part=span.kind in (*PARTS, PREFETCH))
        yield f"{text.ljust(name_width)}  {span.took_ns / 1e6:10.3f} ms  {bar}{failed}".rstrip()


def label(span: Span) -> str:
    """What a span is called on its line."""
    index = f" [{span.told['index']}]" if "index" in span.told else ""
    read = f" ({int(span.told['read_bytes']) / MIB:.1f} MiB)" if "read_bytes" in span.told else ""
    if span.kind in PARTS:
        return f"{span.kind}{read}"
    if span.kind == PREFETCH:
        return f"{span.kind} {span.name}{index}{read}"
    kind = f" ({span.told['start_kind']})" if span.kind in (REQUEST, STATE) and "start_kind" in span.told else ""
    return f"{span.kind} {span.name}{index}{kind}"


def _bar(begins_ns: int, took_ns: int, whole_ns: int, width: int, *, is_part: bool) -> str:
    first = min(width - 1, begins_ns * width // whole_ns)
    last = min(width, max(first + 1, -(-(begins_ns + took_ns) * width // whole_ns)))
    return " " * first + ("▒" if is_part else "█") * (last - first)
