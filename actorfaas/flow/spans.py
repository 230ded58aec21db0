"""Spans: what happened from when to when, and below what. Those of a plain call, from its record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from actorfaas.core.spans import span_of
from actorfaas.ids import FRESH_STRATEGIES
from actorfaas.messages import TracedCall

REQUEST, EXECUTION, STATE, PREFETCH, HAND_OFF, QUEUE, PAGE_IN, START, RUN = (
    "request",
    "execution",
    "state",
    "prefetch",
    "hand-off",
    "queue",
    "page-in",
    "start",
    "run",
)
"""Kinds of spans: a plain call, an execution, a visit to one of its states, the memory of its worker read back
before its turn; and the parts of a call or task."""

PARTS = (HAND_OFF, QUEUE, PAGE_IN, START, RUN)


@dataclass(frozen=True, slots=True)
class Span:
    """`name`: the function, workflow or state; of a part that of the function. `error`: what failed it, "" if nothing.
    `began_ns` and `ended_ns`: wall clock. `told`: what else is known, for people."""

    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    name: str
    began_ns: int
    ended_ns: int
    error: str = ""
    told: dict[str, str] = field(default_factory=dict)

    @property
    def took_ns(self) -> int:
        """How long it lasted."""
        return self.ended_ns - self.began_ns


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the time of one call or task went, when its handler ended, and what its page-in read, if known. An
    instance made for it has no queue: waiting for it is its start."""

    ended_ns: int
    hand_off_ns: int
    queue_ns: int
    page_in_ns: int
    start_ns: int
    run_ns: int
    read_bytes: int = 0

    @classmethod
    def of(
        cls,
        start_kind: str,
        ended_ns: int,
        *,
        queue_ns: int,
        start_ns: int,
        run_ns: int,
        hand_off_ns: int = 0,
        page_in_ns: int = 0,
        read_bytes: int = 0,
    ) -> Parts:
        """From what is recorded."""
        page_in_ns = min(page_in_ns, queue_ns)  # it may have begun before the call came
        queue_ns -= page_in_ns
        if start_kind in FRESH_STRATEGIES:
            queue_ns, start_ns = 0, queue_ns + start_ns
        return cls(ended_ns, hand_off_ns, queue_ns, page_in_ns, start_ns, run_ns, read_bytes)

    @property
    def began_ns(self) -> int:
        """When the first part did."""
        return self.ended_ns - self.run_ns - self.start_ns - self.page_in_ns - self.queue_ns - self.hand_off_ns


def read(size_bytes: int) -> dict[str, str]:
    """What a span tells of a page-in."""
    return {"read_bytes": str(size_bytes)} if size_bytes else {}


def part_spans(above: Span, function: str, parts: Parts, run_id: str) -> Iterator[Span]:
    """The parts below a call or state, those that took no time left out. `run_id`: the handler's own span."""
    began_ns = parts.began_ns
    lengths = (parts.hand_off_ns, parts.queue_ns, parts.page_in_ns, parts.start_ns, parts.run_ns)
    for kind, length_ns in zip(PARTS, lengths, strict=True):
        if length_ns > 0 or kind == RUN:
            span_id = run_id if kind == RUN and run_id else span_of(f"{above.span_id}/{kind}/{began_ns}")
            ended_ns = began_ns + length_ns
            error = above.error if kind == RUN else ""
            told = read(parts.read_bytes) if kind == PAGE_IN else {}
            yield Span(above.trace_id, span_id, above.span_id, kind, function, began_ns, ended_ns, error, told)
            began_ns = ended_ns


def of_call(call: TracedCall) -> list[Span]:
    """The spans of a plain call."""
    began_ns = call.began_at_us * 1000
    told = {"request_id": call.request_id, "worker": call.worker_topic, "start_kind": call.start_kind}
    if call.attempt > 1:
        told["attempt"] = str(call.attempt)
    above = Span(
        *(call.trace_id, call.span_id, call.parent_id, REQUEST, call.function, began_ns, began_ns + call.took_ns),
        error=call.error,
        told={name: value for name, value in told.items() if value},
    )
    if not call.worker_topic:
        return [above]
    before_ns = call.before_ns or call.queue_ns + call.start_ns
    parts = Parts.of(
        call.start_kind,
        began_ns + before_ns + call.run_ns,
        queue_ns=call.queue_ns,
        page_in_ns=call.page_in_ns,
        start_ns=call.start_ns,
        run_ns=call.run_ns,
    )
    return [above, *part_spans(above, call.function, parts, call.run_id)]
