"""Chains of two states: one that takes a while, asleep or busy, and one whose worker is out of memory by then. Then the
same with a Choice, Parallel or Map state between, whose workers are all out."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actorfaas import function, workflow

LASTS_MS = (0, 5, 20, 100)
BRANCH_OFF_MS = 100
ENTRIES = 40_000
LINGER_S = float((Path(__file__).parent / "linger_s").read_text())
"""How long the second state's worker stays after a call."""

Json = Any  # a decoded JSON document
State = dict[str, Json]

index: dict[str, int] = {}


def fill() -> None:
    """Some megabytes of objects."""
    index.update((f"entry {number}", number) for number in range(ENTRIES))


def sleeping(lasts_ms: int) -> Callable[[object], None]:
    """A handler that sleeps."""

    def sleeper(event: object) -> None:
        time.sleep(lasts_ms / 1000)

    return sleeper


def busy(lasts_ms: int) -> Callable[[object], None]:
    """A handler that keeps a processor busy."""

    def worker(event: object) -> None:
        until = time.perf_counter() + lasts_ms / 1000
        while time.perf_counter() < until:
            pass

    return worker


@function(warm=0, idle_timeout_s=LINGER_S, init=fill)
def follow(event: object) -> int:
    """Touch every entry, and with it a page that belongs to this worker alone."""
    return sum(index.values())


for each_ms in LASTS_MS:
    for make in (sleeping, busy):
        before = function(name=f"{make.__name__}_{each_ms}")(make(each_ms))
        globals()[before.name] = before
        globals()[f"after_{before.name}"] = workflow(f"after_{before.name}", before >> follow, durability="express")


@function
def branch_off(event: Json) -> Json:
    """Let some time pass, and hand on what the states after it are to go by."""
    time.sleep(BRANCH_OFF_MS / 1000)
    return event


def follower(name: str, concurrency: int) -> None:
    """A function like `follow`, of which so many run at once."""

    def touch(event: object) -> int:
        return sum(index.values())

    globals()[name] = function(name=name, warm=0, concurrency=concurrency, idle_timeout_s=LINGER_S, init=fill)(touch)


def task(resource: str) -> State:
    """A Task state that ends its branch."""
    return {"Type": "Task", "Resource": resource, "End": True}


def alone(resource: str) -> State:
    """A machine of one task."""
    return {"StartAt": "one", "States": {"one": task(resource)}}


def after_branch_off(name: str, **states: State) -> None:
    """A workflow in which `branch_off` is followed by a state that computes."""
    first = {"Type": "Task", "Resource": "branch_off", "Next": next(iter(states))}
    definition = {"StartAt": "first", "States": {"first": first, **states}}
    globals()[name] = workflow(name, asl=definition, durability="express")


for each_name, each_concurrency in (("usual", 1), ("unusual", 1), ("parted", 4), ("mapped", 8)):
    follower(each_name, each_concurrency)

after_branch_off(
    "after_choice",
    choose={
        "Type": "Choice",
        "Choices": [{"Variable": "$.usual", "BooleanEquals": True, "Next": "usual"}],
        "Default": "unusual",
    },
    usual=task("usual"),
    unusual=task("unusual"),
)
after_branch_off("after_parallel", part={"Type": "Parallel", "Branches": [alone("parted")] * 4, "End": True})
after_branch_off(
    "after_map", each={"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": alone("mapped"), "End": True}
)
