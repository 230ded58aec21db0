"""Executions, their events, inputs and outputs: the statements and what they mean.

Writes run in the writer's transaction, reads on a reader's connection. A payload is a `Body` here; the store turns
files into bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from actorfaas.errors import RequestRefused
from actorfaas.ids import STATUSES
from actorfaas.messages import (
    ITEMS_READ,
    AppendHistory,
    CreateExecution,
    ExecutionState,
    FinishExecution,
    HistoryEvent,
)
from actorfaas.storage import execution_names
from actorfaas.storage.bodies import EMPTY, Body
from actorfaas.storage.schema import EVENT_BITS
from actorfaas.storage.statuses import RUNNING, status_number
from actorfaas.storage.writer import Transaction

PAGE_LIMIT = 1_000
PRUNE_LOOK_AT = 2_000
"""Most rows that one step of retention looks at: keys may keep any number of the oldest."""

_MAX_SEQ = (1 << EVENT_BITS) - 1

_INSERT = (
    "INSERT INTO execution (execution_id, name, app, version, kind, durability, status, deadline_at_ms, started_at_ms,"
    " ended_at_ms, traceparent, error_type, error_message, given_name)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (execution_id) DO NOTHING"
)
_INSERT_INPUT = "INSERT INTO execution_input (execution, body, file) VALUES (?, ?, ?)"
_INSERT_OUTPUT = "INSERT INTO execution_output (execution, body, file) VALUES (?, ?, ?)"
_INSERT_EVENT = "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FIND = "SELECT id FROM execution WHERE execution_id = ?"
_END = "UPDATE execution SET status = ?, error_type = ?, error_message = ?, ended_at_ms = ? WHERE id = ? AND status = 0"
_STATE = (
    "SELECT id, execution_id, name, app, version, kind, durability, status, error_type, error_message,"
    " started_at_ms, ended_at_ms, redrive_count, redriven_at_ms, given_name FROM execution WHERE execution_id = ?"
)
EVENT_COLUMNS = (
    "id, at_ms, type, state, attempt, worker_topic, start_kind, queue_ns, start_ns, run_ns, gap_ns, error_type,"
    " error_message, x'' AS payload, branch, item, memory_mb, span_id, page_in_ns, page_in_lead_ns,"
    " page_in_bytes, body, file"
)
_EVENTS = f"SELECT {EVENT_COLUMNS} FROM event WHERE id BETWEEN ? AND ? ORDER BY id"
_EVENTS_ALONE = _EVENTS.replace("body, file", "x'' AS body, NULL AS file")
_INPUT = "SELECT body, file FROM execution_input WHERE execution = (SELECT id FROM execution WHERE execution_id = ?)"
_OUTPUT = "SELECT body, file FROM execution_output WHERE execution = ?"
# The plus keeps SQLite from sorting the whole status index: the oldest rows are nearly all ended.
_OLDEST = (
    "SELECT id, EXISTS (SELECT 1 FROM idempotency_key k WHERE k.execution_id = e.execution_id)"
    " FROM execution e WHERE +status != 0 AND id > ? ORDER BY id LIMIT ?"
)
_UNFINISHED = (
    "SELECT e.id, execution_id, name, app, version, kind, deadline_at_ms, traceparent, body, file"
    " FROM execution e JOIN execution_input i ON i.execution = e.id"
    " WHERE status = 0 AND e.id > ? ORDER BY e.id LIMIT ?"
)


class StoredEvent(NamedTuple):
    """One event whose payload may still be in a file."""

    event: HistoryEvent
    body: Body


@dataclass(frozen=True, slots=True)
class StoredExecution:
    """One execution whose payloads may still be in files."""

    state: ExecutionState
    output: Body
    events: tuple[StoredEvent, ...]


@dataclass(frozen=True, slots=True)
class StoredUnfinished:
    """One execution to continue, its payloads perhaps still in files."""

    input: Body
    events: tuple[StoredEvent, ...]
    id: int
    execution_id: str
    name: str
    app: str
    version: int
    kind: str
    deadline_at_ms: int
    traceparent: str


# --- writes --------------------------------------------------------------------------------------------------------


def create(transaction: Transaction, request: CreateExecution, body: Body, now_ms: int) -> None:
    """Insert a running execution. Raises RequestRefused "conflict"."""
    values = (request.execution_id, request.name, request.app, request.version, request.kind, request.durability)
    given_name = execution_names.given(transaction, request.execution_id)
    cursor = transaction.execute(
        _INSERT, (*values, RUNNING, request.deadline_at_ms, now_ms, 0, request.traceparent, "", "", given_name)
    )
    if cursor.rowcount == 0:
        raise RequestRefused("conflict", f"an execution {request.execution_id} exists already")
    transaction.execute(_INSERT_INPUT, (cursor.lastrowid, *body))


def append(transaction: Transaction, request: AppendHistory, bodies: list[Body]) -> bool:
    """Insert the events that are not there yet; whether the last one was not. Raises RequestRefused "not_found" or
    "invalid"."""
    return insert_events(transaction, id_of(transaction, request.execution_id), request.events, bodies)


def finish(transaction: Transaction, request: FinishExecution, bodies: list[Body], now_ms: int) -> None:
    """End a running execution; `bodies` are its events' and, last, its output's. Ignored when it has ended."""
    number = status_number(request.status)
    id_ = id_of(transaction, request.execution_id)
    ended = transaction.execute(_END, (number, request.error_type, request.error_message, now_ms, id_))
    if ended.rowcount == 0:
        transaction.discarded += [body.file for body in bodies if body.file]
        return
    insert_events(transaction, id_, request.events, bodies[:-1])
    _insert_output(transaction, id_, bodies[-1])


def record(
    transaction: Transaction, create_: CreateExecution, finish_: FinishExecution, bodies: list[Body], now_ms: int
) -> None:
    """Insert an execution unless it exists and end it unless it has ended; `bodies` as for `insert_ended`."""
    started_at_ms = finish_.events[0].at_ms if finish_.events else now_ms
    try:
        create(transaction, create_, bodies[0], started_at_ms)
    except RequestRefused:
        transaction.discarded += [bodies[0].file] if bodies[0].file else []
    finish(transaction, finish_, bodies[1:], now_ms)


def insert_ended(transaction: Transaction, request: CreateExecution, state: ExecutionState, bodies: list[Body]) -> None:
    """Insert an execution that has ended already; `bodies` are its input's, its events' and its output's."""
    cursor = transaction.execute(
        _INSERT,
        (
            *(state.execution_id, state.name, state.app, state.version, state.kind, state.durability),
            *(status_number(state.status), request.deadline_at_ms, state.started_at_ms, state.ended_at_ms),
            *(request.traceparent, state.error_type, state.error_message, ""),
        ),
    )
    if cursor.rowcount == 0:
        transaction.discarded += [body.file for body in bodies if body.file]
        return
    id_ = cursor.lastrowid
    assert id_ is not None  # a row was inserted
    transaction.execute(_INSERT_INPUT, (id_, *bodies[0]))
    insert_events(transaction, id_, state.events, bodies[1:-1])
    _insert_output(transaction, id_, bodies[-1])


def prune(transaction: Transaction, after_id: int, count: int) -> tuple[int, int]:
    """Delete the `count` oldest executions that have ended, with all that belongs to them, but none that an
    idempotency key names. How many there were, and after which id to look on: 0 when all have been looked at."""
    rows = transaction.execute(_OLDEST, (after_id, PRUNE_LOOK_AT)).fetchall()
    old = [(id_,) for id_, is_named in rows if not is_named][:count]
    for (id_,) in old:
        execution_names.forget(transaction, id_)
        for table, column, span in (
            ("event", "id", event_span(id_)),
            ("execution_input", "execution", (id_, id_)),
            ("execution_output", "execution", (id_, id_)),
        ):
            where = f"WHERE {column} BETWEEN ? AND ?"
            files = transaction.execute(f"SELECT file FROM {table} {where} AND file IS NOT NULL", span)
            transaction.discarded += [file for (file,) in files]
            transaction.execute(f"DELETE FROM {table} {where}", span)
    transaction.executemany("DELETE FROM execution WHERE id = ?", old)
    if len(old) == count:
        return len(old), old[-1][0]
    return len(old), rows[-1][0] if len(rows) == PRUNE_LOOK_AT else 0


def check_events(events: Iterable[HistoryEvent]) -> None:
    """Raise RequestRefused "invalid" when an event's number cannot be stored."""
    for event in events:
        if not 1 <= event.seq <= _MAX_SEQ:
            raise RequestRefused("invalid", f"an event's seq must be between 1 and {_MAX_SEQ}, not {event.seq}")


def id_of(connection: Transaction | sqlite3.Connection, execution_id: str) -> int:
    """The number of an execution's row. Raises RequestRefused "not_found"."""
    row = connection.execute(_FIND, (execution_id,)).fetchone()
    if row is None:
        raise not_found(execution_id)
    id_: int = row[0]
    return id_


def not_found(execution_id: str) -> RequestRefused:
    """The refusal for an id nobody knows."""
    return RequestRefused("not_found", f"there is no execution {execution_id}")


def insert_events(transaction: Transaction, id_: int, events: tuple[HistoryEvent, ...], bodies: list[Body]) -> bool:
    """Insert the events that are not there yet; whether the last one was not."""
    check_events(events)
    is_new = False
    for e, given in zip(events, bodies, strict=True):
        body = given if e.type != ITEMS_READ else Body(given.inline, orjson.loads(given.inline)["File"])
        inserted = transaction.execute(
            _INSERT_EVENT,
            (
                *(id_ << EVENT_BITS | e.seq, e.at_ms, e.type, e.state, e.attempt, e.worker_topic, e.start_kind),
                *(e.queue_ns, e.start_ns, e.run_ns, e.gap_ns, e.error_type, e.error_message, *body, e.branch, e.index),
                *(e.memory_mb, e.span_id, e.page_in_ns, e.page_in_lead_ns, e.page_in_bytes),
            ),
        )
        is_new = inserted.rowcount > 0
        if not is_new and given.file:
            transaction.discarded.append(given.file)
    return is_new


def _insert_output(transaction: Transaction, id_: int, body: Body) -> None:
    if body != EMPTY:
        transaction.execute(_INSERT_OUTPUT, (id_, *body))


def event_span(id_: int) -> tuple[int, int]:
    """First and last possible event number of an execution."""
    return id_ << EVENT_BITS, id_ << EVENT_BITS | _MAX_SEQ


# --- reads ---------------------------------------------------------------------------------------------------------


def get(
    connection: sqlite3.Connection, execution_id: str, event_payloads: bool, after_seq: int = 0, limit: int = 0
) -> StoredExecution:
    """One execution with its events after a number, at most `limit` (0: all). Raises RequestRefused "not_found"."""
    row = connection.execute(_STATE, (execution_id,)).fetchone()
    if row is None:
        raise not_found(execution_id)
    id_, execution_id, name, app, version, kind, durability, status, *end = row
    error_type, error_message, started_at_ms, ended_at_ms, *redriven = end
    state = ExecutionState(
        *(execution_id, name, app, version, kind, durability, STATUSES[status]),
        *(error_type, error_message, started_at_ms, ended_at_ms, *redriven, (), b""),
    )
    output = connection.execute(_OUTPUT, (id_,)).fetchone()
    first, last = event_span(id_)
    statement = f"{_EVENTS if event_payloads else _EVENTS_ALONE} LIMIT ?"
    events = stored_events(connection.execute(statement, (first + after_seq + 1, last, limit or -1)))
    return StoredExecution(state, Body(*output) if output else EMPTY, tuple(events))


def input_of(connection: sqlite3.Connection, execution_id: str) -> Body:
    """What one execution was started with. Raises RequestRefused "not_found"."""
    row = connection.execute(_INPUT, (execution_id,)).fetchone()
    if row is None:
        raise not_found(execution_id)
    return Body(*row)


def unfinished(connection: sqlite3.Connection, after: str, budget_bytes: int) -> tuple[list[StoredUnfinished], bool]:
    """Running executions after the cursor, oldest first, until their inline payloads exceed the budget.

    The second value says whether there may be more.
    """
    found: list[StoredUnfinished] = []
    for *fields, body, file in connection.execute(_UNFINISHED, (_parsed(after) if after else 0, PAGE_LIMIT)):
        events = events_of(connection, fields[0])
        found.append(StoredUnfinished(Body(body, file), events, *fields))
        budget_bytes -= len(body) + sum(len(event.body.inline) for event in events)
        if budget_bytes <= 0:
            return found, True
    return found, len(found) == PAGE_LIMIT


def unnamed_count(connection: sqlite3.Connection) -> int:
    """How many executions have ended, without those that idempotency keys keep (scans of narrow indexes)."""
    count: int = connection.execute(
        "SELECT (SELECT count(*) FROM execution WHERE status > 0) - (SELECT count(*) FROM idempotency_key)"
    ).fetchone()[0]
    return count


def stored_events(rows: Iterable[tuple[Any, ...]]) -> Iterator[StoredEvent]:  # Any: a row's values
    """The events of rows of EVENT_COLUMNS."""
    for number, *fields, body, file in rows:
        yield StoredEvent(HistoryEvent(number & _MAX_SEQ, *fields), Body(body, file))


def events_of(connection: sqlite3.Connection, id_: int) -> tuple[StoredEvent, ...]:
    """All events of one execution."""
    return tuple(stored_events(connection.execute(_EVENTS, event_span(id_))))


def events_alone(connection: sqlite3.Connection, id_: int, limit: int) -> tuple[HistoryEvent, ...]:
    """The first events of one execution, at most `limit`, without what they carry."""
    rows = connection.execute(f"{_EVENTS_ALONE} LIMIT ?", (*event_span(id_), limit))
    return tuple(stored.event for stored in stored_events(rows))


def _parsed(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise RequestRefused("invalid", f"{cursor!r} is not a cursor from a page before")
    return int(cursor)
