"""Reading and passing on W3C trace context."""

from __future__ import annotations

import pytest

from actorfaas import trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01"


def test_a_context_tells_its_trace_and_its_parent() -> None:
    context = trace_context.parse(SAMPLED)
    assert trace_context.trace_id(context) == TRACE
    assert trace_context.span_id(context) == SPAN
    assert trace_context.is_sampled(context)
    assert not trace_context.is_sampled(trace_context.parse(f"00-{TRACE}-{SPAN}-00"))


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "00-xyz",
        SAMPLED[:-1],
        SAMPLED + "-more",
        SAMPLED.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00_{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01more",
    ],
)
def test_what_is_malformed_is_as_if_it_were_not_there(malformed: str) -> None:
    assert trace_context.parse(malformed) == ""


def test_a_later_version_is_understood_as_far_as_this_one_goes() -> None:
    assert trace_context.parse(f"01-{TRACE}-{SPAN}-03-more") == SAMPLED


def test_the_state_is_passed_on_unless_it_is_too_long() -> None:
    context = trace_context.parse(SAMPLED, "vendor=value")
    assert trace_context.headers(context) == {"traceparent": SAMPLED, "tracestate": "vendor=value"}
    assert trace_context.parse(SAMPLED, "v" * 513) == SAMPLED
    assert trace_context.parse(SAMPLED, "line\nbreak") == SAMPLED


def test_a_child_stays_in_its_trace_with_its_state() -> None:
    context = trace_context.child(trace_context.parse(SAMPLED, "vendor=value"), "b" * 16)
    assert trace_context.headers(context) == {"traceparent": f"00-{TRACE}-{'b' * 16}-01", "tracestate": "vendor=value"}
    assert trace_context.child("", "b" * 16) == ""


def test_a_trace_that_begins_has_no_parent() -> None:
    context = trace_context.make(TRACE, trace_context.NO_PARENT, sampled=True)
    assert trace_context.span_id(context) == ""
    assert trace_context.trace_id(context) == TRACE


def test_none_is_none() -> None:
    assert trace_context.headers("") == {}
    assert (trace_context.trace_id(""), trace_context.span_id(""), trace_context.is_sampled("")) == ("", "", False)
