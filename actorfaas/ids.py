"""Identifiers and topic names. Nothing here keeps state or imports anything heavy.

Topic names follow the platform this one descends from: `new_fw_reporting`, `request_next_fw` and
`{function_topic}_{pid}`. A *function topic* is `NAME@VERSION`, so that two versions of a function never share
workers. Requests whose strategy asks for a fresh or a paged-out instance wait on a topic of their own,
`{function_topic}!{strategy}`.
"""

from __future__ import annotations

import os
import time

REQUEST_NEXT_FW = "request_next_fw"

STATUSES = ("running", "succeeded", "failed", "timed_out", "cancelled")
"""What an execution may come to. Stored by the place in this order: another one goes to the end."""

STRATEGY_MEANINGS = {
    "auto": "the cheapest way to an instance, as measured",
    "resident": "a live worker that stays in memory",
    "swap": "a paged-out worker, read in fault by fault",
    "reap": "a paged-out worker, read in before the call",
    "faasnap": "a paged-out worker, read in during the call",
    "fork": "a fresh fork of the function's template",
    "cold": "a new interpreter that imports everything",
}
"""Every strategy, and what serves a call under it, for people."""

STRATEGIES = frozenset(STRATEGY_MEANINGS)

FRESH_STRATEGIES = frozenset({"fork", "cold"})
"""Strategies in which every request gets an instance of its own."""

PAGED_STRATEGIES = frozenset({"swap", "reap", "faasnap"})
"""Strategies in which a worker is paged out after each request it served."""

ONE_REQUEST_STRATEGIES = FRESH_STRATEGIES | PAGED_STRATEGIES
"""Strategies whose requests wait on a topic of their own: a member of it serves one request and leaves it."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def new_id(prefix: str) -> str:
    """A unique identifier that sorts by creation time: `PREFIX_` and 26 characters (48 bits of ms, 80 random)."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    upper, middle, lower = value >> 80, value >> 40 & 0xFF_FFFF_FFFF, value & 0xFF_FFFF_FFFF
    return (
        f"{prefix}_{_PAIRS[upper >> 40]}{_PAIRS[upper >> 30 & 1023]}{_PAIRS[upper >> 20 & 1023]}"
        f"{_PAIRS[upper >> 10 & 1023]}{_PAIRS[upper & 1023]}{_PAIRS[middle >> 30]}{_PAIRS[middle >> 20 & 1023]}"
        f"{_PAIRS[middle >> 10 & 1023]}{_PAIRS[middle & 1023]}{_PAIRS[lower >> 30]}{_PAIRS[lower >> 20 & 1023]}"
        f"{_PAIRS[lower >> 10 & 1023]}{_PAIRS[lower & 1023]}"
    )


def function_topic(name: str, version: int) -> str:
    """The topic that the pool of one function version serves: `resize@3`."""
    return f"{name}@{version}"


def request_topic(function_topic: str, strategy: str) -> str:
    """The topic a request is published to: the pool's, or the one whose members serve one request each."""
    return f"{function_topic}!{strategy}" if strategy in ONE_REQUEST_STRATEGIES else function_topic


def worker_topic(function_topic: str, pid: int) -> str:
    """One worker's own topic: `resize@3_4711`."""
    return f"{function_topic}_{pid}"


def worker_function(worker_topic: str) -> str:
    """The name of the function that a worker's topic is of; "" of none."""
    return worker_topic.partition("@")[0]
