"""Idempotency keys: who came first with a key does its work; everybody else is shown that execution.

A key lives for its time, counted from the claim, and in any case until its execution has ended. An execution is kept
at least as long as its key (`executions.prune`), so that a living key never names work that is forgotten.
"""

from __future__ import annotations

from actorfaas.errors import RequestRefused
from actorfaas.messages import ClaimIdempotencyKey, IdempotencyClaim
from actorfaas.storage.writer import Transaction

_CLAIM = (
    "INSERT INTO idempotency_key (key, fingerprint, execution_id, expires_at_ms) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, execution_id = excluded.execution_id,"
    " expires_at_ms = excluded.expires_at_ms"
)

_LIVES = (
    "(expires_at_ms > ? OR EXISTS (SELECT 1 FROM execution e WHERE e.execution_id = idempotency_key.execution_id"
    " AND e.status = 0))"
)


def claim(transaction: Transaction, request: ClaimIdempotencyKey, now_ms: int, lasts_ms: int) -> IdempotencyClaim:
    """Take the key, or say who has it. Raises RequestRefused "conflict" when another request has it."""
    found = transaction.execute(
        f"SELECT fingerprint, execution_id FROM idempotency_key WHERE key = ? AND {_LIVES}", (request.key, now_ms)
    ).fetchone()
    if found is None:
        transaction.execute(_CLAIM, (request.key, request.fingerprint, request.execution_id, now_ms + lasts_ms))
        return IdempotencyClaim(True, request.execution_id)
    fingerprint, execution_id = found
    if fingerprint != request.fingerprint:
        raise RequestRefused("conflict", f"the idempotency key {request.key!r} was used for another request")
    return IdempotencyClaim(False, execution_id)


def prune(transaction: Transaction, now_ms: int, count: int) -> int:
    """Delete up to `count` keys whose life is over; how many."""
    old = transaction.execute(
        f"SELECT key FROM idempotency_key WHERE expires_at_ms <= ? AND NOT {_LIVES} ORDER BY expires_at_ms LIMIT ?",
        (now_ms, now_ms, count),
    ).fetchall()
    transaction.executemany("DELETE FROM idempotency_key WHERE key = ?", old)
    return len(old)
