"""Functions whose instances hold a few megabytes of their own and know who they are; for tests of paging."""

from __future__ import annotations

import mmap
import os
import time
from typing import Any

from actorfaas import function, workflow

PAGE = 4096
HEAP_BYTES = 8 << 20
LIMIT_MB = 32
BLOCK = 1 << 20

_state: dict[str, Any] = {}


def _fill() -> bytearray:
    """Every instance's own memory, made in its first call: each page begins with its number and the process's id."""
    heap = bytearray(HEAP_BYTES)
    for page in range(HEAP_BYTES // PAGE):
        heap[page * PAGE : page * PAGE + 12] = page.to_bytes(4, "little") + os.getpid().to_bytes(8, "little")
    return heap


def _whoami(event: Any) -> dict[str, int]:
    """The instance's process, how often it was called, and how many of its pages do not hold what they should."""
    heap = _state.get("heap")
    if heap is None:
        heap = _state["heap"] = _fill()
    _state["calls"] = _state.get("calls", 0) + 1
    wrong = sum(
        heap[page * PAGE : page * PAGE + 12] != page.to_bytes(4, "little") + os.getpid().to_bytes(8, "little")
        for page in range(0, HEAP_BYTES // PAGE, 8)
    )
    return {"pid": os.getpid(), "calls": _state["calls"], "wrong": wrong}


@function(concurrency=4, warm=1)
def whoami(event: Any) -> dict[str, int]:
    return _whoami(event)


@function(concurrency=4, warm=2, strategy="reap")
def out_between_calls(event: Any) -> dict[str, int]:
    return _whoami(event)


@function(concurrency=1, warm=1, strategy="resident")
def stays(event: Any) -> dict[str, int]:
    return _whoami(event)


@function(concurrency=2, warm=1)
def before(event: float) -> float:
    time.sleep(event)
    return event


@function(concurrency=2, warm=1)
def after(event: Any) -> dict[str, int]:
    return _whoami(event)


@function(concurrency=1, warm=1)
def usual(event: Any) -> dict[str, int]:
    return _whoami(event)


@function(concurrency=1, warm=1)
def unusual(event: Any) -> dict[str, int]:
    return _whoami(event)


@function(concurrency=4, warm=4)
def item(event: Any) -> dict[str, int]:
    return _whoami(event)


def _task(resource: str, following: str = "") -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, **({"Next": following} if following else {"End": True})}


def _alone(resource: str) -> dict[str, Any]:
    return {"StartAt": "one", "States": {"one": _task(resource)}}


@function(concurrency=2, warm=2, memory_mb=LIMIT_MB)
def limited(event: int) -> dict[str, int]:
    """Fills `event` bytes of shared memory: no limit of a process counts that, the instance's group does."""
    block = b"\1" * BLOCK
    with mmap.mmap(-1, max(event, PAGE)) as memory:
        for start in range(0, event, BLOCK):
            memory[start : start + BLOCK] = block
    return _whoami(event)


two_states = workflow("two_states", before >> after)
chosen = workflow(
    "chosen",
    asl={
        "StartAt": "before",
        "States": {
            "before": _task("before", "choose"),
            "choose": {
                "Type": "Choice",
                "Choices": [{"Variable": "$", "NumericLessThan": 0.4, "Next": "usual"}],
                "Default": "unusual",
            },
            "usual": _task("usual"),
            "unusual": _task("unusual"),
        },
    },
)
parted = workflow(
    "parted",
    asl={
        "StartAt": "before",
        "States": {
            "before": _task("before", "part"),
            "part": {"Type": "Parallel", "Branches": [_alone("usual"), _alone("unusual")], "End": True},
        },
    },
)
mapped = workflow(
    "mapped",
    asl={
        "StartAt": "before",
        "States": {
            "before": _task("before", "list"),
            "list": {"Type": "Pass", "Result": [1, 2, 3], "Next": "each"},
            "each": {"Type": "Map", "ItemProcessor": _alone("item"), "End": True},
        },
    },
)
