"""Names that callers give to executions: Frontend → DataLayer."""

from __future__ import annotations

from actorfaas.messages.base import Message, message


@message(405)
class ClaimExecutionName(Message):
    """Frontend → DataLayer (ask → ExecutionNameClaim, durable): who comes first with a name starts the execution.

    `fingerprint` identifies the request.
    """

    workflow: str
    name: str
    fingerprint: str
    execution_id: str


@message(406)
class ExecutionNameClaim(Message):
    """Reply to `ClaimExecutionName`. `first`: the name is the caller's. Else `execution_id` has it; `is_taken`: it has
    ended, or is for another request."""

    first: bool
    is_taken: bool
    execution_id: str
