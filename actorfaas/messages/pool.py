"""The pool as seen from outside: Frontend → ExecutionManager."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@struct
class WorkerState:
    """One worker of the pool. `state` is one of `core.lifecycle`'s; `held_by`: the topic or execution using it."""

    worker_topic: str
    function: str
    version: int
    pid: int
    state: str
    start_kind: str
    held_by: str
    age_ns: int
    tasks: int


@message(160)
class DescribePool(Message):
    """Frontend → ExecutionManager (ask → PoolDescription)."""


@message(161)
class PoolDescription(Message):
    """Reply to `DescribePool`. `reservations` and `wrong_guesses` count look-ahead since the start."""

    workers: tuple[WorkerState, ...]
    running_executions: int
    reservations: int
    wrong_guesses: int
