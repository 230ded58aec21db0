"""What can be invoked: the routes told by the ExecutionManager, prepared for the invoke path.

Owns the lookup from a name in a URL to everything a request for it needs. Survives the ExecutionManager's absence:
the last routes stay in service until new ones come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from actorfaas.http.problems import Problem
from actorfaas.ids import STRATEGIES, request_topic
from actorfaas.messages import Route


@dataclass(frozen=True, slots=True)
class Target:
    """One route with the values that every request would otherwise compute again."""

    route: Route
    is_workflow: bool
    timeout_s: float
    retry_delay_ns: int
    topics: dict[str, str]


class Directory:
    """Names → targets."""

    def __init__(self, default_timeout_s: float) -> None:
        self._default_timeout_s = default_timeout_s
        self._targets: dict[str, Target] = {}
        self.known = asyncio.Event()
        """Set once routes were received since the start."""

    def replace(self, routes: Iterable[Route]) -> None:
        """Everything that can be invoked from now on."""
        self._targets = {route.name: self._target(route) for route in routes}
        self.known.set()

    def get(self, name: str) -> Target | None:
        """The target called `name`, or None."""
        return self._targets.get(name)

    def find(self, name: str) -> Target:
        """The target called `name`. Raises Problem "not_found", or "unavailable" while nothing is known yet."""
        target = self._targets.get(name)
        if target is not None:
            return target
        if not self.known.is_set():
            raise Problem("unavailable", "the node is starting: it does not know yet what is deployed")
        detail = f"no function or workflow is called {name!r}; GET /v1/functions and /v1/workflows list them"
        raise Problem("not_found", detail)

    def routes(self) -> list[Route]:
        """All routes, by name."""
        return [self._targets[name].route for name in sorted(self._targets)]

    def _target(self, route: Route) -> Target:
        return Target(
            route=route,
            is_workflow=route.kind == "workflow",
            timeout_s=route.timeout_s or self._default_timeout_s,
            retry_delay_ns=int(route.retry_delay_s * 1e9),
            topics={strategy: request_topic(route.topic, strategy) for strategy in STRATEGIES},
        )
