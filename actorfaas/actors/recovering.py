"""What the ExecutionManager does after a restart, its own or another actor's: load, declare, start, adopt, continue.

Owns the order of these steps. The pictures that are brought up to date belong to `core.catalogue`, `core.dispatch`
and `core.executions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorfaas.actors.answering import Answering
from actorfaas.actors.deploying import Deployer
from actorfaas.actors.map_data import MapDataLink
from actorfaas.actors.remembering import Remembering
from actorfaas.core.catalogue import Catalogue, Version
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.executions import Executions
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import DescribeQueue, ListUnfinished, QueueDescription, Unfinished, UnfinishedExecution
from actorfaas.runtime.actor import Actor

RETRY_S = 0.2
LONGEST_RETRY_S = 30.0

PATIENT_STARTS = 2
"""A version may fail to start so many times in a row before what waits for its functions is told so."""

Away = (PeerUnavailable, AskTimeout, RequestRefused)


class Recovery:
    """`needed` is set when the LocalQueue or the supervisor is new; `loaded` once what is in service is known.

    `changed` is called after every change, to act on what the cores decided.
    """

    def __init__(
        self,
        actor: Actor,
        catalogue: Catalogue,
        dispatch: Dispatch,
        executions: Executions,
        deployer: Deployer,
        map_data: MapDataLink,
        answering: Answering,
        remembering: Remembering,
        changed: Callable[[], None],
    ) -> None:
        self.loaded = asyncio.Event()
        self.needed = asyncio.Event()
        self._round = 0
        self._actor = actor
        self._catalogue = catalogue
        self._dispatch = dispatch
        self._executions = executions
        self._deployer = deployer
        self._map_data = map_data
        self._answering = answering
        self._remembering = remembering
        self._changed = changed

    async def load(self) -> None:
        """Picture what is in service, then continue what was running."""
        unfinished: list[UnfinishedExecution] = []
        while True:
            try:
                await self._actor.wait_for_peer("data_layer")
                await self._deployer.load()
                await self._answering.load()
                unfinished = await self._unfinished()
                for one in unfinished:
                    await self._deployer.load_version(one.app, one.version)
                await self._remembering.load()
                break
            except Away as error:
                self._actor.log.warning("deployments cannot be loaded yet", error=str(error))
                await asyncio.sleep(RETRY_S)
        for version in self._catalogue.versions.values():
            for topic, spec in version.topics():
                self._dispatch.add_pool(topic, spec)
        for one in unfinished:
            self._resume(one)
        for orphan in self._executions.orphans():
            reason = "the execution that started it does not wait for it any more"
            self._executions.cancel(orphan, reason, self._actor.clock.monotonic_ns())
        self.loaded.set()
        self.needed.set()
        self._changed()
        self._actor.log.info("deployments loaded", versions=len(self._catalogue.versions), executions=len(unfinished))

    async def _unfinished(self) -> list[UnfinishedExecution]:
        """What is to be continued; it comes in pages, so that an answer fits into a frame."""
        page = await self._actor.ask("data_layer", ListUnfinished(), Unfinished)
        found = list(page.executions)
        while page.next_cursor:
            page = await self._actor.ask("data_layer", ListUnfinished(page.next_cursor), Unfinished)
            found += page.executions
        return found

    def _resume(self, found: UnfinishedExecution) -> None:
        version = self._catalogue.versions.get((found.app, found.version))
        plan = None if version is None else version.plans.get(found.name)
        now_ns = self._actor.clock.monotonic_ns()
        if version is not None:
            version.running += 1
        if plan is None:
            cause = f"version {found.version} of application {found.app!r} is no longer stored"
            self._executions.abort_unknown(found, cause, now_ns)
            return
        self._executions.resume(found, plan, now_ns, self._map_data.journalled_items(found.events))

    async def keep_in_sync(self) -> None:
        """Whenever the LocalQueue or the supervisor is new: declare, start, adopt. Until it has worked."""
        await self.loaded.wait()
        while True:
            await self.needed.wait()
            self.needed.clear()
            try:
                await self._actor.wait_for_peer("local_queue")
                await self._actor.wait_for_peer("fw_supervisor")
                await self._synchronise()
            except Away as error:
                self._actor.log.warning("not in service yet", error=str(error))
                await asyncio.sleep(RETRY_S)
                self.needed.set()

    async def _synchronise(self) -> None:
        self._round += 1
        queue = await self._actor.ask("local_queue", DescribeQueue(), QueueDescription)
        now_ns = self._actor.clock.monotonic_ns()
        self._dispatch.adopt(queue.workers, now_ns)
        for topic in queue.topics:
            self._dispatch.note_waiting(topic.topic, topic.waiting)
        versions = list(self._catalogue.versions.values())
        for version in versions:  # not waited for: the LocalQueue may be new again before the slowest has started
            self._actor.spawn(self._start_again(version), "start again")
        self._dispatch.connected(now_ns)
        self._changed()

    async def _start_again(self, version: Version, failures: int = 0) -> None:
        """Start one version's templates after a restart. It has worked before, so what hinders it now may pass: it is
        tried until it works, or until the next restart begins anew."""
        try:
            await self._deployer.start(version)
        except RequestRefused as error:
            self._actor.log.error(
                "a version cannot be started", app=version.app, version=version.version, error=error.detail
            )
            if failures >= PATIENT_STARTS:
                for topic, _ in version.topics():
                    self._dispatch.cannot_start(topic, error.detail)
                self._changed()
            self._actor.spawn(self._start_later(version, failures + 1, self._round), "start later")
        except (PeerUnavailable, AskTimeout):
            self.needed.set()

    async def _start_later(self, version: Version, failures: int, round_: int) -> None:
        await asyncio.sleep(min(RETRY_S * 2 ** min(failures - 1, 10), LONGEST_RETRY_S))
        is_served = self._catalogue.versions.get((version.app, version.version)) is version
        if is_served and self._round == round_:
            await self._start_again(version, failures)

    async def reconcile(self) -> None:
        """Find workers that ended or came back unheard: correctness must not hang on every message having arrived."""
        asked_ns = self._actor.clock.monotonic_ns()
        try:
            queue = await self._actor.ask("local_queue", DescribeQueue(), QueueDescription)
        except Away:
            return
        now_ns = self._actor.clock.monotonic_ns()
        self._dispatch.reconcile(queue.workers, asked_ns, now_ns)
        self._changed()
