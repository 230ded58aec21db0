"""Executions that go on after their end: reading the journal of one, and making it run again."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from actorfaas.errors import RequestRefused
from actorfaas.ids import STATUSES
from actorfaas.messages import ReopenExecution
from actorfaas.storage import executions
from actorfaas.storage.bodies import EMPTY, Body
from actorfaas.storage.writer import Transaction

_JOURNAL = (
    "SELECT status, durability, redrive_count, max(started_at_ms, redriven_at_ms),"
    " e.id, execution_id, name, app, version, kind, deadline_at_ms, traceparent, body, file"
    " FROM execution e JOIN execution_input i ON i.execution = e.id WHERE execution_id = ?"
)
_REOPEN = (
    "UPDATE execution SET status = 0, ended_at_ms = 0, error_type = '', error_message = '', deadline_at_ms = ?,"
    " redrive_count = ?, redriven_at_ms = ? WHERE execution_id = ? AND redrive_count = ? AND status > 1 RETURNING id"
)
_IS_REOPENED = "SELECT 1 FROM execution WHERE execution_id = ? AND redrive_count = ? AND status = 0"


class StoredJournal(NamedTuple):
    """An execution's journal whose payloads may still be in files."""

    execution: executions.StoredUnfinished
    status: str
    durability: str
    redrive_count: int
    limited_since_ms: int


def journal(connection: sqlite3.Connection, execution_id: str) -> StoredJournal:
    """One execution with its journal. Raises RequestRefused "not_found"."""
    row = connection.execute(_JOURNAL, (execution_id,)).fetchone()
    if row is None:
        raise executions.not_found(execution_id)
    status, durability, redrive_count, since_ms, *fields, body, file = row
    events = executions.events_of(connection, fields[0])
    execution = executions.StoredUnfinished(Body(body, file), events, *fields)
    return StoredJournal(execution, STATUSES[status], durability, redrive_count, since_ms)


def reopen(transaction: Transaction, request: ReopenExecution) -> None:
    """Make an execution run again, or find that it does. Raises RequestRefused "conflict"."""
    count, event = request.redrive_count, request.event
    values = (request.deadline_at_ms, count, event.at_ms, request.execution_id, count - 1)
    row = transaction.execute(_REOPEN, values).fetchone()
    if row is not None:
        executions.insert_events(transaction, row[0], (event,), [EMPTY])
    elif transaction.execute(_IS_REOPENED, (request.execution_id, count)).fetchone() is None:
        raise RequestRefused("conflict", f"execution {request.execution_id} is not as it was; look at it again")
