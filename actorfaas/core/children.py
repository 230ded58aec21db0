"""Executions that executions start: what they are called, how deep they may be, and what their end is to the parent.

A child's id follows from the attempt that starts it, so that it is the same in a replay and starts once. The id of one
that its parent waits for also says how deep it is. Pure; starting, watching and stopping them is left to the
ExecutionManager. (https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html)
"""

from __future__ import annotations

import hashlib
import re

import orjson

from actorfaas.messages import ExecutionState
from actorfaas.states.resources import Pattern

MAX_DEPTH = 50
"""How deep executions may wait for each other. One that is started and not waited for is at depth 0 again."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_WAITED_FOR = re.compile(r"exe_[0-9a-z]{26}-(\d+)")

_STATUSES = {"succeeded": "SUCCEEDED", "failed": "FAILED", "timed_out": "TIMED_OUT", "cancelled": "ABORTED"}


def child_id(token: str, depth: int) -> str:
    """The id of the execution that an attempt starts. `depth`: of one that is waited for; 0: of another."""
    value = int.from_bytes(hashlib.blake2b(token.encode(), digest_size=17).digest(), "big")
    name = "".join(_ALPHABET[value >> 5 * position & 31] for position in range(26))
    return f"exe_{name}-{depth}" if depth else f"exe_{name}"


def depth_of(execution_id: str) -> int:
    """How many executions wait for this one, directly or not."""
    match = _WAITED_FOR.fullmatch(execution_id)
    return int(match[1]) if match else 0


def started(execution_id: str, at_ms: int) -> bytes:
    """What StartExecution answers."""
    return orjson.dumps({"ExecutionArn": execution_id, "StartDate": at_ms})


def ending(child: ExecutionState, input_: bytes, pattern: Pattern) -> tuple[bool, bytes]:
    """What DescribeExecution says of a child that has ended: whether it succeeded, and the whole as JSON. Its output is
    text with `.sync`, and JSON as it is with `.sync:2`."""
    succeeded = child.status == "succeeded"
    as_text = pattern != "sync:2"

    def shown(payload: bytes) -> object:
        return payload.decode(errors="replace") if as_text else orjson.Fragment(payload or b"null")

    described: dict[str, object] = {
        "ExecutionArn": child.execution_id,
        "Input": shown(input_),
        "InputDetails": {"Included": True},
        "Name": child.execution_name or child.execution_id,
        "StartDate": child.started_at_ms,
        "StateMachineArn": f"{child.app}:{child.name}:{child.version}",
        "Status": _STATUSES.get(child.status, child.status.upper()),
        "StopDate": child.ended_at_ms,
    }
    if succeeded:
        described |= {"Output": shown(child.payload), "OutputDetails": {"Included": True}}
    elif child.error_type or child.error_message:
        described |= {"Error": child.error_type, "Cause": child.error_message}
    return succeeded, orjson.dumps(described)
