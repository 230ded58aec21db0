"""Figures for metrics: Frontend → LocalQueue, ExecutionManager, Swapper. Sums: a large node is asked cheaply, too."""

from __future__ import annotations

from actorfaas.messages.assignment import TopicState
from actorfaas.messages.base import Message, message, struct


@struct
class CallFigures:
    """Calls of one function whose instance was had in one way, since the start.

    `buckets`: how many took so long, as in `core.tally`. `billed_mb_ms`: billed milliseconds times declared memory.
    """

    function: str
    start_kind: str
    calls: int
    failed: int
    sum_ns: int
    buckets: tuple[int, ...]
    billed_ms: int
    billed_mb_ms: int


@struct
class StateCount:
    """How many workers are in one of `core.lifecycle`'s states."""

    state: str
    workers: int


@message(170)
class MeasurePool(Message):
    """Frontend → ExecutionManager (ask → PoolFigures)."""


@message(171)
class PoolFigures(Message):
    """Reply to `MeasurePool`. `tasks`: those of executions. Of the `reservations` made ahead since the start,
    `used` and `wrong_guesses` are over."""

    states: tuple[StateCount, ...]
    running_executions: int
    reservations: int
    wrong_guesses: int
    used: int
    tasks: tuple[CallFigures, ...]


@message(172)
class MeasureTopics(Message):
    """Frontend → LocalQueue (ask → TopicFigures)."""


@message(173)
class TopicFigures(Message):
    """Reply to `MeasureTopics`."""

    topics: tuple[TopicState, ...]


@struct
class FunctionMemory:
    """What a function version's control group is charged with: its template and its workers. -1: not known."""

    function_topic: str
    usage_bytes: int
    swap_bytes: int


@message(174)
class MeasureMemory(Message):
    """Frontend → Swapper (ask → MemoryFigures)."""


@message(175)
class MemoryFigures(Message):
    """Reply to `MeasureMemory`: what all functions use together (0: not measured), may use (0: no limit), what was
    moved since the start, and each function's part, where there are control groups."""

    usage_bytes: int
    budget_bytes: int
    swap_total_bytes: int
    swap_used_bytes: int
    page_outs: int
    page_ins: int
    paged_out_bytes: int
    paged_in_bytes: int
    functions: tuple[FunctionMemory, ...]
