"""Executions that clients and other executions ask for, as the ExecutionManager begins them.

Owns who waits for the answer to a start, and why none can be begun at the moment. What an execution then does is
decided in `core.executions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorfaas.core.catalogue import Catalogue
from actorfaas.core.effects import Ended
from actorfaas.core.execution import Plan
from actorfaas.core.executions import Executions
from actorfaas.messages import Message, Refused, StartExecution
from actorfaas.runtime.actor import Actor, Sender


class Starts:
    """`loaded` is set once it is known what is in service; `is_stopping`: nothing more is begun."""

    def __init__(self, actor: Actor, catalogue: Catalogue, executions: Executions, loaded: asyncio.Event) -> None:
        self.is_stopping = False
        self._actor = actor
        self._catalogue = catalogue
        self._executions = executions
        self._loaded = loaded
        self._waiting: dict[str, Callable[[Message], object]] = {}

    def refusal(self, durability: str) -> Refused | None:
        """Why no execution can be begun at the moment, if so."""
        if self.is_stopping:
            return Refused("stopping", "the node is stopping", True, 1.0)
        if not self._loaded.is_set():
            return Refused("unavailable", "the ExecutionManager is starting", True, 1.0)
        if durability == "standard" and not self._actor.is_connected("data_layer"):
            return Refused("unavailable", "the DataLayer is restarting, nothing can be stored", True, 1.0)
        return None

    def start(self, start: StartExecution, sender: Sender) -> None:
        """Begin an execution of what is in service under its name, or refuse."""
        refusal = self.refusal(start.durability)
        plan = self._catalogue.plan(start.name)
        if refusal is None and plan is None:
            refusal = Refused("not_found", f"there is no function or workflow {start.name!r}")
        if refusal is None and plan is not None:
            refusal = self._executions.refusal(start, plan)
        if refusal is not None or plan is None:
            sender.reply(refusal or Refused("internal", "no plan"))
            return
        self.begin(start, plan, sender.reply)

    def begin(self, start: StartExecution, plan: Plan, answer: Callable[[Message], object]) -> None:
        """Begin an execution that nothing is against; `answer` gets the answer."""
        self._waiting[start.execution_id] = answer
        self._catalogue.versions[plan.app, plan.version].running += 1
        self._executions.start(start, plan, self._actor.clock.monotonic_ns())

    def answer(self, execution_id: str, message: Message) -> None:
        """The core has the answer to a start."""
        self._waiting.pop(execution_id)(message)

    def ended(self, ended: Ended) -> None:
        """An execution has ended: its version runs one less."""
        version = self._catalogue.versions.get((ended.app, ended.version))
        if version is not None:
            version.running -= 1
        log = self._actor.log.info if ended.error else self._actor.log.debug
        log("execution ended", execution_id=ended.execution_id, status=ended.status, error=ended.error or None)
