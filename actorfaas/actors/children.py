"""Executions that executions start, as the ExecutionManager carries them out: begin, wait for the end, stop.

Owns the conversation with the DataLayer about how a child ends, whose result counts once it is on disk there. What
starts a child and what its end means is decided in `core.outside` and `core.answers`; a restart begins all of it again,
and a child that exists already is taken for accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from actorfaas.core.catalogue import Catalogue
from actorfaas.core.effects import FollowChild, StartChild, StopChild
from actorfaas.core.execution import Plan
from actorfaas.core.executions import Executions
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import (
    ClaimExecutionName,
    ExecutionNameClaim,
    ExecutionState,
    Message,
    Refused,
    StartExecution,
    WaitExecution,
)
from actorfaas.runtime.actor import Actor

NS_PER_S = 1_000_000_000

RETRY_S = 0.5
"""How long a start that is refused only for now waits for the next try."""

LOOK_S = 3_600.0
"""How long one question for the end of a child lasts; it is then asked again."""

Begin = Callable[[StartExecution, Plan, Callable[[Message], object]], None]


class Children:
    """`refusal`: why nothing can be started now; `begin`: start an execution of a plan, and be called with the answer;
    `changed`: carry out what the core decided."""

    def __init__(
        self,
        actor: Actor,
        catalogue: Catalogue,
        executions: Executions,
        *,
        refusal: Callable[[StartExecution], Refused | None],
        begin: Begin,
        changed: Callable[[], None],
    ) -> None:
        self._actor = actor
        self._catalogue = catalogue
        self._executions = executions
        self._refusal = refusal
        self._begin = begin
        self._changed = changed

    def carry_out(self, effect: StartChild | FollowChild | StopChild) -> None:
        """What the core wants done about a child; it hears what came of it."""
        match effect:
            case StartChild() if effect.name:
                self._actor.spawn(self._start_named(effect), "claim the name of an execution")
            case StartChild():
                self._start(effect)
            case FollowChild():
                self._actor.spawn(self._follow(effect), "follow an execution")
            case StopChild(child, reason):
                self._executions.cancel(child, reason, self._actor.clock.monotonic_ns())

    def _start(self, wanted: StartChild) -> None:
        """Start a child, if its parent still wants it."""
        if not self._executions.awaits_child(wanted.parent, wanted.branch, wanted.start.execution_id):
            return
        start, plan = self._planned(wanted)
        refused = self._refusal(start)
        if refused is None and plan is None:
            refused = Refused("not_found", f"there is no workflow {start.name!r}")
        if refused is None and plan is not None:
            refused = self._executions.refusal(start, plan)
        if refused is not None or plan is None:
            self._answered(wanted, refused or Refused("internal", "no plan"))
            return
        self._begin(start, plan, lambda answer: self._answered(wanted, answer))

    async def _start_named(self, wanted: StartChild) -> None:
        """Start a child that has a name, unless another execution has it."""
        start = wanted.start
        claim = ClaimExecutionName(start.name, wanted.name, start.execution_id, start.execution_id)
        try:
            await self._actor.wait_for_peer("data_layer")
            taken = await self._actor.ask("data_layer", claim, ExecutionNameClaim)
        except RequestRefused as error:
            self._answered(wanted, Refused(error.code, error.detail, error.retryable))
        except (PeerUnavailable, AskTimeout) as error:
            self._answered(wanted, Refused("unavailable", str(error), True))
        else:
            if taken.execution_id == start.execution_id:
                self._start(wanted)
            else:
                detail = f"an execution of {start.name!r} is called {wanted.name!r} already: {taken.execution_id}"
                self._answered(wanted, Refused("name_taken", detail))
        self._changed()

    def _planned(self, wanted: StartChild) -> tuple[StartExecution, Plan | None]:
        """What a child runs, and the start with the time limit of that."""
        catalogue, name = self._catalogue, wanted.start.name
        version = catalogue.serving(name) if wanted.version is None else catalogue.versions.get(wanted.version)
        plan = None if version is None else version.plans.get(name)
        if version is None or plan is None:
            return wanted.start, None
        return replace(wanted.start, timeout_s=catalogue.timeout_of(version, name)), plan

    def _answered(self, wanted: StartChild, answer: Message) -> None:
        child = wanted.start.execution_id
        now_ns = self._actor.clock.monotonic_ns()
        if not isinstance(answer, Refused) or answer.error == "conflict":
            self._executions.child_accepted(wanted.parent, wanted.branch, child, now_ns)
        elif answer.error in ("unavailable", "stopping"):
            self._actor.spawn(self._start_later(wanted), "start later")
        else:
            error = _error_of(answer, wanted)
            self._executions.child_refused(wanted.parent, wanted.branch, child, error, answer.detail, now_ns)

    async def _start_later(self, wanted: StartChild) -> None:
        await asyncio.sleep(RETRY_S)
        self.carry_out(wanted)
        self._changed()

    async def _follow(self, wanted: FollowChild) -> None:
        while self._executions.awaits_child(wanted.parent, wanted.branch, wanted.child):
            try:
                await self._actor.wait_for_peer("data_layer")
                state = await self._state(wanted.child)
            except RequestRefused as error:
                if error.code == "unavailable":
                    await asyncio.sleep(RETRY_S)
                    continue
                self._lost(wanted, error)
            except (PeerUnavailable, AskTimeout):
                await asyncio.sleep(RETRY_S)
                continue
            else:
                if state.status == "running":
                    continue
                now_ns = self._actor.clock.monotonic_ns()
                self._executions.child_ended(wanted.parent, wanted.branch, state, now_ns)
            self._changed()

    async def _state(self, child: str) -> ExecutionState:
        """The child at its end, or after a long while as it is."""
        deadline_ns = self._actor.clock.monotonic_ns() + int(LOOK_S * NS_PER_S)
        question = WaitExecution(child, deadline_ns, must_exist=True, event_payloads=False)
        patience_s = LOOK_S + self._actor.settings.ask_timeout_s
        return await self._actor.ask("data_layer", question, ExecutionState, patience_s)

    def _lost(self, wanted: FollowChild, error: RequestRefused) -> None:
        now_ns = self._actor.clock.monotonic_ns()
        name = "StepFunctions.ExecutionDoesNotExistException"
        self._executions.child_refused(wanted.parent, wanted.branch, wanted.child, name, error.detail, now_ns)


def _error_of(refused: Refused, wanted: StartChild) -> str:
    """The name that Step Functions has for why a child cannot begin."""
    if refused.error == "name_taken":
        return "StepFunctions.ExecutionAlreadyExistsException"
    if refused.error == "overloaded":
        return "StepFunctions.ExecutionLimitExceeded" if wanted.version is None else "Lambda.TooManyRequestsException"
    if wanted.version is not None:
        return "Lambda.ResourceNotFoundException"
    return "StepFunctions.StateMachineDoesNotExistException"
