"""Calls, histories and spans as tests of flows need them."""

from __future__ import annotations

from actorfaas.flow.spans import Span
from actorfaas.messages import ExecutionState, HistoryEvent, TracedCall, TracedExecution

TRACE = "a" * 32
MS = 1_000_000
BEGAN_MS = 1_700_000_000_000


def traced_call(**changes: object) -> TracedCall:
    """A call of `f` that took 10 ms: 1 queue, 2 start, 5 run, and 2 to come in and to go out."""
    values: dict[str, object] = {
        "trace_id": TRACE,
        "span_id": "c" * 16,
        "parent_id": "",
        "run_id": "d" * 16,
        "request_id": "req_1",
        "function": "f",
        "version": 1,
        "worker_topic": "f@1_7",
        "start_kind": "resident",
        "attempt": 1,
        "status": 200,
        "error": "",
        "began_at_us": BEGAN_MS * 1000,
        "took_ns": 10 * MS,
        "before_ns": 4 * MS,
        "queue_ns": 1 * MS,
        "page_in_ns": 0,
        "start_ns": 2 * MS,
        "run_ns": 5 * MS,
    }
    return TracedCall(**values | changes)  # type: ignore[arg-type]  # names are checked by the class


class History:
    """A history that is written down as it happens: `at` is in ms since the beginning."""

    def __init__(self, name: str = "flow", parent: str = "0" * 16) -> None:
        self.events: list[HistoryEvent] = []
        self._name = name
        self._parent = parent
        self.add(0, "ExecutionStarted", "")

    def add(
        self,
        at: int,
        type_: str,
        state: str,
        *,
        branch: int = 0,
        index: int = -1,
        function: str = "",
        queue: float = 0,
        start: float = 0,
        run: float = 0,
        gap: float = 0,
        error: str = "",
        attempt: int = 1,
        page_in: float = 0,
        lead: float = 0,
    ) -> None:
        """One event; durations in ms (`lead`: since the end of the page-in). `function`: who ran it."""
        seq = len(self.events) + 1
        worker = f"{function}@1_{seq}" if function else ""
        times = (int(queue * MS), int(start * MS), int(run * MS), int(gap * MS))
        self.events.append(
            HistoryEvent(
                *(seq, BEGAN_MS + at, type_, state, attempt, worker, "resident" if function else "", *times, error, ""),
                *(b"", branch, index, 128, f"{seq:016x}" if function else ""),
                *(int(page_in * MS), int(lead * MS), 3 << 20 if page_in else 0),
            )
        )

    def task(self, at: int, state: str, *, branch: int = 0, index: int = -1, **times: float) -> None:
        """A Task state from its entry to its exit, at `at`, run by a function of its name."""
        self.add(at, "TaskStateEntered", state, branch=branch, index=index)
        self.add(at, "TaskSucceeded", state, branch=branch, index=index, function=state, **times)  # type: ignore[arg-type]
        self.add(at, "TaskStateExited", state, branch=branch, index=index)

    def ended(self, status: str = "succeeded", error: str = "") -> TracedExecution:
        """As it is read back."""
        last_ms = self.events[-1].at_ms
        state = ExecutionState(
            *("exe_1", self._name, "app", 1, "workflow", "standard", status, error, ""),
            *(BEGAN_MS, 0 if status == "running" else last_ms, 0, 0, "", tuple(self.events), b""),
        )
        return TracedExecution(f"00-{TRACE}-{self._parent}-01", state)


def one(spans: list[Span], kind: str, name: str = "", index: str = "") -> Span:
    """The only span like this."""
    (found,) = (
        span
        for span in spans
        if span.kind == kind and name in ("", span.name) and index in ("", span.told.get("index", ""))
    )
    return found


def ms(span: Span) -> tuple[float, float]:
    """From when to when a span was, in ms since the beginning."""
    return (span.began_ns - BEGAN_MS * MS) / MS, (span.ended_ns - BEGAN_MS * MS) / MS
