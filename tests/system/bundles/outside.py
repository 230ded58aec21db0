"""Workflows whose tasks somebody outside answers: tokens, an activity, executions that executions start, services."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from actorfaas import Context, function, workflow

Json = Any  # a decoded JSON document
Machine = dict[str, Json]

INVOKE = "arn:aws:states:::lambda:invoke"
START = "arn:aws:states:::states:startExecution"


@function
def ask(event: Json) -> str:
    """Leave the token where somebody outside finds it, once for each call."""
    folder = Path(event["folder"])
    (folder / f"call.{time.monotonic_ns()}").touch()
    new = folder / "token.new"
    new.write_text(event["token"])
    new.rename(folder / "token")
    return "nobody gets this"


@function
def double(number: int) -> int:
    return 2 * number


@function
def count(event: Json) -> int:
    """Leave a mark for each run, and go on when the gate is open."""
    folder = Path(event["folder"])
    (folder / f"run.{os.getpid()}.{time.monotonic_ns()}").touch()
    while not (folder / "gate").exists():
        time.sleep(0.01)
    return int(event["number"])


@function
def note(event: Json) -> str:
    Path(event["folder"], "noted").touch()
    return "noted"


@function
def answer(event: Json, ctx: Context) -> str:
    """A function answers for somebody else."""
    ctx.tasks.heartbeat(event["token"])
    ctx.tasks.succeed(event["token"], event["output"])
    return "answered"


@function
def dynamodb_getItem(event: Json) -> Json:  # noqa: N802  # in place of dynamodb:getItem
    return {"Item": {"key": event["Key"], "found": True}}


def task(resource: str, parameters: Json = None, **fields: Json) -> Json:
    given = {} if parameters is None else {"Parameters": parameters}
    return {"Type": "Task", "Resource": resource, **given, **({} if "Next" in fields else {"End": True}), **fields}


def machine(**states: Json) -> Machine:
    return {"StartAt": next(iter(states)), "States": states}


ASKING = {"FunctionName": "ask", "Payload": {"folder.$": "$.folder", "token.$": "$$.Task.Token"}}


@workflow
def approval() -> Machine:
    """Somebody outside says a number; it is doubled."""
    return machine(ask=task(f"{INVOKE}.waitForTaskToken", ASKING, Next="double"), double=task("double"))


@workflow
def impatient() -> Machine:
    return machine(ask=task(f"{INVOKE}.waitForTaskToken", ASKING, HeartbeatSeconds=2))


@workflow
def knitting() -> Machine:
    return machine(knit=task("arn:aws:states:::activity:knit", Next="double"), double=task("double"))


@workflow
def counting() -> Machine:
    return machine(count=task("count"))


@workflow
def failing() -> Machine:
    return machine(f={"Type": "Fail", "Error": "Bad", "Cause": "it is"})


def nested(name: str, pattern: str) -> Machine:
    return machine(child=task(f"{START}{pattern}", {"StateMachineArn": name, "Input.$": "$"}))


sync = workflow("sync", nested("counting", ".sync"))
sync2 = workflow("sync2", nested("counting", ".sync:2"))
fails = workflow("fails", nested("failing", ".sync:2"))


@workflow
def later() -> Machine:
    return machine(
        note=task(INVOKE, {"FunctionName": "note", "InvocationType": "Event", "LogType": "Tail", "Payload.$": "$"})
    )


@workflow
def item() -> Machine:
    get = task("arn:aws:states:::dynamodb:getItem", {"Key.$": "$"}, Credentials={"RoleArn": "arn:aws:iam::1:role/r"})
    return machine(get=get)
