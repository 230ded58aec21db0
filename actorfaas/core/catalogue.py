"""What is deployed: versions of applications, who owns which name, what can be invoked now.

Owns the picture only; storing versions, starting and stopping their templates is left to the ExecutionManager.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from actorfaas.core.acceptance import declared_names, problems
from actorfaas.core.execution import NS_PER_S, FunctionPlan, Plan, own_retriers
from actorfaas.core.time_limits import longest_s
from actorfaas.errors import RequestRefused
from actorfaas.ids import FRESH_STRATEGIES, PAGED_STRATEGIES, function_topic
from actorfaas.messages import BundleRef, FunctionSpec, Route, WorkflowSpec
from actorfaas.states.model import StateMachine, single_task
from actorfaas.states.parsing import parse

_GENERATORS = ("generator", "async_generator")


@dataclass(slots=True, eq=False)
class Version:
    """One version that is served, or was and still has work. `running`: its executions that have not ended."""

    app: str
    version: int
    bundle: BundleRef
    functions: dict[str, FunctionSpec]
    workflows: dict[str, WorkflowSpec]
    plans: dict[str, Plan]
    unforkable: tuple[str, ...] = ()
    active: bool = False
    running: int = 0

    def topics(self) -> Iterator[tuple[str, FunctionSpec]]:
        """Every function with its topic."""
        for name, spec in self.functions.items():
            yield function_topic(name, self.version), spec


@dataclass(slots=True)
class Catalogue:
    """Every version in service or draining. `default_timeout_s` is for functions that declare no limit; a node of
    `max_workers` can keep no more warm; what it has not (`refused`) no new version may need."""

    default_timeout_s: float
    max_workers: int
    refused: Collection[str] = ()
    versions: dict[tuple[str, int], Version] = field(default_factory=dict)
    _active: dict[str, Version] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)
    _claimed: dict[str, str] = field(default_factory=dict)

    # --- checking --------------------------------------------------------------------------------------------------

    def claim_names(self, app: str, functions: Iterable[FunctionSpec], workflows: Iterable[WorkflowSpec]) -> None:
        """Check a version about to be stored, and keep its names from other applications until `unclaim_names`.

        Raises RequestRefused: "invalid" with every problem, or "conflict" with the owners.
        """
        functions, workflows = tuple(functions), tuple(workflows)
        names = declared_names(functions, workflows)
        if found := list(problems(functions, workflows, self.max_workers, self.refused)):
            raise RequestRefused("invalid", "; ".join(found))
        taken = [
            f"{name!r} belongs to application {owner!r}"
            for name in names
            if (owner := self._owners.get(name) or self._claimed.get(name)) not in (None, app)
        ]
        if taken:
            raise RequestRefused("conflict", "; ".join(taken))
        self._claimed.update(dict.fromkeys(names, app))

    def unclaim_names(self, app: str) -> None:
        """The deployment under way has ended, well or not."""
        self._claimed = {name: owner for name, owner in self._claimed.items() if owner != app}

    # --- changing --------------------------------------------------------------------------------------------------

    def add(
        self,
        version: int,
        bundle: BundleRef,
        functions: Iterable[FunctionSpec],
        workflows: Iterable[WorkflowSpec],
    ) -> Version:
        """A version that is stored; not yet in service. One that is known already is returned as it is."""
        known = self.versions.get((bundle.app, version))
        if known is not None:
            return known
        specs = {spec.name: spec for spec in functions}
        flows = {spec.name: spec for spec in workflows}
        plans = {name: self._plan(name, "function", bundle.app, version, single_task(name), specs) for name in specs}
        for name, flow in flows.items():
            machine = parse(flow.definition, specs, is_express=flow.durability == "express")
            plans[name] = self._plan(name, "workflow", bundle.app, version, machine, specs)
        made = Version(bundle.app, version, bundle, specs, flows, plans)
        self.versions[bundle.app, version] = made
        return made

    def _plan(
        self,
        name: str,
        kind: str,
        app: str,
        version: int,
        machine: StateMachine,
        specs: dict[str, FunctionSpec],
    ) -> Plan:
        names = {task.function for task in machine.tasks()}
        called = specs if "" in names else {name: specs[name] for name in names}  # "": which one is computed
        functions = {
            function: FunctionPlan(
                topic=function_topic(function, version),
                timeout_ns=int(self.timeout_s(spec) * NS_PER_S),
                retriers=own_retriers(spec),
                fresh=spec.strategy if spec.strategy in FRESH_STRATEGIES | PAGED_STRATEGIES else "",
                memory_mb=spec.memory_mb,
            )
            for function, spec in called.items()
        }
        retriers = {function: plan.retriers for function, plan in functions.items()}
        return Plan(name, kind, app, version, machine, functions, retriers)

    def activate(self, made: Version) -> None:
        """New requests go to this version; the one before, if any, drains."""
        self.deactivate(made.app)
        made.active = True
        self._active[made.app] = made
        for name in made.plans:
            self._owners[name] = made.app

    def deactivate(self, app: str) -> Version | None:
        """No new requests go to the application; its version drains."""
        before = self._active.pop(app, None)
        if before is not None:
            before.active = False
            self._owners = {name: owner for name, owner in self._owners.items() if owner != app}
        return before

    def discard(self, made: Version) -> None:
        """A version is stopped, or never came into service."""
        self.versions.pop((made.app, made.version), None)

    # --- asking ----------------------------------------------------------------------------------------------------

    def active(self, app: str) -> Version | None:
        """The current version of an application."""
        return self._active.get(app)

    def functions(self) -> set[str]:
        """The names of the functions of every version that is served or still has work."""
        return {name for version in self.versions.values() for name in version.functions}

    def plan(self, name: str) -> Plan | None:
        """What invoking `name` runs now."""
        owner = self._owners.get(name)
        return None if owner is None else self._active[owner].plans.get(name)

    def serving(self, name: str) -> Version | None:
        """The version that runs what is invoked as `name` now."""
        owner = self._owners.get(name)
        return None if owner is None else self._active[owner]

    def timeout_of(self, made: Version, name: str) -> float:
        """The time limit of a function or workflow of a version."""
        if name in made.workflows:
            return self.workflow_timeout_s(made, name)
        return self.timeout_s(made.functions[name])

    def drained(self) -> list[Version]:
        """Versions out of service whose executions have all ended."""
        return [one for one in self.versions.values() if not one.active and one.running == 0]

    def timeout_s(self, spec: FunctionSpec) -> float:
        """A function's time limit."""
        return spec.timeout_s or self.default_timeout_s

    def workflow_timeout_s(self, made: Version, name: str) -> float:
        """A workflow's time limit: declared, else what its states may take together."""
        spec, machine = made.workflows[name], made.plans[name].machine
        declared = spec.timeout_s or machine.timeout_s
        if declared:
            return declared
        total = longest_s(machine, lambda function: self.timeout_s(made.functions[function]))
        return max(total, self.default_timeout_s)

    def routes(self) -> tuple[Route, ...]:
        """Everything that can be invoked now, by name."""
        made = [route for version in self._active.values() for route in self._routes_of(version)]
        return tuple(sorted(made, key=lambda route: route.name))

    def _routes_of(self, made: Version) -> Iterator[Route]:
        for name, spec in made.functions.items():
            yield Route(
                name=name,
                kind="function",
                app=made.app,
                version=made.version,
                topic=function_topic(name, made.version),
                strategy=spec.strategy,
                timeout_s=self.timeout_s(spec),
                max_attempts=spec.retries + 1,
                retry_delay_s=spec.retry_delay_s,
                durability="express",
                streams=spec.kind in _GENERATORS,
                description=spec.description,
                memory_mb=spec.memory_mb,
            )
        for name, flow in made.workflows.items():
            yield Route(
                name=name,
                kind="workflow",
                app=made.app,
                version=made.version,
                topic="",
                strategy="auto",
                timeout_s=self.workflow_timeout_s(made, name),
                max_attempts=1,
                retry_delay_s=0.0,
                durability=flow.durability,
                streams=False,
                description=flow.description,
            )
