"""Pages of executions, newest first: by function or workflow, status, time, and how their given names begin.

Every page is a short walk along one index. Names that begin in one way are rare or frequent: of rare ones all are
looked up, for frequent ones the newest executions are looked through, so many for one page. Such a page may be short
of its limit and still not be the last.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any, NamedTuple

from actorfaas.errors import RequestRefused
from actorfaas.ids import STATUSES
from actorfaas.messages import Executions, ExecutionSummary, ListExecutions
from actorfaas.storage.statuses import status_number

PAGE_LIMIT = 1_000
RARE = 2_000
"""Most executions whose name begins in one way that are all looked up for one page."""
LOOKED_THROUGH = 5_000
"""Most executions looked through for one page where names begin so more often."""

_COLUMNS = "started_at_ms, id, execution_id, name, version, kind, status, ended_at_ms, given_name"
_ORDER = "ORDER BY started_at_ms DESC, id DESC LIMIT ?"
_CURSOR = re.compile(r"([0-9]{1,15})\.([0-9]{1,18})", re.ASCII)
_LAST_CHARACTER = "\U0010ffff"
_IS_NAMED = "given_name != '' AND given_name >= ? AND given_name < ?"

Row = Any  # of the statements here: started_at_ms and id first
Values = tuple[int | str, ...]


class Query(NamedTuple):
    """A statement and its values but for the limit."""

    statement: str
    values: Values


def page(connection: sqlite3.Connection, request: ListExecutions) -> Executions:
    """One page of a listing. Raises RequestRefused "invalid"."""
    limit = max(1, min(request.limit, PAGE_LIMIT))
    if request.execution_name:
        rows, last = _named(connection, request, limit)
    else:
        statement, values = listing(request)
        rows = connection.execute(statement, (*values, limit)).fetchall()
        last = rows[-1] if len(rows) == limit else None
    return Executions(tuple(map(_summary, rows)), "" if last is None else f"{last[0]}.{last[1]}")


def _summary(row: Row) -> ExecutionSummary:
    started_at_ms, _, execution_id, name, version, kind, status, ended_at_ms, given_name = row
    return ExecutionSummary(execution_id, name, version, kind, STATUSES[status], started_at_ms, ended_at_ms, given_name)


def listing(request: ListExecutions) -> Query:
    """The statement for a page whatever executions were called; each form is served by one index."""
    conditions, values = _conditions(request)
    return Query(f"SELECT {_COLUMNS} FROM {_walk(request)} {_where(conditions)} {_ORDER}", values)


def counting(request: ListExecutions) -> Query:
    """Whether names begin in this way more often than so."""
    return Query(f"SELECT count(*) FROM (SELECT 1 FROM execution WHERE {_IS_NAMED} LIMIT ?)", _span(request))


def looking_up(request: ListExecutions) -> Query:
    """The statement for a page of those whose name begins in a way that is rare."""
    conditions, values = _conditions(request)
    where = _where([_IS_NAMED, *conditions])
    found = f"SELECT {_COLUMNS} FROM execution INDEXED BY execution_by_given_name {where}"
    return Query(f"{found} {_ORDER}", (*_span(request), *values))


def looking_through(request: ListExecutions) -> Query:
    """The statement for the newest executions, those among them whose name begins in a way that is frequent."""
    conditions, values = _conditions(request)
    newest = f"SELECT {_COLUMNS} FROM {_walk(request)} {_where(conditions)} {_ORDER}"
    return Query(f"SELECT * FROM ({newest}) WHERE {_IS_NAMED} LIMIT ?", (*values, LOOKED_THROUGH, *_span(request)))


def _named(connection: sqlite3.Connection, request: ListExecutions, limit: int) -> tuple[list[Row], Row]:
    """The rows of a page, and the last one that was looked at; None: there are no more."""
    statement, values = counting(request)
    (count,) = connection.execute(statement, (*values, RARE + 1)).fetchone()
    statement, values = looking_up(request) if count <= RARE else looking_through(request)
    rows = connection.execute(statement, (*values, limit)).fetchall()
    if len(rows) == limit:
        return rows, rows[-1]
    return rows, None if count <= RARE else _last_looked_at(connection, request)


def _last_looked_at(connection: sqlite3.Connection, request: ListExecutions) -> Row:
    conditions, values = _conditions(request)
    statement = f"SELECT started_at_ms, id FROM {_walk(request)} {_where(conditions)} {_ORDER} OFFSET ?"
    return connection.execute(statement, (*values, 1, LOOKED_THROUGH - 1)).fetchone()


def _conditions(request: ListExecutions) -> tuple[list[str], Values]:
    conditions: list[str] = []
    values: list[int | str] = []
    if request.name:
        conditions.append("name = ?")
        values.append(request.name)
    if request.status:
        conditions.append("status = ?")
        values.append(status_number(request.status))
    if request.started_from_ms:
        conditions.append("started_at_ms >= ?")
        values.append(request.started_from_ms)
    if request.started_before_ms:
        conditions.append("started_at_ms < ?")
        values.append(request.started_before_ms)
    if request.cursor:
        conditions.append("(started_at_ms, id) < (?, ?)")
        values += _parsed(request.cursor)
    return conditions, tuple(values)


def _walk(request: ListExecutions) -> str:
    """The table, and the one index that has what is wanted in the right order."""
    wanted = [column for column, value in (("name", request.name), ("status", request.status)) if value]
    return f"execution INDEXED BY execution_by_{'_and_'.join(wanted) or 'start'}"


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _span(request: ListExecutions) -> Values:
    return request.execution_name, request.execution_name + _LAST_CHARACTER


def _parsed(cursor: str) -> tuple[int, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise RequestRefused("invalid", f"{cursor!r} is not a cursor from a page before")
    return int(found[1]), int(found[2])
