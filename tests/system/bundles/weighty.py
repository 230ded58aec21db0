"""Workflows whose data is as large as is asked for, and one that waits for an answer before it grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actorfaas import function, workflow

Json = Any  # a decoded JSON document
Machine = dict[str, Json]


@function
def text(event: Json) -> str:
    """So many bytes of JSON."""
    return "x" * (int(event["size"]) - 2)


@function
def mark(event: Json) -> str:
    """Leave a mark where whoever began this finds it; the event is too large to say where."""
    Path(__file__).with_name("marked").touch()
    return "marked"


@function
def hand_out(event: Json) -> None:
    """Leave the token for somebody outside."""
    folder = Path(event["folder"])
    (folder / "token.new").write_text(event["token"])
    (folder / "token.new").rename(folder / "token")


def machine(**states: Json) -> Machine:
    return {"StartAt": next(iter(states)), "States": states}


def task(resource: str, **fields: Json) -> Json:
    return {"Type": "Task", "Resource": resource, **({} if "Next" in fields else {"End": True}), **fields}


def caught(error: str) -> Machine:
    catch = [{"ErrorEquals": [error], "Next": "caught"}]
    return machine(text=task("text", Catch=catch), caught={"Type": "Pass", "Result": "caught", "End": True})


by_name = workflow("by_name", caught("States.DataLimitExceeded"))
by_all = workflow("by_all", caught("States.ALL"))
direct = workflow("direct", machine(text=task("text", Next="mark"), mark=task("mark")), durability="express")


@workflow
def growing() -> Machine:
    """What is answered is doubled."""
    asking = {"FunctionName": "hand_out", "Payload": {"folder.$": "$.folder", "token.$": "$$.Task.Token"}}
    return machine(
        ask=task("arn:aws:states:::lambda:invoke.waitForTaskToken", Parameters=asking, Next="grow"),
        grow={"Type": "Pass", "Parameters": {"one.$": "$", "two.$": "$"}, "End": True},
    )
