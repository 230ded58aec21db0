"""Going on with an execution that ended without success, as the ExecutionManager carries it out.

Owns the order of the steps: the journal is read, the version's functions are in service (again), that the execution
runs is committed, and only then does it go on. What can be redriven is decided in `core.redrive`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorfaas.actors.deploying import Deployer
from actorfaas.actors.map_data import MapDataLink
from actorfaas.core import redrive
from actorfaas.core.catalogue import Version
from actorfaas.core.driving import MAX_RUNNING
from actorfaas.core.execution import Plan
from actorfaas.core.executions import Executions
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import Done, ExecutionRedriven, GetJournal, Journal, RedriveExecution, ReopenExecution
from actorfaas.runtime.actor import Actor, Sender

RETRY_S = 0.2


class Redriver:
    """`changed` is called when an execution has gone on, to act on what the cores decided."""

    def __init__(
        self,
        actor: Actor,
        deployer: Deployer,
        executions: Executions,
        map_data: MapDataLink,
        changed: Callable[[], None],
    ) -> None:
        self._actor = actor
        self._deployer = deployer
        self._executions = executions
        self._map_data = map_data
        self._changed = changed
        self._under_way: set[str] = set()

    async def answer(self, wanted: RedriveExecution, sender: Sender) -> None:
        """Redrive, and say what came of it."""
        execution_id = wanted.execution_id
        if execution_id in self._under_way:
            sender.refuse("conflict", f"execution {execution_id} is being redriven")
            return
        self._under_way.add(execution_id)
        try:
            sender.reply(await self.redrive(execution_id))
        except RequestRefused as error:
            sender.refuse(error.code, error.detail, retryable=error.retryable, retry_after_s=error.retry_after_s)
        except (PeerUnavailable, AskTimeout) as error:
            sender.refuse("unavailable", str(error), retryable=True, retry_after_s=1.0)
        finally:
            self._under_way.discard(execution_id)

    async def redrive(self, execution_id: str) -> ExecutionRedriven:
        """Go on with an execution. Raises RequestRefused."""
        self._check_room(execution_id)
        journal = await self._actor.ask("data_layer", GetJournal(execution_id), Journal)
        refused = redrive.refusal(journal)
        if refused is not None:
            raise RequestRefused(refused.error, refused.detail)
        version, plan = await self._served(journal)
        try:
            self._check_room(execution_id)
            clock = self._actor.clock
            stored = redrive.reopening(journal, clock.wall_ms())
            await self._store(stored)
        except BaseException:  # also when the wait is cancelled: a version that runs nothing may be stopped
            version.running -= 1
            raise
        items = self._map_data.journalled_items(journal.execution.events)
        self._executions.resume(redrive.reopened(journal, stored), plan, clock.monotonic_ns(), items)
        self._changed()
        return ExecutionRedriven(execution_id, stored.redrive_count)

    def _check_room(self, execution_id: str) -> None:
        if self._executions.execution(execution_id) is not None:
            raise RequestRefused("conflict", f"execution {execution_id} is running")
        if self._executions.running() >= MAX_RUNNING:
            raise RequestRefused(
                "overloaded", f"{MAX_RUNNING} executions are running", retryable=True, retry_after_s=1.0
            )

    async def _served(self, journal: Journal) -> tuple[Version, Plan]:
        """The version that the execution began on, kept in service for it."""
        one = journal.execution
        version = await self._deployer.bring_back(one.app, one.version)
        plan = None if version is None else version.plans.get(one.name)
        if version is not None and plan is not None:
            return version, plan
        if version is not None:
            version.running -= 1
        raise RequestRefused("conflict", f"version {one.version} of application {one.app!r} is no longer stored")

    async def _store(self, stored: ReopenExecution) -> None:
        """Until it is known whether it was committed: else nobody would go on with it. A repeat changes nothing."""
        while True:
            try:
                await self._actor.ask("data_layer", stored, Done)
            except (PeerUnavailable, AskTimeout):
                await asyncio.sleep(RETRY_S)
            else:
                return
