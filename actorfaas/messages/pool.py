"""The pool as seen from outside: Frontend → ExecutionManager."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@struct
class WorkerState:
    """One worker of the pool. `state` is one of `core.lifecycle`'s; `held_by`: the topic or execution using it.

    Its memory as in `WorkerMemory`; -1: not known.
    """

    worker_topic: str
    function: str
    version: int
    pid: int
    state: str
    start_kind: str
    held_by: str
    age_ns: int
    tasks: int
    usage_bytes: int = -1
    swap_bytes: int = -1
    working_set_bytes: int = -1
    last_page_in_ns: int = -1


@message(160)
class DescribePool(Message):
    """Frontend → ExecutionManager (ask → PoolDescription)."""


@message(161)
class PoolDescription(Message):
    """Reply to `DescribePool`. `reservations` and `wrong_guesses` count look-ahead since the start.

    `paging_mode` and `paging_sentence` as in `PagingMode` ("": not known yet); memory and swap as in `MemoryMeasured`;
    `memory_usage_bytes` 0: not measured; `memory_budget_bytes` 0: no limit.
    """

    workers: tuple[WorkerState, ...]
    running_executions: int
    reservations: int
    wrong_guesses: int
    paging_mode: str = ""
    paging_sentence: str = ""
    memory_usage_bytes: int = 0
    memory_budget_bytes: int = 0
    swap_total_bytes: int = 0
    swap_used_bytes: int = 0
