"""Where requests belong, and which of them are kept."""

from __future__ import annotations

from random import Random

import pytest

from actorfaas import trace_context
from actorfaas.config import Settings
from actorfaas.http.tracing import MOST_WAITING, Tracer, record
from actorfaas.messages import TracedCall

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECOND_NS = 1_000_000_000


def tracer(*, per_second: int = 10, share: float = 0.0, on: bool = True) -> Tracer:
    return Tracer(Settings(tracing=on, trace_per_second=per_second, trace_share=share), Random(1))


def given(flags: str = "01", state: bytes = b"") -> dict[bytes, bytes]:
    headers = {b"traceparent": f"00-{TRACE}-{SPAN}-{flags}".encode()}
    return headers | ({b"tracestate": state} if state else {})


def test_a_sampled_trace_is_taken_over_whatever_the_settings() -> None:
    context, kept = tracer(per_second=0).call(given(state=b"vendor=value"), 0)
    assert kept is not None
    assert (trace_context.trace_id(context), kept.parent_id) == (TRACE, SPAN)
    assert trace_context.headers(context)["tracestate"] == "vendor=value"
    assert len({SPAN, kept.span_id, trace_context.span_id(context)}) == 3, "caller, call and handler"


def test_a_trace_that_its_caller_does_not_keep_is_not_kept() -> None:
    context, kept = tracer(share=1.0).call(given("00"), 0)
    assert trace_context.trace_id(context) == TRACE
    assert not trace_context.is_sampled(context)
    assert kept is None


def test_a_malformed_context_begins_a_new_trace() -> None:
    context, kept = tracer().call({b"traceparent": b"00-xyz"}, 0)
    assert trace_context.parse(context) == context
    assert kept is not None
    assert kept.parent_id == ""


def test_the_first_calls_of_every_second_are_kept() -> None:
    sampler = tracer(per_second=3)
    kept = [sampler.call({}, now)[1] is not None for now in (1, 2, 3, 4, SECOND_NS - 1, SECOND_NS, SECOND_NS + 1)]
    assert kept == [True, True, True, False, False, True, True]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_others_is_kept(share: float) -> None:
    sampler = tracer(per_second=0, share=share)
    traces = [sampler.call({}, 0) for _ in range(2000)]
    assert abs(sum(kept is not None for _, kept in traces) - share * 2000) <= 80
    assert all(trace_context.is_sampled(context) == (kept is not None) for context, kept in traces)
    assert all(trace_context.parse(context) == context for context, _ in traces)
    ids = [trace_context.trace_id(context) for context, _ in traces]
    ids += [trace_context.span_id(context) for context, _ in traces] + [kept.span_id for _, kept in traces if kept]
    assert len(set(ids)) == len(ids)


def test_executions_are_always_kept() -> None:
    sampler = tracer(per_second=0)
    begun = sampler.execution({})
    assert trace_context.is_sampled(begun)
    assert trace_context.span_id(begun) == "", "nobody is above it"
    assert sampler.execution(given("00", b"vendor=value")) == f"00-{TRACE}-{SPAN}-01 vendor=value"


def test_switched_off_contexts_only_pass_through() -> None:
    off = tracer(on=False, share=1.0)
    assert off.call({}, 0) == ("", None)
    assert off.execution({}) == ""
    assert off.call(given(), 0) == (off.execution(given()), None) == (f"00-{TRACE}-{SPAN}-01", None)


def call() -> TracedCall:
    context, kept = tracer().call(given(), 0)
    assert kept is not None
    return record(context, kept, "req_1", "f", 1, 503, 0, 5_000_000, None)


def test_a_call_that_never_reached_a_worker_has_no_parts() -> None:
    made = call()
    assert (made.worker_topic, made.run_ns, made.error, made.took_ns) == ("", 0, "HTTP 503", 5_000_000)


def test_the_oldest_records_give_way_while_they_cannot_be_sent() -> None:
    waiting = tracer()
    for _ in range(MOST_WAITING + 2):
        waiting.ended(call())
    assert waiting.lost == 2
