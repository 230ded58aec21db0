"""Records of working sets, one for each function version. What they say is the Swapper's; here they are bytes.

They can be made again at any time, so the oldest go when there are too many.
"""

from __future__ import annotations

import sqlite3

from actorfaas.errors import RequestRefused
from actorfaas.messages import SaveWorkingSet, WorkingSetRecord
from actorfaas.storage.writer import Transaction

MOST_BYTES = 4 << 20
MOST_RECORDS = 1_000


def save(transaction: Transaction, request: SaveWorkingSet) -> None:
    """Keep a record instead of the one before. Raises RequestRefused "invalid"."""
    if not request.function_topic or not 0 < len(request.record) <= MOST_BYTES:
        raise RequestRefused("invalid", f"a record must be named, and 1 to {MOST_BYTES} bytes long")
    transaction.execute(
        "INSERT OR REPLACE INTO working_set (function_topic, record) VALUES (?, ?)",
        (request.function_topic, request.record),
    )
    transaction.execute(
        "DELETE FROM working_set WHERE id <= (SELECT id FROM working_set ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (MOST_RECORDS,),
    )


def get(connection: sqlite3.Connection, function_topic: str) -> WorkingSetRecord:
    """The record of a function version. Raises RequestRefused "not_found"."""
    row = connection.execute("SELECT record FROM working_set WHERE function_topic = ?", (function_topic,)).fetchone()
    if row is None:
        raise RequestRefused("not_found", f"no working set of {function_topic!r} was recorded")
    return WorkingSetRecord(function_topic, row[0])
