"""W3C trace context (https://www.w3.org/TR/trace-context/): reading it, passing it on, and that of this process.

Inside of the platform a context is one string, a `traceparent` and, after a blank, the `tracestate` it came with:

    00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 vendor=value

Every instance imports this module: nothing but the interpreter is needed.
"""

from __future__ import annotations

current = ""
"""The context of the call that this process serves now; "" outside of workers and between calls."""

NO_PARENT = "0" * 16
"""In place of a span's id: the trace begins here."""

MAX_STATE_CHARACTERS = 512
_HEX = frozenset("0123456789abcdef")


def parse(traceparent: str, tracestate: str = "") -> str:
    """The context of two headers; "" when `traceparent` is malformed (the specification says: begin a new trace then).

    Of later versions of the format, what version 00 has is understood. A `tracestate` that is longer than everybody has
    to pass on is left out.
    """
    version, _, rest = traceparent[:2], traceparent[2:3], traceparent[3:]
    trace, parent, flags, more = rest[:32], rest[33:49], rest[50:52], rest[52:]
    is_whole = len(traceparent) >= 55 and {traceparent[2], traceparent[35], traceparent[52]} == {"-"}
    if not is_whole or not _HEX.issuperset(version + trace + parent + flags):
        return ""
    if version == "ff" or (more and (version == "00" or more[0] != "-")):
        return ""
    if trace == "0" * 32 or parent == NO_PARENT:
        return ""
    known = f"00-{trace}-{parent}-0{int(flags, 16) & 1}"
    is_passed = 0 < len(tracestate) <= MAX_STATE_CHARACTERS and tracestate.isprintable() and tracestate.isascii()
    return f"{known} {tracestate}" if is_passed else known


def make(trace_id: str, span_id: str, sampled: bool) -> str:
    """The context of a new trace."""
    return f"00-{trace_id}-{span_id}-0{int(sampled)}"


def child(context: str, span_id: str) -> str:
    """The context below a span of the same trace; "" of none."""
    return f"{context[:36]}{span_id}{context[52:]}" if context else ""


def trace_id(context: str) -> str:
    """The trace it belongs to, 32 hexadecimal digits; "" of none."""
    return context[3:35]


def span_id(context: str) -> str:
    """The span that it names as the parent, "" of none and where the trace begins."""
    found = context[36:52]
    return "" if found == NO_PARENT else found


def is_sampled(context: str) -> bool:
    """Whether its spans are to be kept."""
    return context[54:55] in ("1", "3", "5", "7", "9", "b", "d", "f")


def headers(context: str) -> dict[str, str]:
    """As request headers, for a call made on behalf of it."""
    traceparent, _, tracestate = context.partition(" ")
    given = {"traceparent": traceparent, "tracestate": tracestate}
    return {name: value for name, value in given.items() if value}
