"""Workflows with branches: Parallel, Map, Choice and Catch over small functions."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from actorfaas import Context, function, workflow

Json = Any  # a decoded JSON document
Machine = dict[str, Json]


@function(timeout_s=20, concurrency=8)
def double(number: int) -> int:
    return 2 * number


@function(timeout_s=20, concurrency=8)
def negate(number: int) -> int:
    return -number


@function(timeout_s=20)
def count_to(limit: int) -> list[int]:
    return list(range(limit))


@function(timeout_s=20, concurrency=8)
def refuse(number: int) -> int:
    raise LookupError(f"{number} is refused")


@function(timeout_s=60, concurrency=8)
def linger(event: Json) -> Json:
    """Leave a mark, then go on for a minute."""
    Path(event["folder"], f"lingering.{os.getpid()}").touch()
    time.sleep(60)
    return event


@function(timeout_s=60, concurrency=4)
def marked(event: Json, ctx: Context) -> int:
    """Leave a mark for each run; every tenth waits for the gate."""
    number = int(event["number"])
    Path(event["folder"], f"{number}.{ctx.attempt}.{time.monotonic_ns()}").touch()
    while number % 10 == 9 and not Path(event["folder"], "gate").exists():
        time.sleep(0.01)
    return number


@function(timeout_s=30)
def beating(beats: int, ctx: Context) -> int:
    """Say so many times that this goes on, then be silent for longer than the state allows."""
    for _ in range(beats):
        time.sleep(0.5)
        ctx.heartbeat()
    if not beats:
        time.sleep(20)
    return beats


def task(resource: str, **fields: Json) -> Json:
    return {"Type": "Task", "Resource": resource, **({} if "Next" in fields else {"End": True}), **fields}


def machine(**states: Json) -> Machine:
    return {"StartAt": next(iter(states)), "States": states}


def each(processor: Machine, at_once: int, **fields: Json) -> Json:
    end = {} if "Next" in fields else {"End": True}
    return {"Type": "Map", "MaxConcurrency": at_once, "ItemProcessor": processor, **end, **fields}


CAUGHT = [{"ErrorEquals": ["LookupError"], "ResultPath": "$.error", "Next": "mended"}]

split = workflow(
    "split",
    asl=machine(
        first=task("double", Next="split"),
        split={
            "Type": "Parallel",
            "Branches": [machine(d=task("double", Next="n"), n=task("negate")), machine(n2=task("negate"))],
            "End": True,
        },
    ),
)
many = workflow(
    "many",
    asl=machine(
        count=task("count_to", Next="all"), all=each(machine(d=task("double", Next="n"), n=task("negate")), 20)
    ),
)
loop = workflow(
    "loop",
    asl=machine(
        d=task("double", Next="enough"),
        enough={
            "Type": "Choice",
            "Choices": [{"Variable": "$", "NumericLessThan": 100, "Next": "d"}],
            "Default": "n",
        },
        n=task("negate"),
    ),
)
caught = workflow(
    "caught",
    asl=machine(
        split={
            "Type": "Parallel",
            "Branches": [machine(l=task("linger")), machine(r=task("refuse", InputPath="$.number"))],
            "Catch": CAUGHT,
            "End": True,
        },
        mended={"Type": "Pass", "OutputPath": "$.error.Error", "End": True},
    ),
)
survivor = workflow("survivor", asl=machine(all=each(machine(m=task("marked")), 4)))
lasting = workflow("lasting", asl=machine(all=each(machine(l=task("linger")), 3)))
heard = workflow("heard", asl=machine(b=task("beating", HeartbeatSeconds=1)))
