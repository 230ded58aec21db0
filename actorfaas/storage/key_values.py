"""The functions' data: versions, compare-and-set, counters, time to live, ordered listing by prefix.

Versions count up for each owner and are never used twice, not even for a key that was deleted and set again: who
holds an old version can never take a new value for the one it saw. A key whose time is over is absent from that moment
on; `prune` removes it later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from actorfaas.batches import unpacked
from actorfaas.errors import RequestRefused
from actorfaas.messages import AppendHistory, KvKeys, KvList, KvNames, KvWrite
from actorfaas.storage.bodies import Body
from actorfaas.storage.writer import Transaction
from actorfaas.writes import (
    ABSENT,
    ADD,
    ANY_VERSION,
    COUNTER_LIMIT,
    DELETE,
    KEY_LIMIT_BYTES,
    NAMESPACE_LIMIT_BYTES,
    PUT,
)

PAGE_LIMIT = 10_000
_LAST = "\U0010ffff"

_FIND = "SELECT id, version, body, file, at_ms FROM key_value LEFT JOIN key_value_expiry USING (id)"
_FIND_KEY = f"{_FIND} WHERE namespace = ? AND key = ?"
_NEXT_VERSION = (
    "INSERT INTO key_value_version VALUES (?, 1)"
    " ON CONFLICT (namespace) DO UPDATE SET latest = latest + 1 RETURNING latest"
)
_INSERT = "INSERT INTO key_value (namespace, key, version, body, file) VALUES (?, ?, ?, ?, ?)"
_UPDATE = "UPDATE key_value SET version = ?, body = ?, file = ? WHERE id = ?"
_EXPIRE = "INSERT INTO key_value_expiry VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET at_ms = excluded.at_ms"
_NEXT_NAME = (
    "SELECT namespace FROM key_value LEFT JOIN key_value_expiry USING (id)"
    " WHERE namespace > ? AND namespace < ? AND (at_ms IS NULL OR at_ms > ?) ORDER BY namespace LIMIT 1"
)


class StoredValue(NamedTuple):
    """A key's value, perhaps still in a file."""

    version: int
    body: Body


class Conflict(RequestRefused):
    """A change expected another version; `position`: which one of those made together."""

    def __init__(self, position: int, detail: str) -> None:
        super().__init__("precondition_failed", detail)
        self.position = position


class _Row(NamedTuple):
    """A key as it is now; `version` 0: absent, though there may be a row (`id`) of one whose time is over."""

    id: int | None
    version: int
    body: bytes
    file: str | None


def check(write: KvWrite, value_limit_bytes: int) -> None:
    """Raise RequestRefused "invalid" for a change that cannot be made."""
    if not 1 <= len(write.key.encode()) <= KEY_LIMIT_BYTES:
        raise RequestRefused("invalid", f"a key must be 1 to {KEY_LIMIT_BYTES} bytes long")
    if len(write.namespace.encode()) > NAMESPACE_LIMIT_BYTES:
        raise RequestRefused("invalid", f"the names of a map or set are too long: {write.namespace[:60]!r}...")
    if write.action not in (PUT, DELETE, ADD):
        raise RequestRefused("invalid", f"{write.action[:40]!r} is nothing that can be done with data")
    size_bytes = len(write.value)
    if size_bytes > value_limit_bytes:
        raise RequestRefused(
            "invalid", f"a value of {size_bytes} bytes exceeds max_body_bytes ({value_limit_bytes}), key {write.key!r}"
        )
    if write.ttl_ms < 0 or abs(write.amount) > COUNTER_LIMIT:
        raise RequestRefused("invalid", f"a number is out of range, key {write.key!r}")


def commit(transaction: Transaction, writes: Sequence[KvWrite], bodies: Sequence[Body], now_ms: int) -> tuple[int, ...]:
    """Make changes in order; their numbers as in `KvCommitted`. Raises Conflict, or RequestRefused "invalid"."""
    return tuple(
        _apply(transaction, position, write, body, now_ms)
        for position, (write, body) in enumerate(zip(writes, bodies, strict=True))
    )


def writes_of(request: AppendHistory, value_limit_bytes: int) -> tuple[KvWrite, ...]:
    """The changes of a task, checked. Raises RequestRefused "data_refused"."""
    try:
        writes = unpacked(request.payload, request.app)
        for write in writes:
            check(write, value_limit_bytes)
    except RequestRefused as refused:
        raise RequestRefused("data_refused", refused.detail) from refused
    return writes


def commit_with_task(transaction: Transaction, writes: Sequence[KvWrite], bodies: Sequence[Body], now_ms: int) -> None:
    """As `commit`, but what cannot be made is RequestRefused "data_refused": not the journal's fault."""
    try:
        commit(transaction, writes, bodies, now_ms)
    except Conflict:
        raise
    except RequestRefused as refused:
        raise RequestRefused("data_refused", refused.detail) from refused


def _apply(transaction: Transaction, position: int, write: KvWrite, body: Body, now_ms: int) -> int:
    row = _find(transaction, write, now_ms)
    if write.expected_version not in (ANY_VERSION, row.version):
        raise Conflict(position, _conflict(write, row.version))
    if write.action == DELETE:
        if row.id is not None:
            _remove(transaction, row.id, row.file)
        return 0
    number = 0
    if write.action == ADD:
        number = _added(write, row)
        body = Body(b"%d" % number)
    version = _put(transaction, write, row, body, now_ms)
    return number if write.action == ADD else version


def _find(transaction: Transaction, write: KvWrite, now_ms: int) -> _Row:
    found = transaction.execute(_FIND_KEY, (write.namespace, write.key)).fetchone()
    if found is None:
        return _Row(None, ABSENT, b"", None)
    id_, version, body, file, at_ms = found
    is_over = at_ms is not None and at_ms <= now_ms
    return _Row(id_, ABSENT, b"", file) if is_over else _Row(id_, version, body, file)


def _put(transaction: Transaction, write: KvWrite, row: _Row, body: Body, now_ms: int) -> int:
    owner = write.namespace.partition("/")[0]
    latest: int = transaction.execute(_NEXT_VERSION, (owner,)).fetchone()[0]
    id_ = row.id
    if id_ is None:
        id_ = transaction.execute(_INSERT, (write.namespace, write.key, latest, *body)).lastrowid
    else:
        transaction.execute(_UPDATE, (latest, *body, id_))
        transaction.execute("DELETE FROM key_value_expiry WHERE id = ?", (id_,))
    if write.ttl_ms:
        transaction.execute(_EXPIRE, (id_, now_ms + write.ttl_ms))
    if row.file:
        transaction.discarded.append(row.file)
    return latest


def _added(write: KvWrite, row: _Row) -> int:
    """What a counter comes to. Raises RequestRefused "invalid"."""
    try:
        number = int(row.body or b"0") + write.amount
    except ValueError:
        raise RequestRefused("invalid", f"{write.key!r} holds no whole number") from None
    if abs(number) > COUNTER_LIMIT:
        raise RequestRefused("invalid", f"the counter {write.key!r} would exceed {COUNTER_LIMIT}")
    return number


def _remove(transaction: Transaction, id_: int, file: str | None) -> None:
    transaction.execute("DELETE FROM key_value WHERE id = ?", (id_,))
    transaction.execute("DELETE FROM key_value_expiry WHERE id = ?", (id_,))
    if file:
        transaction.discarded.append(file)


def _conflict(write: KvWrite, version: int) -> str:
    there = f"has version {version}" if version else "does not exist"
    wanted = f"version {write.expected_version}" if write.expected_version else "no such key"
    return f"the key {write.key!r} {there}; expected was {wanted}"


def prune(transaction: Transaction, now_ms: int, count: int) -> int:
    """Remove up to `count` keys whose time is over; how many there were."""
    rows = transaction.execute(
        "SELECT id, file FROM key_value_expiry JOIN key_value USING (id) WHERE at_ms <= ? LIMIT ?", (now_ms, count)
    ).fetchall()
    for id_, file in rows:
        _remove(transaction, id_, file)
    return len(rows)


def get(connection: sqlite3.Connection, namespace: str, key: str, now_ms: int) -> StoredValue | None:
    """A key's value; None when there is none."""
    row = connection.execute(f"{_FIND_KEY} AND (at_ms IS NULL OR at_ms > ?)", (namespace, key, now_ms)).fetchone()
    return None if row is None else StoredValue(row[1], Body(row[2], row[3]))


def page(connection: sqlite3.Connection, request: KvList, now_ms: int) -> KvKeys:
    """Keys with a prefix, in code point order, after a key."""
    statement, values = listing(request, now_ms)
    return KvKeys(tuple(key for (key,) in connection.execute(statement, values)))


def listing(request: KvList, now_ms: int) -> tuple[str, tuple[str | int, ...]]:
    """The statement for a page, and its values: one range of the unique index, and for each key a look whether its
    time is over."""
    conditions = ["namespace = ?", "key >= ?"]
    values: list[str | int] = [request.namespace, request.prefix]
    if request.after >= request.prefix and request.after:
        conditions[1] = "key > ?"
        values[1] = request.after
    if end := _end_of_prefix(request.prefix):
        conditions.append("key < ?")
        values.append(end)
    conditions.append("(at_ms IS NULL OR at_ms > ?)")
    values += [now_ms, max(1, min(request.limit, PAGE_LIMIT))]
    source = "key_value LEFT JOIN key_value_expiry USING (id)"
    return f"SELECT key FROM {source} WHERE {' AND '.join(conditions)} ORDER BY key LIMIT ?", tuple(values)


def names(connection: sqlite3.Connection, request: KvNames, now_ms: int) -> KvKeys:
    """Namespaces with a prefix, in code point order: one look into the index for each, past keys whose time is over."""
    found: list[str] = []
    last = max(request.after, request.prefix)
    end = _end_of_prefix(request.prefix) or _LAST
    while len(found) < max(1, min(request.limit, PAGE_LIMIT)):
        row = connection.execute(_NEXT_NAME, (last, end, now_ms)).fetchone()
        if row is None:
            break
        (last,) = row
        found.append(last)
    return KvKeys(tuple(found))


def _end_of_prefix(prefix: str) -> str:
    """The first text after all that begin with `prefix`; "" when there is none."""
    for position in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[position]) + 1
        if 0xD800 <= following <= 0xDFFF:
            following = 0xE000  # surrogates are not characters
        if following <= 0x10FFFF:
            return prefix[:position] + chr(following)
    return ""
