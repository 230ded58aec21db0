"""The `Server-Timing` response header (W3C Server Timing): where the time of a call went, in milliseconds.

Owns the names of the metrics: `queue` (waiting for a worker), `page-in` (waiting for the memory of one that was paged
out; left out when there was nothing to wait for), `start` (from delivery to the handler's first instruction, `desc`
saying how the instance was obtained, of a workflow the coldest of its states), `run` (inside the handler), `gap`
(between two states of a workflow) and `states` (how many ran).
"""

from __future__ import annotations

from collections.abc import Iterable

from actorfaas.ids import FRESH_STRATEGIES
from actorfaas.messages import HistoryEvent, InvocationFailed, InvocationResult

COLDEST_FIRST = ("cold", "fork", "recorded", "swapped", "concurrent", "prefetched", "resident")
"""Start kinds; an execution is told apart by the coldest of its states'."""


def of_invocation(outcome: InvocationResult | InvocationFailed) -> bytes:
    """The header of one call. An instance made for the request has no queue: waiting for it *is* its start."""
    kind = outcome.start_kind
    queue_ns, start_ns = outcome.queue_ns, outcome.start_ns
    if kind in FRESH_STRATEGIES:
        queue_ns, start_ns = 0, queue_ns + start_ns
    paging_in = b""
    if isinstance(outcome, InvocationResult) and outcome.page_in_ns:
        queue_ns = max(0, queue_ns - outcome.page_in_ns)  # it may have begun before the call came
        paging_in = _page_in(outcome.page_in_ns)
    return b'queue;dur=%.3f,%b start;dur=%.3f;desc="%b", run;dur=%.3f' % (
        queue_ns / 1e6,
        paging_in,
        start_ns / 1e6,
        kind.encode("ascii", "replace"),
        outcome.run_ns / 1e6,
    )


def of_execution(events: Iterable[HistoryEvent]) -> bytes:
    """The header of a workflow run: sums over the states that ran, how many there were, and the coldest start kind."""
    queue_ns = page_in_ns = start_ns = run_ns = gap_ns = states = 0
    kinds: set[str] = set()
    for event in events:
        if event.worker_topic:
            states += 1
            queue_ns += event.queue_ns - event.page_in_wait_ns
            page_in_ns += event.page_in_wait_ns
            start_ns += event.start_ns
            run_ns += event.run_ns
            gap_ns += event.gap_ns
            kinds.add(event.start_kind)
    coldest = next((kind for kind in COLDEST_FIRST if kind in kinds), "")
    return b'queue;dur=%.3f,%b start;dur=%.3f%b, run;dur=%.3f, gap;dur=%.3f, states;desc="%d"' % (
        queue_ns / 1e6,
        _page_in(page_in_ns),
        start_ns / 1e6,
        b';desc="%b"' % coldest.encode() if coldest else b"",
        run_ns / 1e6,
        gap_ns / 1e6,
        states,
    )


def _page_in(waited_ns: int) -> bytes:
    return b" page-in;dur=%.3f," % (waited_ns / 1e6) if waited_ns else b""
