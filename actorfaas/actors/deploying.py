"""Deployments as the ExecutionManager carries them out: deploy, roll back, remove, load after a restart, drain.

Owns the order of the steps, so that any failure leaves the version before in service. What is deployed is pictured
in `core.catalogue`; the workers belong to `core.dispatch`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from actorfaas.actors.start_turns import StartTurns, at_once
from actorfaas.config import Settings
from actorfaas.core.catalogue import Catalogue, Version
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.recruiting import declarations
from actorfaas.errors import AskTimeout, DeployError, PeerUnavailable, RequestRefused
from actorfaas.logs import Logger
from actorfaas.messages import (
    ActivateDeployment,
    BundlePrepared,
    DeclareTopic,
    Deploy,
    Deployed,
    DeploymentRecord,
    Deployments,
    DeploymentSaved,
    DescribeQueue,
    Done,
    DropTopic,
    FunctionSpec,
    FunctionStarted,
    ListDeployments,
    Message,
    PrepareBundle,
    QueueDescription,
    RemoveApp,
    Rollback,
    SaveDeployment,
    StartFunction,
    StopFunction,
)
from actorfaas.runtime.actor import Sender
from actorfaas.runtime.clock import Clock

M = TypeVar("M", bound=Message)


class Peers(Protocol):
    """What is needed of the actor: its peers, clock, log and settings."""

    settings: Settings
    log: Logger
    clock: Clock

    def tell(self, peer: str, message: Message) -> None:
        """As `Actor.tell`."""

    async def ask(self, peer: str, message: Message, expect: type[M], timeout_s: float | None = None) -> M:
        """As `Actor.ask`."""


class Deployer:
    """Brings versions into service and out of it. `changed` is called after every change of what can be invoked."""

    drain_poll_s = 1.0

    def __init__(self, peers: Peers, catalogue: Catalogue, dispatch: Dispatch, changed: Callable[[], None]) -> None:
        self._peers = peers
        self._catalogue = catalogue
        self._dispatch = dispatch
        self._changed = changed
        # The supervisor gives up each step (environment, import, init) by itself and then says which it was.
        self._patience_s = 3 * peers.settings.deploy_timeout_s + peers.settings.ask_timeout_s
        self._turns = StartTurns(at_once(), self._is_waited_for)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._stopping: set[Version] = set()

    # --- commands -----------------------------------------------------------------------------------------------------

    async def answer(self, wanted: Deploy | Rollback | RemoveApp, sender: Sender) -> None:
        """Carry out a command, and say what came of it."""
        try:
            match wanted:
                case Deploy():
                    sender.reply(await self.deploy(wanted))
                case Rollback():
                    sender.reply(await self.rollback(wanted))
                case RemoveApp():
                    await self.remove(wanted.app)
                    sender.reply(Done())
        except RequestRefused as error:
            sender.refuse(error.code, error.detail, retryable=error.retryable, retry_after_s=error.retry_after_s)
        except (PeerUnavailable, AskTimeout) as error:
            sender.refuse("unavailable", str(error), retryable=True, retry_after_s=1.0)

    async def deploy(self, wanted: Deploy) -> Deployed:
        """Bring a new version into service; the same code and entry again changes nothing."""
        async with self._locks[wanted.app]:
            active = self._catalogue.active(wanted.app)
            if active is not None and _is_same(active, wanted):
                return _deployed(active, unchanged=True)
            prepared = await self._peers.ask(
                "fw_supervisor",
                PrepareBundle(wanted.app, wanted.archive, wanted.sha256, wanted.entry),
                BundlePrepared,
                self._patience_s,
            )
            self._catalogue.claim_names(wanted.app, prepared.functions, prepared.workflows)
            try:
                return await self._store_and_start(prepared)
            finally:
                self._catalogue.unclaim_names(wanted.app)

    async def _store_and_start(self, prepared: BundlePrepared) -> Deployed:
        save = SaveDeployment(prepared.bundle, prepared.functions, prepared.workflows)
        saved = await self._peers.ask("data_layer", save, DeploymentSaved)
        made = self._catalogue.add(saved.version, prepared.bundle, prepared.functions, prepared.workflows)
        return await self._bring_up(made)

    async def rollback(self, wanted: Rollback) -> Deployed:
        """Bring an earlier version back into service."""
        async with self._locks[wanted.app]:
            active = self._catalogue.active(wanted.app)
            record = await self._find(wanted.app, wanted.version, active.version if active else 0)
            if active is not None and active.version == record.version:
                return _deployed(active, unchanged=True)
            self._catalogue.claim_names(wanted.app, record.functions, record.workflows)
            try:
                made = self._catalogue.add(record.version, record.bundle, record.functions, record.workflows)
                return await self._bring_up(made)
            finally:
                self._catalogue.unclaim_names(wanted.app)

    async def _find(self, app: str, version: int, active: int) -> DeploymentRecord:
        found = await self._peers.ask("data_layer", ListDeployments(app, False), Deployments)
        for record in found.deployments:
            if record.version == version or (version == 0 and (record.version < active or active == 0)):
                return record
        which = f"version {version}" if version else "earlier version"
        raise RequestRefused("not_found", f"application {app!r} has no {which}")

    async def remove(self, app: str) -> None:
        """Take an application out of service; what it runs ends in peace."""
        async with self._locks[app]:
            active = self._catalogue.active(app)
            if active is None:
                raise RequestRefused("not_found", f"there is no application {app!r}")
            await self._peers.ask("data_layer", ActivateDeployment(app, 0), Done)
            self._catalogue.deactivate(app)
            self._drain(active)
            self._peers.log.info("application removed", app=app, version=active.version)
            self._changed()

    # --- bringing up --------------------------------------------------------------------------------------------------

    async def _bring_up(self, made: Version) -> Deployed:
        """Start a stored version; only when all of it runs, make it the current one."""
        self._stopping.discard(made)
        try:
            await self.start(made)
            await self._peers.ask("data_layer", ActivateDeployment(made.app, made.version), Done)
        except (RequestRefused, PeerUnavailable, AskTimeout):
            if made.running == 0 and not made.active:
                await self._stop(made)
            raise
        before = self._catalogue.active(made.app)
        self._catalogue.activate(made)
        if before is not None:
            self._drain(before)
        now_ns = self._peers.clock.monotonic_ns()
        for topic, spec in made.topics():
            self._dispatch.restore_pool(topic, spec, now_ns)
        self._peers.log.info("application deployed", app=made.app, version=made.version, sha256=made.bundle.sha256)
        self._changed()
        return _deployed(made)

    async def start(self, made: Version) -> None:
        """Declare a version's topics and start its templates. Raises the first failure, once all have answered."""
        for topic, spec in made.topics():
            self._dispatch.add_pool(topic, spec)
            if not made.active:
                self._dispatch.drain_pool(topic)
        work = [self._start_function(made, topic, spec) for topic, spec in made.topics()]
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        made.unforkable = tuple(name for name in outcomes if isinstance(name, str) and name)

    async def _start_function(self, made: Version, topic: str, spec: FunctionSpec) -> str:
        """Start one function; its name comes back if it cannot be forked."""
        for declaration in declarations(topic, spec.queue_limit):
            await self._peers.ask("local_queue", declaration, Done)
        start = StartFunction(topic, made.bundle, spec)
        try:
            async with self._turns.turn(topic):
                started = await self._peers.ask("fw_supervisor", start, FunctionStarted, self._patience_s)
        except RequestRefused as error:
            raise RequestRefused(error.code, f"function {spec.name!r}: {error.detail}") from error
        self._dispatch.template_ready(topic, True, self._peers.clock.monotonic_ns())
        self._changed()
        return "" if started.forkable else spec.name

    def _is_waited_for(self, topic: str) -> bool:
        pool = self._dispatch.pools.get(topic)
        return pool is not None and pool.is_wanted()

    async def declare(self, message: DeclareTopic) -> None:
        """Declare one topic (again); a LocalQueue that is away gets them all when it is back."""
        try:
            await self._peers.ask("local_queue", message, Done)
        except (PeerUnavailable, AskTimeout, RequestRefused) as error:
            self._peers.log.warning("a topic could not be declared", topic=message.topic, error=str(error))

    # --- after a restart ----------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Picture what the DataLayer says is in service."""
        found = await self._peers.ask("data_layer", ListDeployments("", True), Deployments)
        for record in found.deployments:
            made = self._add_stored(record)
            if made is not None:
                self._catalogue.activate(made)

    async def load_version(self, app: str, version: int) -> Version | None:
        """A version that is not current, for the executions that began on it; None if it is not stored any more."""
        known = self._catalogue.versions.get((app, version))
        if known is not None:
            return known
        found = await self._peers.ask("data_layer", ListDeployments(app, False), Deployments)
        record = next((one for one in found.deployments if one.version == version), None)
        return None if record is None else self._add_stored(record)

    async def bring_back(self, app: str, version: int) -> Version | None:
        """A version, perhaps stopped long ago, in service for one more execution, which counts as running from now on;
        None if it is not stored any more. Raises RequestRefused where it cannot be started."""
        async with self._locks[app]:
            is_known = (app, version) in self._catalogue.versions
            made = await self.load_version(app, version)
            if made is None:
                return None
            made.running += 1
            if not is_known:
                try:
                    await self.start(made)
                except (RequestRefused, PeerUnavailable, AskTimeout):
                    made.running -= 1
                    await self._stop(made)
                    raise
            return made

    def _add_stored(self, record: DeploymentRecord) -> Version | None:
        try:
            return self._catalogue.add(record.version, record.bundle, record.functions, record.workflows)
        except DeployError as error:
            self._peers.log.error(
                "a stored version cannot be served", app=record.app, version=record.version, error=str(error)
            )
            return None

    # --- out of service -----------------------------------------------------------------------------------------------

    def _drain(self, made: Version) -> None:
        for topic, _ in made.topics():
            self._dispatch.drain_pool(topic)

    def to_stop(self) -> list[Version]:
        """Versions that have just run out of executions; `stop_when_quiet` is to be spawned for each."""
        drained = [made for made in self._catalogue.drained() if made not in self._stopping]
        ready = [made for made in drained if not self._locks[made.app].locked()]
        self._stopping.update(ready)
        return ready

    async def stop_when_quiet(self, made: Version) -> None:
        """Plain calls under way may finish: stop once two looks in a row found none."""
        quiet = 0
        topics = {topic for topic, _ in made.topics()}
        while quiet < 2:
            await asyncio.sleep(self.drain_poll_s)
            try:
                queue = await self._peers.ask("local_queue", DescribeQueue(), QueueDescription)
            except (PeerUnavailable, AskTimeout, RequestRefused):
                continue
            used = any(one.waiting or one.busy for one in queue.topics if one.topic.partition("!")[0] in topics)
            quiet = 0 if used else quiet + 1
        async with self._locks[made.app]:
            if made in self._stopping and not made.active and made.running == 0:
                await self._stop(made)
            self._stopping.discard(made)

    async def _stop(self, made: Version) -> None:
        """End a version's templates and workers. What an absent actor misses, its restart makes good."""
        self._catalogue.discard(made)
        for topic, spec in made.topics():
            self._dispatch.remove_pool(topic, self._peers.clock.monotonic_ns())
            for declaration in declarations(topic, spec.queue_limit):
                with suppress(PeerUnavailable):
                    self._peers.tell("local_queue", DropTopic(declaration.topic, "no_topic"))
        self._changed()
        await asyncio.gather(*(self._stop_function(topic) for topic, _ in made.topics()))
        self._peers.log.info("version stopped", app=made.app, version=made.version)

    async def _stop_function(self, topic: str) -> None:
        deadline_s = self._peers.settings.stop_timeout_s
        try:
            await self._peers.ask("fw_supervisor", StopFunction(topic, deadline_s), Done, deadline_s + 5.0)
        except (PeerUnavailable, AskTimeout, RequestRefused) as error:
            self._peers.log.warning("a function could not be stopped", topic=topic, error=str(error))


def _is_same(active: Version, wanted: Deploy) -> bool:
    return active.bundle.sha256 == wanted.sha256 and wanted.entry in ("", active.bundle.entry)


def _deployed(made: Version, *, unchanged: bool = False) -> Deployed:
    return Deployed(
        app=made.app,
        version=made.version,
        functions=tuple(sorted(made.functions)),
        workflows=tuple(sorted(made.workflows)),
        unforkable=tuple(sorted(made.unforkable)),
        unchanged=unchanged,
    )
