"""Plain calls of sampled traces: kept beside the log lines, found by trace and by function, the oldest forgotten.

Executions of a trace are not here: they are found by the context that they were started in, see `executions`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import fields
from operator import attrgetter

from actorfaas.messages import TracedCall
from actorfaas.storage.writer import Transaction

PAGE_CALLS = 10_000
"""Calls in one answer."""

_NAMES = tuple(field.name for field in fields(TracedCall))
_VALUES = attrgetter(*_NAMES)
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT INTO traced_call ({_COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"
_OF_TRACE = f"SELECT {_COLUMNS} FROM traced_call WHERE trace_id = ? ORDER BY began_at_us LIMIT {PAGE_CALLS}"
_NEWEST = "SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'traced_call'), 0)"  # also if it is gone
_AFTER = f"SELECT seq, {_COLUMNS} FROM traced_call WHERE seq > ? ORDER BY seq LIMIT ?"
# In the order in which they are: the old ones, which are few, come first.
_FIRST_SINCE = "SELECT seq FROM traced_call WHERE began_at_us >= ? ORDER BY seq LIMIT 1"


def append(transaction: Transaction, calls: Sequence[TracedCall]) -> None:
    """Add calls, in the order of their ends."""
    transaction.executemany(_INSERT, map(_VALUES, calls))


def of_trace(connection: sqlite3.Connection, trace_id: str) -> tuple[TracedCall, ...]:
    """The calls of one trace, in the order in which they began."""
    return _calls(connection.execute(_OF_TRACE, (trace_id,)))


def newest(connection: sqlite3.Connection, function: str, since_us: int, limit: int) -> tuple[TracedCall, ...]:
    """The newest calls, if wanted of one function only, in the order in which they ended."""
    condition = "function = ? AND" if function else ""
    statement = f"SELECT {_COLUMNS} FROM traced_call WHERE {condition} began_at_us >= ? ORDER BY seq DESC LIMIT ?"
    values = (*((function,) if function else ()), since_us, max(1, min(limit, PAGE_CALLS)))
    return _calls(connection.execute(statement, values))[::-1]


def after(connection: sqlite3.Connection, seq: int, limit: int) -> tuple[tuple[TracedCall, ...], int, int]:
    """The oldest calls after a number, the number of the last of them, and how many before them are gone. -1: no call,
    but the number of the newest one."""
    newest_seq = int(connection.execute(_NEWEST).fetchone()[0])
    if seq < 0:
        return (), newest_seq, 0
    rows = connection.execute(_AFTER, (seq, limit)).fetchall()
    if not rows:
        return (), newest_seq, newest_seq - seq
    return _calls(row[1:] for row in rows), rows[-1][0], rows[0][0] - seq - 1


def _calls(rows: Iterable[tuple[object, ...]]) -> tuple[TracedCall, ...]:
    return tuple(TracedCall(*row) for row in rows)  # type: ignore[arg-type]  # the columns are its fields


def excess(connection: sqlite3.Connection, kept: int, before_us: int) -> int:
    """How many of the oldest calls are to go: those above `kept`, and those that began before `before_us`."""
    oldest, newest_seq = connection.execute("SELECT min(seq), max(seq) FROM traced_call").fetchone()
    if oldest is None:
        return 0
    too_many = int(newest_seq) - int(oldest) + 1 - kept
    young = connection.execute(_FIRST_SINCE, (before_us,)).fetchone()
    too_old = (int(newest_seq) + 1 if young is None else int(young[0])) - int(oldest)
    return max(0, too_many, too_old)


def prune(transaction: Transaction, count: int) -> int:
    """Delete the `count` oldest calls; how many there were."""
    deleted = transaction.execute(
        "DELETE FROM traced_call WHERE seq IN (SELECT seq FROM traced_call ORDER BY seq LIMIT ?)", (count,)
    )
    return deleted.rowcount
