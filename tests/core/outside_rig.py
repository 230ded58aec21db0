"""Workflows whose tasks are answered from outside, for the tests of executions."""

from __future__ import annotations

from typing import Any

import orjson

from actorfaas.core.activities import Poll
from actorfaas.messages import ActivityTask, FailTask, Message, SucceedTask
from tests.core.branching_rig import define, machine, task
from tests.core.specs import function
from tests.core.world import World

Json = Any  # a definition or a decoded document of any shape

INVOKE = "arn:aws:states:::lambda:invoke"
START = "arn:aws:states:::states:startExecution"
TOKEN = {"FunctionName": "a", "Payload": {"token.$": "$$.Task.Token"}}
AGAIN = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
KNIT = "arn:aws:states:eu-west-1:123456789012:activity:knit"


def waiting(**fields: Json) -> Json:
    """A function is given a token; what it is answered with goes through b."""
    return machine(w=task(f"{INVOKE}.waitForTaskToken", Parameters=TOKEN, Next="after", **fields), after=task("b"))


def starting(pattern: str, name: str = "child", **fields: Json) -> Json:
    parameters = {"StateMachineArn": name, "Input.$": "$"}
    return machine(s=task(f"{START}{pattern}", Parameters=parameters, **fields))


FLOWS = {
    "waiting": waiting(),
    "limited": waiting(TimeoutSeconds=100, HeartbeatSeconds=20),
    "again": waiting(Retry=AGAIN, HeartbeatSeconds=20),
    "knitting": machine(k=task(KNIT, Next="after"), after=task("b")),
    "patient": machine(k=task(KNIT, TimeoutSeconds=100, HeartbeatSeconds=20)),
    "unknown": machine(k=task(KNIT.replace("knit", "purl"), Retry=AGAIN)),
    "split": machine(
        p={"Type": "Parallel", "Branches": [waiting(), machine(k=task(KNIT))], "End": True},
    ),
    "child": machine(one=task("a", Next="two"), two=task("b")),
    "failing": machine(f={"Type": "Fail", "Error": "Bad", "Cause": "it is"}),
    "starts": starting(""),
    "follows": starting(".sync"),
    "reads": starting(".sync:2"),
    "fails": starting(".sync", "failing"),
    "lonely": starting("", "nobody"),
    "endless": starting(".sync:2", "endless"),
    "hurried": starting(".sync", TimeoutSeconds=10),
    "named": machine(s=task(START, Parameters={"StateMachineArn": "child", "Input.$": "$", "Name": "first"})),
    "answered": machine(
        s=task(
            f"{START}.waitForTaskToken",
            Parameters={"StateMachineArn": "child", "Input.$": "$.n", "Token.$": "$$.Task.Token"},
        )
    ),
    "later": machine(
        i=task(INVOKE, Parameters={"FunctionName": "a", "InvocationType": "Event", "Payload.$": "$"}),
    ),
}


def make(**changes: Json) -> World:
    """Functions a and b, the activity "knit", and all of the above."""
    world = World()
    world.deploy(
        *(function(name, **changes) for name in "ab"),
        workflows=tuple(define(name, definition) for name, definition in FLOWS.items()),
    )
    world.activities.append("knit")
    world.executions.activities.know(world.activities)
    world.settle()
    return world


def token_of(world: World) -> str:
    """The token that the one busy function was given."""
    (topic,) = world.busy()
    payload: Json = orjson.loads(world.instances[topic].tasks[0].payload)
    return str(payload["token"])


def returned(world: World) -> str:
    """Let the function return that was given a token; the token."""
    token = token_of(world)
    (topic,) = world.busy()
    world.finish(topic, b'"handed to somebody"')
    world.settle()
    return token


def answer(world: World, message: SucceedTask | FailTask, number: int = 1) -> Message | None:
    """Answer a task; the refusal, or what came once it was on disk."""
    world.executions.task_answered(message, number, world.now)
    world.flush()
    world.check()
    world.settle()
    return world.replies.pop(number, None)


def poll(world: World, number: int = 7) -> ActivityTask | None:
    """Ask for a task of the activity."""
    refused = world.executions.poll_activity("knit", Poll(number, "ada"), world.now)
    assert refused is None
    world.flush()
    world.settle()
    reply = world.replies.pop(number, None)
    assert reply is None or isinstance(reply, ActivityTask)
    return reply


def runs(world: World, name: str) -> bool:
    """Whether an execution has not ended."""
    return world.store[name].finish is None


def error_of(world: World, name: str) -> str:
    """What an execution failed with."""
    finish = world.store[name].finish
    assert finish is not None
    return finish.error_type
