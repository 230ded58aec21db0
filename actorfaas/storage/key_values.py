"""The functions' key-value data: versions, compare-and-set, ordered listing by prefix.

Versions count up within a namespace and are never used twice, not even for a key that was deleted and set again: who
holds an old version can never take a new value for the one it saw.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from actorfaas.errors import RequestRefused
from actorfaas.messages import KvDelete, KvKeys, KvList, KvPut
from actorfaas.storage.bodies import Body
from actorfaas.storage.writer import Transaction

KEY_LIMIT_BYTES = 1024
PAGE_LIMIT = 10_000
ANY_VERSION = -1
ABSENT = 0

_FIND = "SELECT id, version, file FROM key_value WHERE namespace = ? AND key = ?"
_NEXT_VERSION = (
    "INSERT INTO key_value_version VALUES (?, 1)"
    " ON CONFLICT (namespace) DO UPDATE SET latest = latest + 1 RETURNING latest"
)
_INSERT = "INSERT INTO key_value (namespace, key, version, body, file) VALUES (?, ?, ?, ?, ?)"
_UPDATE = "UPDATE key_value SET version = ?, body = ?, file = ? WHERE id = ?"


class StoredValue(NamedTuple):
    """A key's value, perhaps still in a file."""

    version: int
    body: Body


def check_key(key: str) -> None:
    """Raise RequestRefused "invalid" for a key that cannot be stored."""
    if not 1 <= len(key.encode()) <= KEY_LIMIT_BYTES:
        raise RequestRefused("invalid", f"a key must be 1 to {KEY_LIMIT_BYTES} bytes long")


def put(transaction: Transaction, request: KvPut, body: Body) -> int:
    """Set a key; its new version. Raises RequestRefused "precondition_failed"."""
    found = transaction.execute(_FIND, (request.namespace, request.key)).fetchone()
    id_, version, file = found or (None, ABSENT, None)
    _require(request.key, request.expected_version, version)
    latest: int = transaction.execute(_NEXT_VERSION, (request.namespace,)).fetchone()[0]
    if id_ is None:
        transaction.execute(_INSERT, (request.namespace, request.key, latest, *body))
    else:
        transaction.execute(_UPDATE, (latest, *body, id_))
    if file:
        transaction.discarded.append(file)
    return latest


def delete(transaction: Transaction, request: KvDelete) -> None:
    """Remove a key; no error when it is absent, unless a version was expected."""
    found = transaction.execute(_FIND, (request.namespace, request.key)).fetchone()
    id_, version, file = found or (None, ABSENT, None)
    _require(request.key, request.expected_version, version)
    if id_ is not None:
        transaction.execute("DELETE FROM key_value WHERE id = ?", (id_,))
    if file:
        transaction.discarded.append(file)


def get(connection: sqlite3.Connection, namespace: str, key: str) -> StoredValue | None:
    """A key's value; None when there is none."""
    row = connection.execute(
        "SELECT version, body, file FROM key_value WHERE namespace = ? AND key = ?", (namespace, key)
    ).fetchone()
    return None if row is None else StoredValue(row[0], Body(row[1], row[2]))


def page(connection: sqlite3.Connection, request: KvList) -> KvKeys:
    """Keys with a prefix, in code point order, after a key."""
    statement, values = listing(request)
    return KvKeys(tuple(key for (key,) in connection.execute(statement, values)))


def listing(request: KvList) -> tuple[str, tuple[str | int, ...]]:
    """The statement for a page, and its values: one range of the unique index."""
    conditions = ["namespace = ?", "key >= ?"]
    values: list[str | int] = [request.namespace, request.prefix]
    if request.after >= request.prefix and request.after:
        conditions[1] = "key > ?"
        values[1] = request.after
    if end := _end_of_prefix(request.prefix):
        conditions.append("key < ?")
        values.append(end)
    values.append(max(1, min(request.limit, PAGE_LIMIT)))
    return f"SELECT key FROM key_value WHERE {' AND '.join(conditions)} ORDER BY key LIMIT ?", tuple(values)


def _require(key: str, expected: int, version: int) -> None:
    if expected not in (ANY_VERSION, version):
        there = f"has version {version}" if version else "does not exist"
        wanted = f"version {expected}" if expected else "no such key"
        raise RequestRefused("precondition_failed", f"the key {key!r} {there}; expected was {wanted}")


def _end_of_prefix(prefix: str) -> str:
    """The first text after all that begin with `prefix`; "" when there is none."""
    for position in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[position]) + 1
        if 0xD800 <= following <= 0xDFFF:
            following = 0xE000  # surrogates are not characters
        if following <= 0x10FFFF:
            return prefix[:position] + chr(following)
    return ""
