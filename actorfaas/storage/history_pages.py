"""Histories a page at a time: what of a long one is read, and what has to be known of the rest of it.

Reads run on a reader's connection. Rows are found by the events' numbers; nothing here sorts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace

import orjson

from actorfaas.core.tally import billed
from actorfaas.messages import ExecutionState, HistoryEvent, HistorySummary, SummariseHistory
from actorfaas.storage.executions import EVENT_COLUMNS, StoredEvent, event_span, id_of, stored_events

MAX_CLOSING = 10_000
"""Events that are looked through, at most, for how the visits ended that a page leaves open."""

_BILLED = "SELECT run_ns, memory_mb FROM event WHERE id BETWEEN ? AND ? AND run_ns > 0"
_MAP_RUNS = f"SELECT {EVENT_COLUMNS} FROM event WHERE id BETWEEN ? AND ? AND type GLOB 'MapRun*' ORDER BY id"
_LATER = (
    f"SELECT {EVENT_COLUMNS} FROM event WHERE id BETWEEN ? AND ? AND type NOT GLOB 'MapIteration*'"
    " AND branch IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"
)
_MAP_RUN = "MapRun"


def summary(connection: sqlite3.Connection, request: SummariseHistory) -> HistorySummary:
    """What `SummariseHistory` asks for. Raises RequestRefused "not_found"."""
    id_ = id_of(connection, request.execution_id)
    span = event_span(id_)
    later = (span[0] | request.last_seq) + 1, span[1]
    branches = orjson.dumps(sorted({visit.branch for visit in request.open_visits})).decode()
    found = stored_events(connection.execute(_LATER, (*later, branches, MAX_CLOSING)))
    return HistorySummary(
        *billed(connection.execute(_BILLED, span)),
        map_runs=tuple(_inline(one) for one in stored_events(connection.execute(_MAP_RUNS, span))),
        closing=_closing(request, (_inline(one) for one in found)),
    )


def summary_of(request: SummariseHistory, state: ExecutionState) -> HistorySummary:
    """The same of an execution that is at hand."""
    events = state.events
    return HistorySummary(
        *billed((event.run_ns, event.memory_mb) for event in events),
        map_runs=tuple(event for event in events if event.type.startswith(_MAP_RUN)),
        closing=_closing(request, (event for event in events if event.seq > request.last_seq and _is_of_visit(event))),
    )


def page_of(state: ExecutionState, after_seq: int, limit: int) -> ExecutionState:
    """An execution that is at hand with so many of its events."""
    events = tuple(event for event in state.events if event.seq > after_seq)
    return replace(state, events=events[:limit] if limit else events)


def _is_of_visit(event: HistoryEvent) -> bool:
    return not event.type.startswith("MapIteration")


def _inline(stored: StoredEvent) -> HistoryEvent:
    """An event with its payload where that is in the row."""
    return replace(stored.event, payload=stored.body.inline) if stored.body.inline else stored.event


def _closing(request: SummariseHistory, later: Iterable[HistoryEvent]) -> tuple[HistoryEvent, ...]:
    """The events of the open visits, until each has ended or its state is entered again."""
    waiting = {(visit.branch, visit.state) for visit in request.open_visits}
    found: list[HistoryEvent] = []
    for event in later:
        if not waiting:
            break
        place = event.branch, event.state
        if place not in waiting:
            continue
        if event.type.endswith("StateEntered"):
            waiting.discard(place)
            continue
        found.append(event)
        if event.type.endswith("StateExited"):
            waiting.discard(place)
    return tuple(found)
