"""Workflows of steps that do nothing, so that what lies between the steps is all there is to measure."""

from typing import Any

from actorfaas import function, workflow

MANY = 1000
"""States of the longest chain."""

BRANCHES = 100


@function(concurrency=16, warm=8)
def step(event: Any) -> Any:
    return event


def chain(count: int, **fields: Any) -> dict[str, Any]:
    """So many tasks, one after the other."""
    task = {"Type": "Task", "Resource": "step", **fields}
    states = {f"s{number}": {**task, "Next": f"s{number + 1}"} for number in range(1, count)}
    return {"StartAt": "s1", "States": {**states, f"s{count}": {**task, "End": True}}}


one = {"StartAt": "only", "States": {"only": {"Type": "Task", "Resource": "step", "End": True}}}

two_steps = workflow("two_steps", asl=chain(2))
six_steps = workflow("six_steps", asl=chain(6))
six_with_paths = workflow("six_with_paths", asl=chain(6, Parameters={"n.$": "$.n"}, ResultPath="$"))
six_with_jsonata = workflow(
    "six_with_jsonata", asl={**chain(6, Arguments={"n": "{% $states.input.n + 1 %}"}), "QueryLanguage": "JSONata"}
)
deep = workflow("deep", asl=chain(MANY))
wide = workflow(
    "wide", asl={"StartAt": "all", "States": {"all": {"Type": "Parallel", "Branches": [one] * BRANCHES, "End": True}}}
)
each = workflow(
    "each",
    asl={"StartAt": "all", "States": {"all": {"Type": "Map", "MaxConcurrency": 8, "ItemProcessor": one, "End": True}}},
)
