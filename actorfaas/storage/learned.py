"""What was learned about versions of functions and workflows, a record of each kind. What they say is the Swapper's and
the ExecutionManager's; here they are bytes.

It can be learned again at any time, so the oldest records go when there are too many.
"""

from __future__ import annotations

import sqlite3

from actorfaas.errors import RequestRefused
from actorfaas.messages import GetLearned, LearnedRecord, SaveLearned
from actorfaas.storage.writer import Transaction

MOST_BYTES = 4 << 20
MOST_RECORDS = 1_000
"""Of each kind."""


def save(transaction: Transaction, request: SaveLearned) -> None:
    """Keep a record instead of the one before; an empty one is not kept. Raises RequestRefused "invalid"."""
    topic, kind, record = request.topic, request.kind, request.record
    if not topic or not kind or len(record) > MOST_BYTES:
        raise RequestRefused("invalid", f"a record must be named, and at most {MOST_BYTES} bytes long")
    transaction.execute("DELETE FROM learned WHERE topic = ? AND kind = ?", (topic, kind))
    if not record:
        return
    transaction.execute("INSERT INTO learned (topic, kind, record) VALUES (?, ?, ?)", (topic, kind, record))
    oldest = "SELECT id FROM learned WHERE kind = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
    transaction.execute(f"DELETE FROM learned WHERE kind = ? AND id <= ({oldest})", (kind, kind, MOST_RECORDS))


def get(connection: sqlite3.Connection, asked: GetLearned) -> LearnedRecord:
    """The record of one kind. Raises RequestRefused "not_found"."""
    found = connection.execute("SELECT record FROM learned WHERE topic = ? AND kind = ?", (asked.topic, asked.kind))
    row = found.fetchone()
    if row is None:
        raise RequestRefused("not_found", f"of kind {asked.kind!r}, nothing is kept about {asked.topic!r}")
    return LearnedRecord(row[0])
