"""Workflows with many branches at once, for the tests of executions."""

from __future__ import annotations

from typing import Any

import orjson

from actorfaas.config import MAX_DATA_BYTES
from actorfaas.messages import WorkflowSpec
from tests.core.specs import function, workflow
from tests.core.world import World

Json = Any  # a definition of any shape


def task(resource: str, **fields: Json) -> Json:
    return {"Type": "Task", "Resource": resource, **({} if "Next" in fields else {"End": True}), **fields}


def machine(**states: Json) -> Json:
    return {"StartAt": next(iter(states)), "States": states}


def define(name: str, definition: Json, durability: str = "standard") -> WorkflowSpec:
    return workflow(name, orjson.dumps(definition), durability)


RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]

SPLIT = machine(
    first=task("a", Next="split"),
    split={
        "Type": "Parallel",
        "Branches": [
            machine(b1=task("b", Next="c1"), c1=task("c")),
            machine(w2={"Type": "Wait", "Seconds": 1, "Next": "b2"}, b2=task("b")),
            machine(c3=task("c")),
        ],
        "ResultSelector": {"count.$": "States.ArrayLength($)"},
        "OutputPath": "$.count",
        "Next": "last",
    },
    last=task("a"),
)


def mapped(items: int, at_once: int, **fields: Json) -> Json:
    """Every item goes through b and c, so many at once; then a gets the count."""
    return machine(
        items={"Type": "Pass", "Result": list(range(items)), "Next": "each"},
        each={
            "Type": "Map",
            "MaxConcurrency": at_once,
            "ItemProcessor": machine(one=task("b", Next="two"), two=task("c")),
            "Next": "last",
            **fields,
        },
        last=task("a"),
    )


MAPPED = mapped(5, 2)

CAUGHT = machine(
    split={
        "Type": "Parallel",
        "Branches": [machine(b1=task("b")), machine(c2=task("c", Retry=RETRY))],
        "Retry": [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 2}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "mend"}],
        "End": True,
    },
    mend={"Type": "Pass", "Result": "mended", "End": True},
)

LOOP = machine(
    count=task("a", Next="enough"),
    enough={
        "Type": "Choice",
        "Choices": [{"Variable": "$", "NumericLessThan": 5, "Next": "count"}],
        "Default": "last",
    },
    last=task("b"),
)

NESTED = machine(
    items={"Type": "Pass", "Result": [1, 2, 3], "Next": "each"},
    each={
        "Type": "Map",
        "ItemProcessor": machine(
            fork={
                "Type": "Parallel",
                "Branches": [machine(x=task("b")), machine(y=task("c", Retry=RETRY))],
                "End": True,
            }
        ),
        "End": True,
    },
)

PASS = {"Type": "Pass", "End": True}

AT_ONCE = machine(
    split={
        "Type": "Parallel",
        "Branches": [
            machine(now=PASS),
            machine(later=task("b")),
            machine(
                items={"Type": "Pass", "Result": [1, 2], "Next": "each"},
                each={**PASS, "Type": "Map", "ItemProcessor": machine(same=PASS)},
            ),
            machine(again={**PASS, "Type": "Parallel", "Branches": [machine(at=PASS), machine(once=PASS)]}),
        ],
        "End": True,
    }
)
"""Branches that are over as soon as they have begun."""

FLOWS = {
    "split": SPLIT,
    "mapped": MAPPED,
    "caught": CAUGHT,
    "loop": LOOP,
    "nested": NESTED,
    "at_once": AT_ONCE,
}


def make(*, look_ahead: int = 2, max_data_bytes: int = MAX_DATA_BYTES, **changes: object) -> World:
    """Functions a, b and c, and all of the above."""
    world = World(look_ahead=look_ahead, max_data_bytes=max_data_bytes)
    world.deploy(
        *(function(name, **changes) for name in "abc"),
        workflows=tuple(define(name, definition) for name, definition in FLOWS.items()),
    )
    world.settle()
    return world


def busy_of(world: World, topic: str) -> list[str]:
    """A function's workers that have a task."""
    return [worker for worker in world.busy() if worker.startswith(topic)]
