"""Executions by the trace that they were started in, with their events but without what they carried."""

from __future__ import annotations

import sqlite3

from actorfaas.ids import STATUSES
from actorfaas.messages import ExecutionState, ReadTraces, TracedExecution
from actorfaas.storage import executions

PAGE_EXECUTIONS = 1_000
"""Executions in one answer."""

PAGE_EVENTS = 50_000
"""Events in one answer; executions beyond are left out, and of one that has more by itself, what comes later."""

_COLUMNS = (
    "id, traceparent, execution_id, name, app, version, kind, durability, status, error_type, error_message,"
    " started_at_ms, ended_at_ms"
)
_OF_TRACE = (
    f"SELECT {_COLUMNS} FROM execution WHERE substr(traceparent, 4, 32) = ? AND traceparent != '' ORDER BY id"
    f" LIMIT {PAGE_EXECUTIONS}"
)

_OF_ID = f"SELECT {_COLUMNS} FROM execution WHERE execution_id = ? AND traceparent != ''"


def of_trace(connection: sqlite3.Connection, trace_id: str) -> tuple[TracedExecution, ...]:
    """The executions of one trace, in the order in which they began."""
    return _loaded(connection, connection.execute(_OF_TRACE, (trace_id,)))


def newest(connection: sqlite3.Connection, request: ReadTraces) -> tuple[TracedExecution, ...]:
    """The newest executions that are of a trace, in the order in which they began."""
    condition = "name = ? AND" if request.name else ""
    statement = (
        f"SELECT {_COLUMNS} FROM execution WHERE {condition} +traceparent != '' AND started_at_ms >= ?"
        " ORDER BY started_at_ms DESC, id DESC LIMIT ?"
    )
    values = (*((request.name,) if request.name else ()), request.since_at_ms)
    rows = connection.execute(statement, (*values, max(1, min(request.limit, PAGE_EXECUTIONS))))
    return _loaded(connection, rows)[::-1]


def of_ids(connection: sqlite3.Connection, ids: tuple[str, ...]) -> tuple[tuple[TracedExecution, ...], int]:
    """Those of these executions that are of a trace and still there, and how many of the ids were looked up: as many as
    fit into an answer."""
    found: list[TracedExecution] = []
    room = PAGE_EVENTS
    for position, execution_id in enumerate(ids):
        loaded = _loaded(connection, connection.execute(_OF_ID, (execution_id,)))
        room -= sum(len(one.state.events) for one in loaded)
        if found and room < 0:
            return tuple(found), position
        found += loaded
    return tuple(found), len(ids)


def _loaded(connection: sqlite3.Connection, rows: sqlite3.Cursor) -> tuple[TracedExecution, ...]:
    found: list[TracedExecution] = []
    room = PAGE_EVENTS
    for id_, traceparent, execution_id, name, app, version, kind, durability, status, *end in rows.fetchall():
        events = executions.events_alone(connection, id_, room + 1)
        if found and len(events) > room:
            break
        events = events[:room]
        room -= len(events)
        error_type, error_message, started_at_ms, ended_at_ms = end
        state = ExecutionState(
            *(execution_id, name, app, version, kind, durability, STATUSES[status]),
            *(error_type, error_message, started_at_ms, ended_at_ms),
            redrive_count=0,
            redriven_at_ms=0,
            execution_name="",
            events=events,
            payload=b"",
        )
        found.append(TracedExecution(traceparent, state))
    return tuple(found)
