"""What a workflow without a time limit of its own may take."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.core.time_limits import ENDLESS_S, longest_s
from actorfaas.states.parsing import parse
from tests.core.branching_rig import LOOP, MAPPED, Json, machine, task

WAIT = {"Type": "Wait", "Seconds": 5, "End": True}
AROUND = machine(
    a=task("a", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "w"}]),
    w={"Type": "Wait", "Seconds": 1, "Next": "a"},
)
TWO_WAYS = machine(
    choose={"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True, "Next": "x"}], "Default": "y"},
    x=task("x", Next="z"),
    y=task("y", Next="z"),
    z=task("z", TimeoutSeconds=3),
)


@pytest.mark.parametrize(
    ("definition", "expected_s"),
    [
        (machine(a=task("a", Next="w"), w=WAIT), 10 + 5),
        (TWO_WAYS, 10 + 10 + 3),
        (machine(p={"Type": "Parallel", "Branches": [machine(w=WAIT), machine(a=task("a"))], "End": True}), 10),
        (machine(a=task("a", TimeoutSecondsPath="$.limit")), ENDLESS_S),
        (machine(w={"Type": "Wait", "SecondsPath": "$.limit", "End": True}), ENDLESS_S),
        (machine(p={"Type": "Parallel", "Branches": [LOOP], "End": True}), ENDLESS_S),
        (machine(w={"Type": "Wait", "Seconds": 99_999_999, "End": True}), ENDLESS_S),
        (LOOP, ENDLESS_S),
        (AROUND, ENDLESS_S),
        (MAPPED, ENDLESS_S),
    ],
)
def test_states_limits_are_added_up_unless_they_may_come_again(definition: Json, expected_s: float) -> None:
    assert longest_s(parse(orjson.dumps(definition)), lambda function: 10.0) == expected_s
