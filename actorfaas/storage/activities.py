"""Activities: the names under which workers outside ask for tasks, and since when. Their tasks are nowhere but in the
journals of executions."""

from __future__ import annotations

import sqlite3

from actorfaas.errors import RequestRefused
from actorfaas.messages import ActivityRecord, ActivityRecords
from actorfaas.storage.writer import Transaction

MAX_ACTIVITIES = 10_000
"""More are refused: a listing is one message."""

_FIND = "SELECT name, created_at_ms FROM activity WHERE name = ?"


def create(transaction: Transaction, name: str, now_ms: int) -> ActivityRecords:
    """Make an activity; one that is there stays as it is. Raises RequestRefused "conflict" where there are too many."""
    found = transaction.execute(_FIND, (name,)).fetchone()
    if found is None:
        (count,) = transaction.execute("SELECT count(*) FROM activity").fetchone()
        if count >= MAX_ACTIVITIES:
            raise RequestRefused("conflict", f"there are {count} activities; remove those that nobody needs")
        found = (name, now_ms)
        transaction.execute("INSERT INTO activity VALUES (?, ?)", found)
    return ActivityRecords((ActivityRecord(*found),))


def delete(transaction: Transaction, name: str) -> None:
    """Remove an activity. Raises RequestRefused "not_found"."""
    if transaction.execute("DELETE FROM activity WHERE name = ?", (name,)).rowcount == 0:
        raise RequestRefused("not_found", f"there is no activity {name!r}")


def listing(connection: sqlite3.Connection) -> ActivityRecords:
    """Every activity by name."""
    rows = connection.execute("SELECT name, created_at_ms FROM activity ORDER BY name")
    return ActivityRecords(tuple(ActivityRecord(*row) for row in rows))
