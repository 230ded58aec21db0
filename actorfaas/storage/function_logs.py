"""Function log lines: numbered, filtered by function, request and execution, the oldest ones forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from actorfaas.messages import LogLine, Logs, ReadLogs
from actorfaas.storage.writer import Transaction

PAGE_LIMIT = 10_000
PAGE_BYTES = 4 * 1024 * 1024

_INSERT = (
    "INSERT INTO log_line (at_ms, function, version, request_id, execution_id, pid, stream, level, text, trace_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_COLUMNS = "seq, at_ms, function, version, request_id, execution_id, pid, stream, level, text, trace_id"


def append(transaction: Transaction, lines: Sequence[LogLine]) -> None:
    """Add lines in order; SQLite numbers them, never using a number twice."""
    transaction.executemany(
        _INSERT,
        (
            (
                *(e.at_ms, e.function, e.version, e.request_id, e.execution_id),
                *(e.pid, e.stream, e.level, e.text, e.trace_id),
            )
            for e in lines
        ),
    )


def read(connection: sqlite3.Connection, request: ReadLogs) -> Logs:
    """The lines that match, oldest first; `after_seq` continues after them."""
    statement, values = listing(request)
    lines: list[LogLine] = []
    size_bytes = 0
    for row in connection.execute(statement, values):
        lines.append(LogLine(*row))
        size_bytes += len(lines[-1].text)
        if size_bytes > PAGE_BYTES:
            break
    if request.tail:
        lines.reverse()
    if lines:
        return Logs(tuple(lines), lines[-1].seq)
    return Logs((), max(request.after_seq, latest(connection)) if request.tail else request.after_seq)


def listing(request: ReadLogs) -> tuple[str, tuple[str | int, ...]]:
    """The statement for a page, and its values. The narrowest filter chooses the index, the others only filter.

    A partial index is used only when the statement repeats its condition; a plus before a column keeps it out.
    """
    conditions = ["seq > ?"]
    values: list[str | int] = [request.after_seq]
    if request.execution_id:
        conditions.append("execution_id = ? AND execution_id != ''")
        values.append(request.execution_id)
    if request.request_id:
        plus = "+" if request.execution_id else ""
        conditions.append(f"{plus}request_id = ? AND request_id != ''")
        values.append(request.request_id)
    if request.trace_id:
        plus = "+" if request.execution_id or request.request_id else ""
        conditions.append(f"{plus}trace_id = ? AND trace_id != ''")
        values.append(request.trace_id)
    if request.function:
        plus = "+" if request.execution_id or request.request_id or request.trace_id else ""
        conditions.append(f"{plus}function = ?")
        values.append(request.function)
    if request.since_at_ms:
        conditions.append("at_ms >= ?")
        values.append(request.since_at_ms)
    values.append(max(1, min(request.limit, PAGE_LIMIT)))
    order = "DESC" if request.tail else "ASC"
    return f"SELECT {_COLUMNS} FROM log_line WHERE {' AND '.join(conditions)} ORDER BY seq {order} LIMIT ?", tuple(
        values
    )


def matches(request: ReadLogs, line: LogLine) -> bool:
    """Whether a line passes the request's filters."""
    return (
        request.function in ("", line.function)
        and request.request_id in ("", line.request_id)
        and request.execution_id in ("", line.execution_id)
        and request.trace_id in ("", line.trace_id)
        and line.at_ms >= request.since_at_ms
    )


def latest(connection: sqlite3.Connection) -> int:
    """The number of the newest line there ever was; 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'log_line'").fetchone()
    return 0 if row is None else int(row[0])


def excess(connection: sqlite3.Connection, kept: int) -> int:
    """How many lines there are above `kept` (numbers have no gaps but at the old end)."""
    oldest = connection.execute("SELECT min(seq) FROM log_line").fetchone()[0]
    return 0 if oldest is None else max(0, latest(connection) - int(oldest) + 1 - kept)


def prune(transaction: Transaction, count: int) -> int:
    """Delete the `count` oldest lines; how many there were."""
    deleted = transaction.execute(
        "DELETE FROM log_line WHERE seq IN (SELECT seq FROM log_line ORDER BY seq LIMIT ?)", (count,)
    )
    return deleted.rowcount
