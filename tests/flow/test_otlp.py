"""Spans in OTLP's JSON encoding."""

from __future__ import annotations

from actorfaas.flow.otlp import headers, request
from actorfaas.flow.spans import of_call
from tests.flow.kit import BEGAN_MS, MS, TRACE, traced_call


def test_spans_are_as_the_encoding_wants_them() -> None:
    (resource,) = request(of_call(traced_call(parent_id="e" * 16, error="KeyError")), "1.2.3")["resourceSpans"]
    attributes = {one["key"]: one["value"]["stringValue"] for one in resource["resource"]["attributes"]}
    assert attributes == {"service.name": "actorfaas", "service.version": "1.2.3"}
    call, queue, *_ = resource["scopeSpans"][0]["spans"]
    assert (call["traceId"], call["spanId"], call["parentSpanId"]) == (TRACE, "c" * 16, "e" * 16)
    assert (call["name"], call["kind"], queue["kind"]) == ("request f", 2, 1)
    assert (call["startTimeUnixNano"], call["endTimeUnixNano"]) == (str(BEGAN_MS * MS), str((BEGAN_MS + 10) * MS))
    assert (call["status"], queue["status"]) == ({"code": 2, "message": "KeyError"}, {"code": 0})
    told = {one["key"]: one["value"]["stringValue"] for one in call["attributes"]}
    assert told["actorfaas.request_id"] == "req_1"
    assert told["faas.name"] == "f"


def test_headers_are_written_as_opentelemetry_does() -> None:
    assert headers("") == {}
    assert headers("authorization=Basic%20a%3D, x-team = one=two ,nonsense") == {
        "authorization": "Basic a=",
        "x-team": "one=two",
    }
