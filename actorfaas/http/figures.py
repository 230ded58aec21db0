"""Figures of the node as JSON documents, for those who watch it. Pure; like `http.render`, whose limits do not matter
here: these are sums, and small."""

from __future__ import annotations

from collections.abc import Iterable

from actorfaas.core.lifecycle import TRANSITIONS
from actorfaas.core.tally import BUCKETS_NS
from actorfaas.http.render import Document
from actorfaas.messages import CallFigures, FunctionMemory, MemoryFigures, PoolFigures, TopicState

BOUNDS_MS = [bound / 1e6 for bound in BUCKETS_NS]


def calls(figures: Iterable[CallFigures]) -> dict[str, Document]:
    """Calls, or tasks of executions, since the start; by function and start kind."""
    return {
        f"{one.function} {one.start_kind}": {
            "name": one.function,
            "start_kind": one.start_kind,
            "calls": one.calls,
            "failed": one.failed,
            "sum_ms": round(one.sum_ns / 1e6, 3),
            "buckets": one.buckets,
        }
        for one in figures
    }


def topics(states: Iterable[TopicState]) -> dict[str, Document]:
    """Queues and the workers lent to them."""
    return {
        one.topic: {
            "waiting": one.waiting,
            "queue_limit": one.queue_limit,
            "members": one.members,
            "busy": one.busy,
        }
        for one in states
    }


def functions(parts: Iterable[FunctionMemory]) -> dict[str, Document]:
    """Memory of function versions, where there are control groups; null: not known."""
    return {
        one.function_topic: {
            "usage_bytes": one.usage_bytes if one.usage_bytes >= 0 else None,
            "swap_bytes": one.swap_bytes if one.swap_bytes >= 0 else None,
        }
        for one in parts
    }


def memory(figures: MemoryFigures) -> Document:
    """All functions together, and what was moved since the start."""
    return {
        "usage_bytes": figures.usage_bytes,
        "budget_bytes": figures.budget_bytes,
        "swap_used_bytes": figures.swap_used_bytes,
        "swap_total_bytes": figures.swap_total_bytes,
        "page_outs": figures.page_outs,
        "page_ins": figures.page_ins,
        "paged_out_bytes": figures.paged_out_bytes,
        "paged_in_bytes": figures.paged_in_bytes,
    }


def workers(pool: PoolFigures) -> dict[str, int]:
    """How many workers are in each state."""
    return dict.fromkeys(TRANSITIONS, 0) | {one.state: one.workers for one in pool.states}
