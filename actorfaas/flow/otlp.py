"""Spans as OTLP has them, in its JSON encoding (opentelemetry-proto, OTLP/HTTP), which every collector takes.

That needs no library: an exporter of OpenTelemetry's SDK would make the same documents from spans of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from actorfaas.flow.spans import REQUEST, Span

Document = dict[str, Any]  # mixed JSON values

SPAN_KIND_INTERNAL, SPAN_KIND_SERVER = 1, 2
STATUS_UNSET, STATUS_ERROR = 0, 2

RETRYABLE = frozenset((429, 502, 503, 504))
"""HTTP statuses with which a collector asks for the same again; any other error is its last word."""


def request(spans: Iterable[Span], version: str) -> Document:
    """One ExportTraceServiceRequest. `version`: the platform's."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes({"service.name": "actorfaas", "service.version": version})},
                "scopeSpans": [
                    {"scope": {"name": "actorfaas", "version": version}, "spans": [_span(span) for span in spans]}
                ],
            }
        ]
    }


def rejected(answer: Any) -> int:  # whatever JSON the collector sent
    """How many spans it did not keep. Raises ValueError if that is no answer of a collector."""
    match answer:
        case {"partialSuccess": {"rejectedSpans": int() | str() as count}}:
            return int(count)
        case dict():
            return 0
    raise ValueError(f"its answer is no ExportTraceServiceResponse: {str(answer)[:80]}")


def headers(text: str) -> dict[str, str]:
    """What to send with every request, from how OpenTelemetry writes it: `name=value,name=value`, percent-encoded."""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


def _span(span: Span) -> Document:
    """Ids are hexadecimal in this encoding, and 64-bit numbers are strings."""
    told = {f"actorfaas.{name}": value for name, value in span.told.items()}
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": f"{span.kind} {span.name}",
        "kind": SPAN_KIND_SERVER if span.kind == REQUEST else SPAN_KIND_INTERNAL,
        "startTimeUnixNano": str(span.began_ns),
        "endTimeUnixNano": str(span.ended_ns),
        "attributes": _attributes({"actorfaas.kind": span.kind, "faas.name": span.name, **told}),
        "status": {"code": STATUS_ERROR, "message": span.error} if span.error else {"code": STATUS_UNSET},
    }


def _attributes(values: dict[str, str]) -> list[Document]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
