"""Names that callers give to executions: one function or workflow has at most one execution of each name.

A name is claimed before its execution is created, and kept as long as the execution is. A claim whose execution never
came about is void soon after.
"""

from __future__ import annotations

from actorfaas.messages import ClaimExecutionName, ExecutionNameClaim
from actorfaas.storage.statuses import RUNNING
from actorfaas.storage.writer import Transaction

UNSTARTED_MS = 60_000
"""How long a claim holds without an execution: longer than it takes to start one."""

_FIND = (
    "SELECT n.execution_id, n.fingerprint, n.claimed_at_ms, e.status FROM execution_name n"
    " LEFT JOIN execution e ON e.execution_id = n.execution_id WHERE n.workflow = ? AND n.name = ?"
)
_CLAIM = "INSERT OR REPLACE INTO execution_name VALUES (?, ?, ?, ?, ?, 0)"
_GIVEN = "UPDATE execution_name SET is_started = 1 WHERE execution_id = ? RETURNING name"
_FORGET = "DELETE FROM execution_name WHERE execution_id = (SELECT execution_id FROM execution WHERE id = ?)"
_VOID = (
    "DELETE FROM execution_name WHERE execution_id IN (SELECT execution_id FROM execution_name"
    " WHERE is_started = 0 AND claimed_at_ms < ? LIMIT ?)"
)


def claim(transaction: Transaction, request: ClaimExecutionName, now_ms: int) -> ExecutionNameClaim:
    """Take the name, or say which execution has it, and whether the request is for that one."""
    found = transaction.execute(_FIND, (request.workflow, request.name)).fetchone()
    if found is not None:
        execution_id, fingerprint, claimed_at_ms, status = found
        is_same = fingerprint == request.fingerprint
        if status is not None:
            return ExecutionNameClaim(False, not (is_same and status == RUNNING), execution_id)
        if is_same:
            return ExecutionNameClaim(False, False, execution_id)
        if now_ms < claimed_at_ms + UNSTARTED_MS:
            return ExecutionNameClaim(False, True, execution_id)
    values = (request.workflow, request.name, request.execution_id, request.fingerprint, now_ms)
    transaction.execute(_CLAIM, values)
    return ExecutionNameClaim(True, False, request.execution_id)


def given(transaction: Transaction, execution_id: str) -> str:
    """The name that was claimed for an execution which begins now; "" if none was."""
    found = transaction.execute(_GIVEN, (execution_id,)).fetchone()
    return "" if found is None else str(found[0])


def forget(transaction: Transaction, id_: int) -> None:
    """An execution is about to be deleted: its name can be given again."""
    transaction.execute(_FORGET, (id_,))


def prune(transaction: Transaction, now_ms: int, count: int) -> None:
    """Delete up to `count` claims whose execution never came about."""
    transaction.execute(_VOID, (now_ms - UNSTARTED_MS, count))
