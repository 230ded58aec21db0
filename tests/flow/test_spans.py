"""Spans of plain calls."""

from __future__ import annotations

from actorfaas.flow.spans import PAGE_IN, PARTS, QUEUE, REQUEST, RUN, START, of_call
from tests.flow.kit import MS, ms, one, traced_call


def test_a_call_is_above_its_parts() -> None:
    spans = of_call(traced_call(parent_id="e" * 16))
    request = one(spans, REQUEST)
    assert (request.span_id, request.parent_id, ms(request)) == ("c" * 16, "e" * 16, (0, 10))
    assert request.told == {"request_id": "req_1", "worker": "f@1_7", "start_kind": "resident"}
    assert [(span.kind, ms(span)) for span in spans[1:]] == [(QUEUE, (1, 2)), (START, (2, 4)), (RUN, (4, 9))]
    assert {span.parent_id for span in spans[1:]} == {request.span_id}
    assert one(spans, RUN).span_id == "d" * 16


def test_waiting_for_memory_is_told_apart_from_waiting_for_a_worker() -> None:
    spans = of_call(traced_call(queue_ns=3 * MS, page_in_ns=2 * MS))
    assert (one(spans, QUEUE).took_ns, one(spans, PAGE_IN).took_ns) == (1 * MS, 2 * MS)
    spans = of_call(traced_call(queue_ns=1 * MS, page_in_ns=2 * MS))
    assert one(spans, PAGE_IN).took_ns == 1 * MS, "it began before the call came"


def test_waiting_for_a_fresh_instance_is_its_start() -> None:
    spans = of_call(traced_call(start_kind="fork"))
    assert [span.kind for span in spans] == [REQUEST, START, RUN]
    assert one(spans, START).took_ns == 3 * MS


def test_a_call_that_reached_no_worker_has_no_parts() -> None:
    (request,) = of_call(traced_call(worker_topic="", start_kind="", error="queue_full", status=429))
    assert request.error == "queue_full"


def test_an_error_is_the_calls_and_its_handlers() -> None:
    spans = of_call(traced_call(error="KeyError", status=500, attempt=2))
    assert {span.kind for span in spans if span.error} == {REQUEST, RUN}
    assert one(spans, REQUEST).told["attempt"] == "2"


def test_ids_differ_and_stay_the_same() -> None:
    spans = of_call(traced_call())
    assert len({span.span_id for span in spans}) == len(spans)
    assert spans == of_call(traced_call())
    assert {span.kind for span in spans} <= {REQUEST, *PARTS}
