"""An execution's history as visits to states, from its events one by one. Pure.

Owns which event belongs to which visit, and what becomes of one: entered, left, failed, tried again, redriven. The
documents around them are `http.render`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actorfaas.messages import HistoryEvent

Document = dict[str, Any]  # mixed JSON values

PREVIEW_BYTES = 200

_OUTCOMES = {
    f"{of}{end}": status
    for of in ("Task", "TaskState", "WaitState", "ParallelState", "MapState")
    for end, status in (
        *(("Succeeded", "succeeded"), ("Failed", "failed"), ("TimedOut", "timed_out"), ("Aborted", "cancelled")),
    )
}
"""What events say of the state they name; those of a Map state's single iterations are not among them."""


class Visits:
    """One entry for every visit to a state, in order; a retried one shows its last attempt."""

    def __init__(self, *, is_first: bool = True) -> None:
        """Not `is_first`: what ends without having begun was shown on the page before."""
        self.all: list[Document] = []
        self._latest: dict[tuple[int, str], int] = {}
        self._is_first = is_first

    @classmethod
    def of(cls, events: Iterable[HistoryEvent], *, is_first: bool = True) -> Visits:
        """Those of events that are all there."""
        visits = cls(is_first=is_first)
        for event in events:
            visits.add(event)
        return visits

    def add(self, event: HistoryEvent) -> int | None:
        """Take the next event; the number of the visit that it is about, from 0, or None."""
        if not event.state:
            return None
        if event.type.endswith("StateEntered"):
            return self._begin(event, "running")
        number = self._latest.get((event.branch, event.state))
        if number is not None and _told(self.all[number], event):
            return number
        status = _OUTCOMES.get(event.type)
        return self._begin(event, status) if status and self._is_first else None

    def close(self, closing: Iterable[HistoryEvent]) -> None:
        """Give the visits that are open what later events, which are not pages' own, say of them."""
        for event in closing:
            number = self._latest.get((event.branch, event.state))
            if number is not None:
                _told(self.all[number], event)

    def open(self) -> list[int]:
        """The numbers of those that have not ended."""
        return [number for number in self._latest.values() if self.all[number]["status"] == "running"]

    def _begin(self, event: HistoryEvent, status: str) -> int:
        self.all.append(_visit(event, status))
        self._latest[event.branch, event.state] = len(self.all) - 1
        return len(self.all) - 1


def _told(visit: Document, event: HistoryEvent) -> bool:
    """Whether an event is about the latest visit to its state, which it then changed."""
    status = _OUTCOMES.get(event.type)
    if event.type.endswith("StateExited"):
        if visit["status"] != "running":
            return False
        visit.update(status="succeeded", ended_at_ms=event.at_ms, output=_preview(event.payload))
    elif event.type.endswith("StateRedriven"):
        visit.update(status="running", ended_at_ms=None, error_type="", error_message="")
    elif status and _goes_on(visit, event):
        visit.update(_visit(event, status, visit))
    else:
        return False
    return True


def _goes_on(visit: Document, event: HistoryEvent) -> bool:
    """Whether an event belongs to the latest visit to its state, and not to one of which nothing else is known."""
    is_retry = visit["status"] in ("failed", "timed_out") and event.attempt > visit["attempt"]
    return visit["status"] == "running" or is_retry


def _visit(event: HistoryEvent, status: str, entered: Document | None = None) -> Document:
    """What an event says of a visit, which began with it or as `entered`."""
    return {
        "name": event.state,
        **place(event),
        "seq": event.seq if entered is None else entered["seq"],
        "status": status,
        "entered_at_ms": event.at_ms if entered is None else entered["entered_at_ms"],
        "ended_at_ms": event.at_ms if status != "running" else None,
        "attempt": event.attempt,
        "worker": event.worker_topic,
        "start_kind": event.start_kind,
        **durations(event),
        "error_type": event.error_type,
        "error_message": event.error_message,
        "output": _preview(event.payload) if status == "succeeded" else None,
    }


def place(event: HistoryEvent) -> Document:
    """Which branch it is about, and which branch or item of its state that is."""
    return {"branch": event.branch, "index": event.index if event.index >= 0 else None}


def durations(event: HistoryEvent) -> Document:
    """Where the time of a task went."""
    return {
        "queue_ms": ms(event.queue_ns - event.page_in_wait_ns),
        "page_in_ms": ms(event.page_in_wait_ns),
        "prefetch_ms": ms(0 if event.page_in_wait_ns else event.page_in_ns),
        "page_in_bytes": event.page_in_bytes,
        "start_ms": ms(event.start_ns),
        "run_ms": ms(event.run_ns),
        "gap_ms": ms(event.gap_ns),
    }


def ms(duration_ns: int) -> float:
    """Nanoseconds as milliseconds, to the microsecond."""
    return round(duration_ns / 1e6, 3)


def _preview(payload: bytes) -> str | None:
    """The beginning of an output as text; the history has all of it."""
    if not payload:
        return None
    text = payload[:PREVIEW_BYTES].decode("utf-8", "ignore")
    return text if len(payload) <= PREVIEW_BYTES else text + "…"
