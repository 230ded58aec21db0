"""The ExecutionManager: pools of FunctionWorkers, their assignment, look-ahead, and workflow executions.

A thin shell: it hands messages to `core.dispatch` (who serves what) and `core.executions` (what runs next), carries
out the effects they decide, and reads the clock. What takes several steps has a module of its own, such as
`actors.deploying`, `actors.starting` and `actors.journalling`.

After a restart of this actor: what is in service is loaded from the DataLayer, templates are started (or found
running), workers are adopted from the LocalQueue, and standard executions continue after their last journalled
state. Plain calls do not notice. A restart of the LocalQueue or of the supervisor takes all workers along; their
tasks are run again (standard executions) or fail as `WorkerLost`, and the pools are filled again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from contextlib import suppress
from typing import ClassVar

from actorfaas.actors.answering import Answering, AnsweringMessage
from actorfaas.actors.cancelling import Cancels
from actorfaas.actors.children import Children
from actorfaas.actors.deploying import Deployer
from actorfaas.actors.journalling import Journal
from actorfaas.actors.map_data import MapDataLink
from actorfaas.actors.paging import SWAPPER, PagingLink
from actorfaas.actors.recovering import Away, Recovery
from actorfaas.actors.redriving import Redriver
from actorfaas.actors.remembering import Remembering
from actorfaas.actors.routes import Routes
from actorfaas.actors.starting import Starts
from actorfaas.config import Settings
from actorfaas.core.catalogue import Catalogue
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import (
    Answer,
    Apart,
    Declare,
    Effect,
    Ended,
    Export,
    Fetch,
    FollowChild,
    GiveUp,
    Reply,
    StartChild,
    StopChild,
    Store,
    TakeBack,
    Tell,
    Warn,
)
from actorfaas.core.executions import Executions
from actorfaas.core.facts import Fact, take_in
from actorfaas.errors import PeerUnavailable
from actorfaas.messages import (
    CancelExecution,
    Deploy,
    DescribeMapRuns,
    DescribePool,
    Done,
    GetRoutes,
    MeasurePool,
    Message,
    RedriveExecution,
    RemoveApp,
    Rollback,
    SessionOpened,
    StartExecution,
    TemplateExited,
    Unsubscribe,
    WorkerStartFailed,
)
from actorfaas.runtime.actor import Actor, Connection, Overflow, Sender
from actorfaas.runtime.allocator import give_large_blocks_back
from actorfaas.runtime.places import token_key
from actorfaas.states.parsing_maps import PARQUET
from actorfaas.storage import parquet_items
from actorfaas.swap.steering import PagingFact, steer

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

TICK_S = 1.0
RECONCILE_TICKS = 15
"""Every so many ticks the workers are compared with what the LocalQueue has."""


class ExecutionManager(Actor):
    """See the module's docstring. Its inbox never refuses: callers are paused, facts about workers must arrive."""

    name: ClassVar[str] = "execution_manager"
    peers: ClassVar[tuple[str, ...]] = ("local_queue", "fw_supervisor", "data_layer", "swapper")
    overflow: ClassVar[Overflow] = Overflow.PAUSE

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.dispatch = Dispatch(settings.max_workers)
        self.executions = Executions(
            self.dispatch,
            look_ahead=settings.look_ahead,
            boot=os.urandom(3).hex(),
            journal_delay_ns=int(settings.journal_delay_ms * NS_PER_MS),
            max_data_bytes=settings.max_data_bytes,
            warn_data_bytes=settings.warn_data_bytes,
            token_key=token_key(settings.data_dir),
        )
        refused = () if parquet_items.is_installed() else (PARQUET,)
        self.catalogue = Catalogue(settings.default_timeout_s, settings.max_workers, refused)
        self.paging = PagingLink(self, self.dispatch)
        self.deployer = Deployer(self, self.catalogue, self.dispatch, self._changed)
        self.map_data = MapDataLink(self, self.catalogue, self.executions, self._flush)
        self.answering = Answering(self, self.executions, self._flush)
        self.remembering = Remembering(self, self.catalogue, self.paging.steering.learning)
        self.recovery = Recovery(
            self,
            self.catalogue,
            self.dispatch,
            self.executions,
            self.deployer,
            self.map_data,
            self.answering,
            self.remembering,
            self._changed,
        )
        self.routes = Routes(self.catalogue, self.recovery.loaded)
        self.starts = Starts(self, self.catalogue, self.executions, self.recovery.loaded)
        self.children = Children(
            self,
            self.catalogue,
            self.executions,
            refusal=lambda start: self.starts.refusal(start.durability),
            begin=self.starts.begin,
            changed=self._flush,
        )
        self.cancels = Cancels(self.executions)
        self.journal = Journal(self, self.executions, self.cancels, self._flush)
        self.redriver = Redriver(self, self.deployer, self.executions, self.map_data, self._changed)
        self._flushing = False
        self._sooner = asyncio.Event()
        self._sleeping_until_ns = 0
        self._ticks = 0

    async def set_up(self) -> None:
        """Facts about workers are taken from the first moment; the rest is loaded meanwhile."""
        give_large_blocks_back()
        self._read_wall_clock()
        self.spawn(self.recovery.load(), "load")
        self.spawn(self._watch_time(), "time")
        self.spawn(self.recovery.keep_in_sync(), "sync")
        self.spawn(self.remembering.keep(), "remember")

    # --- messages -----------------------------------------------------------------------------------------------------

    def receive(self, message: Message, sender: Sender) -> Awaitable[None] | None:
        """Handle one message to the end; what needs other actors is spawned."""
        now_ns = self.clock.monotonic_ns()
        match message:
            case StartExecution() | CancelExecution() | RedriveExecution():
                self._command(message, sender, now_ns)
            case Deploy() | Rollback() | RemoveApp():
                self.spawn(self._deploy(message, sender), type(message).__name__)
            case GetRoutes():
                self.spawn(self.routes.send(sender), "routes")
            case MeasurePool():
                sender.reply(self.executions.figures())
            case DescribeMapRuns():
                sender.reply(self.executions.map_runs(message.execution_id))
            case DescribePool():
                self.spawn(self._describe(sender), "describe")
            case _ if isinstance(message, Fact):
                self._take_fact(message, now_ns)
            case _ if isinstance(message, AnsweringMessage):
                self._answering(message, sender, now_ns)
            case _ if isinstance(message, PagingFact):
                self.paging.take_in(message, now_ns)
            case _:
                raise ValueError(f"{type(message).__name__} is not for the ExecutionManager")
        self._flush()
        return None

    def _command(
        self, message: StartExecution | CancelExecution | RedriveExecution, sender: Sender, now_ns: int
    ) -> None:
        match message:
            case StartExecution():
                self.starts.start(message, sender)
            case CancelExecution():
                self.cancels.cancel(message, sender, now_ns)
            case RedriveExecution():
                self._redrive(message, sender)

    def _answering(self, message: AnsweringMessage, sender: Sender, now_ns: int) -> None:
        if self.recovery.loaded.is_set():
            self.answering.take(message, sender, now_ns)
        else:
            sender.refuse("unavailable", "the ExecutionManager is starting", retryable=True, retry_after_s=1.0)

    def _redrive(self, wanted: RedriveExecution, sender: Sender) -> None:
        refusal = self.starts.refusal("standard")
        if refusal is not None:
            sender.reply(refusal)
        else:
            self.spawn(self.redriver.answer(wanted, sender), "redrive")

    async def _describe(self, sender: Sender) -> None:
        sender.reply(await self.paging.describe(self.executions.describe(self.clock.monotonic_ns())))

    def _take_fact(self, fact: Fact, now_ns: int) -> None:
        self._log_fact(fact)
        if isinstance(fact, SessionOpened) and not self.recovery.loaded.is_set():
            self.spawn(self._open_session(fact), "session")
        else:
            take_in(fact, self.executions, now_ns)

    async def _open_session(self, opened: SessionOpened) -> None:
        """It may be of an execution that is yet to be loaded."""
        await self.recovery.loaded.wait()
        take_in(opened, self.executions, self.clock.monotonic_ns())
        self._flush()

    def _log_fact(self, fact: Fact) -> None:
        """What a person should hear of."""
        match fact:
            case WorkerStartFailed(function_topic=topic, detail=detail):
                self.log.warning("a worker could not be started", function_topic=topic, detail=detail)
            case TemplateExited(function_topic=topic, detail=detail):
                self.log.warning("a template ended", function_topic=topic, detail=detail)

    def peer_connected(self, connection: Connection) -> None:
        """A restarted LocalQueue or supervisor is told everything again; a restarted DataLayer what it missed."""
        if not connection.is_outgoing:
            return
        if connection.actor == "data_layer":
            self.executions.data_layer_connected(self.clock.monotonic_ns())
        elif connection.actor == SWAPPER:
            self.spawn(self._meet_swapper(), "meet the Swapper")
        else:
            if connection.actor == "local_queue":
                self.executions.restore_messages()
            self.recovery.needed.set()
        self._flush()

    def peer_disconnected(self, connection: Connection) -> None:
        """Every worker hangs on the LocalQueue; every template on the supervisor."""
        if not connection.is_outgoing:
            self.answering.disconnected(connection)
            self.routes.forget(connection)
            return
        now_ns = self.clock.monotonic_ns()
        if connection.actor == "local_queue":
            self.executions.queue_lost(now_ns)
        elif connection.actor == "fw_supervisor":
            self.dispatch.supervisor_lost(now_ns)
        elif connection.actor == SWAPPER:
            self.paging.steering.lost(now_ns)
        self.executions.settle(now_ns)
        self._flush()

    # --- effects ------------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Carry out what the core decided, in order. Sending can end a connection; that fact can come back in here."""
        if self._flushing:
            return  # the loop below reaches what was added
        self._flushing = True
        steer(self.paging.steering, self.executions, self.clock.monotonic_ns())
        effects = self.dispatch.effects
        done = 0
        try:
            for effect in effects:
                done += 1
                self._carry_out(effect)
        finally:  # what cannot be carried out must not hold back what comes after it
            del effects[:done]
            self._flushing = False
        due_ns = self._due_ns()
        if due_ns is not None and due_ns < self._sleeping_until_ns:
            self._sooner.set()

    async def _meet_swapper(self) -> None:
        await self.paging.connect()
        self._flush()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Tell(peer, message):
                with suppress(PeerUnavailable):  # its workers are gone with it; peer_disconnected says so
                    self.tell(peer, message)
            case Store(execution_id, request):
                self.spawn(self.journal.store(execution_id, request), "store")
            case TakeBack(worker_topic):
                self.spawn(self._take_back(worker_topic), "take back")
            case Declare(declaration):
                self.spawn(self.deployer.declare(declaration), "declare")
            case Answer(execution_id, answer):
                self.starts.answer(execution_id, answer)
            case Ended():
                self.starts.ended(effect)
            case _:
                self._carry_out_apart(effect)

    def _carry_out_apart(self, effect: Apart) -> None:
        match effect:
            case Fetch() | Export():
                self.map_data.begin(effect)
            case GiveUp():
                self.map_data.give_up(effect)
            case Reply():
                self.answering.reply(effect)
            case StartChild() | FollowChild() | StopChild():
                self.children.carry_out(effect)
            case Warn(execution_id, detail):
                self.log.warning("data is large", execution_id=execution_id, detail=detail)

    async def _take_back(self, worker_topic: str) -> None:
        taken = True
        try:
            await self.ask("local_queue", Unsubscribe(worker_topic), Done)
        except Away:
            taken = False
        now_ns = self.clock.monotonic_ns()
        self.dispatch.taken_back(worker_topic, taken, now_ns)
        self.executions.settle(now_ns)
        self._flush()

    # --- deployments --------------------------------------------------------------------------------------------------

    async def _deploy(self, wanted: Deploy | Rollback | RemoveApp, sender: Sender) -> None:
        try:
            await asyncio.wait_for(self.recovery.loaded.wait(), self.settings.ask_timeout_s)
        except TimeoutError:
            sender.refuse("unavailable", "the ExecutionManager is starting", retryable=True, retry_after_s=1.0)
        else:
            await self.deployer.answer(wanted, sender)

    def _changed(self) -> None:
        """Deployments or templates changed: tell the Frontends, and act on what pools decided."""
        if self.routes.tell_changes():
            self.executions.tally.forget_except(self.catalogue.functions())
        self.executions.settle(self.clock.monotonic_ns())
        self._flush()

    # --- time ---------------------------------------------------------------------------------------------------------

    def _due_ns(self) -> int | None:
        paging_ns = self.paging.steering.next_due_ns(self.clock.monotonic_ns())
        due = (self.executions.next_due_ns(), self.dispatch.next_due_ns(), paging_ns)
        return min((ns for ns in due if ns is not None), default=None)

    async def _watch_time(self) -> None:
        """Tick about once a second, and whenever a timer of the core is over."""
        last_ns = self.clock.monotonic_ns()
        while True:
            now_ns = self.clock.monotonic_ns()
            regular_ns = last_ns + int(TICK_S * NS_PER_S)
            self._sleeping_until_ns = min(regular_ns, self._due_ns() or regular_ns)
            self._sooner.clear()
            try:
                async with asyncio.timeout(max(0.0, (self._sleeping_until_ns - now_ns) / NS_PER_S)):
                    await self._sooner.wait()
            except TimeoutError:
                now_ns = self.clock.monotonic_ns()
                if now_ns >= regular_ns:
                    last_ns = now_ns
                    self._every_second(now_ns)
                elif (self.dispatch.next_due_ns() or now_ns + 1) <= now_ns:
                    self.dispatch.tick(now_ns)
                self.executions.tick(now_ns)
                self._flush()

    def _every_second(self, now_ns: int) -> None:
        self.dispatch.tick(now_ns)
        self._read_wall_clock()
        self._ticks += 1
        if self.is_connected("data_layer"):
            self.executions.data_layer_connected(self.clock.monotonic_ns())
        if self.recovery.loaded.is_set() and not self.starts.is_stopping:
            for version in self.deployer.to_stop():
                self.spawn(self.deployer.stop_when_quiet(version), "stop version")
        if self._ticks % RECONCILE_TICKS == 0 and self.dispatch.is_connected:
            self.spawn(self.recovery.reconcile(), "reconcile")

    def _read_wall_clock(self) -> None:
        self.executions.offset_ms = self.clock.wall_ms() - self.clock.monotonic_ns() // NS_PER_MS

    # --- stopping -----------------------------------------------------------------------------------------------------

    async def drain(self, deadline_s: float) -> None:
        """Admit nothing more; states under way may end, what happened is journalled, what was learned saved."""
        self.starts.is_stopping = True
        self.executions.pause(self.clock.monotonic_ns())
        self._flush()
        while not self.executions.is_settled():
            self.journal.progress.clear()
            await self.journal.progress.wait()
        await self.remembering.save()
