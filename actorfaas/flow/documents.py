"""Spans back from the API's JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actorfaas.flow.spans import Span
from actorfaas.flow.tree import Forest, waits

Json = Any  # a decoded JSON document: what the API answered


def spans_of(documents: Iterable[Json]) -> list[Span]:
    """As `http.render.span` made them."""
    return [_span(one) for one in documents]


def waits_of(documents: Iterable[Json]) -> Forest:
    """The same to work with, see `tree.waits`."""
    return waits(spans_of(documents))


def _span(one: Json) -> Span:
    began_ns = int(one["began_at_us"]) * 1000
    took_ns = round(one["took_us"] * 1000)
    return Span(
        trace_id=one["trace_id"],
        span_id=one["span_id"],
        parent_id=one["parent_id"],
        kind=one["kind"],
        name=one["name"],
        began_ns=began_ns,
        ended_ns=began_ns + took_ns,
        error=one["error"],
        told=dict(one["told"]),
    )
