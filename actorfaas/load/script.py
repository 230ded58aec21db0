"""What load scripts consist of: calls with weights and inputs, arrivals, and conditions under which a run fails.

Inputs are drawn before the run begins, so that making them delays no call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from actorfaas.errors import ConfigError
from actorfaas.load.http_requests import invocation_url, render
from actorfaas.load.plan import Target

VARIANTS = 100
"""So many inputs are drawn of each call whose input is a function."""

Json = Any  # whatever JSON can say
Input = Json | Callable[[Random], Json]


@dataclass(frozen=True, slots=True)
class TargetCall:
    """A function or workflow to be called, how often in proportion to others, and with what.

    `row`: with a trace, the row that says when (its number from 0, or how its key begins); "": the next free one.
    """

    name: str
    input: Input = None
    weight: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict)
    row: str = ""

    def target(self, node_url: str, headers: Mapping[str, str], seed: int) -> Target:
        """The requests to the node at `node_url`. Raises ConfigError for an input that is no JSON."""
        url = invocation_url(node_url, self.name)
        bodies = [self._body(value) for value in self._inputs(Random(f"{seed} {self.name}"))]
        requests = tuple(render("POST", url, body, {**headers, **self.headers}) for body in bodies)
        return Target(self.name, requests, self.weight)

    def _inputs(self, chance: Random) -> list[Json]:
        return [self.input(chance) for _ in range(VARIANTS)] if callable(self.input) else [self.input]

    def _body(self, value: Json) -> bytes:
        try:
            return value if isinstance(value, bytes) else json.dumps(value).encode()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the input of {self.name} is no JSON: {error}") from error


def call(
    name: str, value: Input = None, *, weight: float = 1.0, headers: Mapping[str, str] | None = None, row: str = ""
) -> TargetCall:
    """A call of a function or workflow with a JSON value, or with what a function of a `random.Random` returns.

    `bytes` are sent as they are.
    """
    if weight <= 0:
        raise ConfigError(f"the weight of {name} must be above 0, not {weight:g}")
    return TargetCall(name, value, weight, headers or {}, row)


class Load:
    """A load script's `load`: what the command line would say otherwise, and may still override."""

    def __init__(self, *calls: TargetCall, arrivals: str = "", fail_if: tuple[str, ...] | list[str] = ()) -> None:
        if not calls:
            raise ConfigError("a Load needs at least one call")
        self.calls = calls
        self.arrivals = arrivals
        self.fail_if = tuple(fail_if)
