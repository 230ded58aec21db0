"""Functions that call others, through the client and over plain HTTP; a workflow that does."""

import json
import os
import urllib.request

from actorfaas import Context, function, workflow
from actorfaas.client import Client


@function
def leaf(value: int) -> int:
    print("leaf at work")
    return value


@function
def by_client(value: int) -> object:
    with Client() as node:
        return node.invoke("leaf", value)


@function
def by_http(value: int, ctx: Context) -> object:
    url = os.environ["ACTORFAAS_URL"] + "/v1/invoke/leaf"
    headers = {"traceparent": ctx.traceparent, "tracestate": ctx.tracestate}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(value).encode(), headers)) as answer:
        return json.loads(answer.read())


@function
def starts(value: int) -> object:
    with Client() as node:
        return node.invoke("plain", value)


plain = workflow("plain", leaf)
calls = workflow("calls", leaf >> by_client >> starts)
nested = workflow(
    "nested",
    asl={
        "StartAt": "Child",
        "States": {
            "Child": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Parameters": {"StateMachineArn": "plain", "Input.$": "$"},
                "End": True,
            }
        },
    },
)
