"""The DataLayer: durable state, and who is waiting for it to change.

A thin shell around `storage.interface.Store`: each message becomes one call, each outcome one answer. What it owns
itself is waiting: for the end of an execution and for new log lines, by notification after the commit, never by
polling. It computes nothing and connects to nobody.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from functools import partial
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from actorfaas.config import Settings
from actorfaas.errors import RequestRefused, StorageError, StorageUnavailable
from actorfaas.messages import (
    ActivateDeployment,
    AddMapResults,
    AppendHistory,
    AppendLogs,
    ClaimExecutionName,
    ClaimIdempotencyKey,
    CreateActivity,
    CreateExecution,
    DeleteActivity,
    Done,
    DropItems,
    DropMapResults,
    ExecutionState,
    FetchItems,
    FinishExecution,
    FinishMapResults,
    GetExecution,
    GetExecutionInput,
    GetJournal,
    GetLearned,
    GetTrace,
    KvCommit,
    KvGet,
    KvList,
    KvNames,
    ListActivities,
    ListDeployments,
    ListExecutions,
    ListUnfinished,
    LogLine,
    Logs,
    Message,
    ReadEnded,
    ReadLogs,
    ReadTraces,
    RecordCalls,
    RecordExecution,
    ReopenExecution,
    SaveDeployment,
    SaveLearned,
    SummariseHistory,
    WaitExecution,
)
from actorfaas.runtime.actor import Actor, Connection, Overflow, Sender
from actorfaas.runtime.allocator import give_large_blocks_back
from actorfaas.storage.function_logs import matches
from actorfaas.storage.interface import Store
from actorfaas.storage.sqlite_store import SqliteStore
from actorfaas.storage.waiters import Waiters, Waiting

PRUNE_INTERVAL_S = 10.0
PRUNE_PAUSE_S = 0.02
RETRY_AFTER_S = 1.0

_DONE = Done()
_ALL_LINES = ""
"""The one key under which everybody waits for log lines; their filters differ."""

M = TypeVar("M", bound=Message)
T = TypeVar("T")


class _Reader(NamedTuple, Generic[M]):
    """One that waits for news: what it asked, and whom to answer."""

    request: M
    sender: Sender


class DataLayer(Actor):
    """Owns the store. Every answer to a write comes after its commit."""

    name: ClassVar[str] = "data_layer"
    overflow: ClassVar[Overflow] = Overflow.PAUSE

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        super().__init__(settings)
        self._store: Store = store or SqliteStore(settings, self.log, lambda: self.clock.wall_ms())
        self._execution_waiters: Waiters[_Reader[WaitExecution]] = Waiters()
        self._log_waiters: Waiters[_Reader[ReadLogs]] = Waiters()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._maintenance: asyncio.Task[None] | None = None
        self._storage_fails = False

    # --- life --------------------------------------------------------------------------------------------------------

    async def set_up(self) -> None:
        """Open the store. Raises StorageUnusable with what to do about it."""
        self._loop = asyncio.get_running_loop()
        give_large_blocks_back()
        await self._store.open()
        self._maintenance = self.spawn(self._maintain(), "retention")

    async def tear_down(self) -> None:
        """Commit what is under way, answer it, close the store."""
        if self._timer is not None:
            self._timer.cancel()
        if self._maintenance is not None:
            self._maintenance.cancel()
            await asyncio.wait([self._maintenance])
        await self._store.close()

    def peer_disconnected(self, connection: Connection) -> None:
        """Nobody waits on a connection that ended."""
        self._execution_waiters.remove_where(lambda reader: reader.sender.connection is connection)
        self._log_waiters.remove_where(lambda reader: reader.sender.connection is connection)

    def receive(self, message: Message, sender: Sender) -> None:
        """Start what the message asks for; the answer follows when it is done."""
        try:
            self._start(message, sender)
        except (RequestRefused, StorageError) as error:
            self._refuse(sender, error)

    def _start(self, message: Message, sender: Sender) -> None:
        store = self._store
        match message:
            case CreateExecution():
                self._answer(sender, store.create_execution(message))
            case AppendHistory():
                self._answer(sender, store.append_history(message))
            case FinishExecution():
                self._finish(message.execution_id, store.finish_execution(message), sender)
            case RecordExecution():
                self._finish(message.finish.execution_id, store.record_execution(message), sender)
            case SaveDeployment():
                self._answer(sender, store.save_deployment(message))
            case ActivateDeployment():
                self._answer(sender, store.activate_deployment(message.app, message.version))
            case AppendLogs():
                self._append_logs(message, sender)
            case _:
                self._start_admitting(message, sender)

    def _start_admitting(self, message: Message, sender: Sender) -> None:
        """What decides whether an execution may begin, or go on."""
        store = self._store
        match message:
            case ClaimExecutionName():
                self._answer(sender, store.claim_execution_name(message))
            case ClaimIdempotencyKey():
                self._answer(sender, store.claim_idempotency_key(message))
            case GetJournal():
                self._answer(sender, store.get_journal(message.execution_id))
            case ReopenExecution():
                self._answer(sender, store.reopen_execution(message))
            case _:
                self._start_reading(message, sender)

    def _start_reading(self, message: Message, sender: Sender) -> None:
        store = self._store
        match message:
            case WaitExecution():
                self._wait(message, sender)
            case GetExecution():
                page = message.after_seq, message.limit
                self._answer(sender, store.get_execution(message.execution_id, message.event_payloads, *page))
            case GetExecutionInput():
                self._answer(sender, store.get_input(message.execution_id))
            case ListExecutions():
                self._answer(sender, store.list_executions(message))
            case ListUnfinished():
                self._answer(sender, store.list_unfinished(message.cursor))
            case ListDeployments():
                self._answer(sender, store.list_deployments(message.app, message.active_only))
            case _:
                self._start_on_observations(message, sender)

    def _start_on_observations(self, message: Message, sender: Sender) -> None:
        store = self._store
        match message:
            case ReadLogs():
                self._read_logs(message, sender)
            case RecordCalls():
                self._answer(sender, store.record_calls(message.calls))
            case GetTrace():
                self._answer(sender, store.get_trace(message.trace_id))
            case ReadTraces():
                self._answer(sender, store.read_traces(message))
            case ReadEnded():
                self._answer(sender, store.read_ended(message))
            case _:
                self._start_on_data(message, sender)

    def _start_on_data(self, message: Message, sender: Sender) -> None:
        store = self._store
        match message:
            case KvGet():
                self._answer(sender, store.kv_get(message))
            case KvCommit():
                self._answer(sender, store.kv_commit(message))
            case KvList():
                self._answer(sender, store.kv_list(message))
            case KvNames():
                self._answer(sender, store.kv_names(message))
            case CreateActivity(name):
                self._answer(sender, store.create_activity(name))
            case DeleteActivity(name):
                self._answer(sender, store.delete_activity(name))
            case ListActivities():
                self._answer(sender, store.list_activities())
            case SaveLearned():
                self._answer(sender, store.save_learned(message))
            case GetLearned():
                self._answer(sender, store.get_learned(message))
            case _:
                self._start_on_maps(message, sender)

    def _start_on_maps(self, message: Message, sender: Sender) -> None:
        store = self._store
        match message:
            case SummariseHistory():
                self._answer(sender, store.summarise_history(message))
            case FetchItems():
                self._answer(sender, store.fetch_items(message))
            case AddMapResults():
                self._answer(sender, store.add_map_results(message))
            case FinishMapResults():
                self._answer(sender, store.finish_map_results(message))
            case DropItems():
                store.drop_items(message)
            case DropMapResults():
                store.drop_map_results(message)
            case _:
                raise RequestRefused("invalid", f"{self.name} does not take {type(message).__name__}")

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answer(self, sender: Sender, outcome: Future[M] | Future[None]) -> None:
        outcome.add_done_callback(partial(self._answer_with, sender))

    def _answer_with(self, sender: Sender, outcome: Future[M] | Future[None]) -> None:
        error = _error_of(outcome)
        if error is not None:
            self._refuse(sender, error)
            return
        self._storage_works(True)
        sender.reply(outcome.result() or _DONE)

    def _refuse(self, sender: Sender, error: BaseException) -> None:
        if isinstance(error, RequestRefused):
            sender.refuse(error.code, error.detail, retryable=error.retryable, retry_after_s=error.retry_after_s)
        elif isinstance(error, StorageError):
            self._storage_works(False, error)
            sender.refuse("unavailable", str(error), retryable=True, retry_after_s=RETRY_AFTER_S)
        else:
            self.log.error("a request could not be stored", sender=sender.actor, exc_info=error)
            sender.refuse("internal", f"{type(error).__name__}: {error}")

    def _storage_works(self, works: bool, error: BaseException | None = None) -> None:
        """Log when storage begins to fail and when it works again, not every failure in between."""
        if works == self._storage_fails:
            self._storage_fails = not works
            if works:
                self.log.info("storage works again")
            else:
                self.log.error("storage fails; requests are refused until it works", error=str(error))

    # --- waiting for the end of an execution -------------------------------------------------------------------------

    def _finish(self, execution_id: str, finished: Future[None], sender: Sender) -> None:
        self._answer(sender, finished)
        finished.add_done_callback(partial(self._announce, execution_id))

    def _wait(self, request: WaitExecution, sender: Sender) -> None:
        """Wait first, look second: an end in between is then seen by one or the other."""
        ticket = self._execution_waiters.add(request.execution_id, request.deadline_ns, _Reader(request, sender))
        looked = self._look_up(request.execution_id, request.event_payloads, request.limit)
        looked.add_done_callback(partial(self._looked, ticket, request.must_exist, sender))
        self._set_timer()

    def _looked(self, ticket: int, must_exist: bool, sender: Sender, looked: Future[ExecutionState]) -> None:
        error = _error_of(looked)
        unknown = isinstance(error, RequestRefused) and error.code == "not_found"
        if (error is None and looked.result().status == "running") or (unknown and not must_exist):
            return
        if self._execution_waiters.remove(ticket):
            self._answer_with(sender, looked)

    def _announce(self, execution_id: str, finished: Future[None]) -> None:
        """An execution ended, and it is committed: read it once for everybody who waits."""
        waiting = self._execution_waiters.of(execution_id)
        if _error_of(finished) is None and waiting:
            event_payloads = any(one.waiter.request.event_payloads for one in waiting)
            limits = [one.waiter.request.limit for one in waiting]
            looked = self._look_up(execution_id, event_payloads, max(limits) if all(limits) else 0)
            looked.add_done_callback(partial(self._announced, tuple(waiting)))

    def _announced(self, waiting: tuple[Waiting[_Reader[WaitExecution]], ...], looked: Future[ExecutionState]) -> None:
        """Answer those whom it was read for; who came later may want more of it, and looks by himself."""
        for one in waiting:
            if self._execution_waiters.remove(one.ticket):
                self._answer_with(one.waiter.sender, looked)

    def _look_up(self, execution_id: str, event_payloads: bool, limit: int) -> Future[ExecutionState]:
        """As `Store.get_execution`, but a refusal at once is in the future, too."""
        try:
            return self._store.get_execution(execution_id, event_payloads, 0, limit)
        except (RequestRefused, StorageError) as error:
            return _failed(error)

    # --- waiting for log lines ---------------------------------------------------------------------------------------

    def _append_logs(self, message: AppendLogs, sender: Sender) -> None:
        appended = self._store.append_logs(message.lines)
        self._answer(sender, appended)
        appended.add_done_callback(partial(self._announce_lines, message.lines))

    def _read_logs(self, request: ReadLogs, sender: Sender) -> None:
        if request.wait_until_ns <= self.clock.monotonic_ns():
            self._answer(sender, self._store.read_logs(request))
            return
        reader = _Reader(request, sender)
        ticket = self._log_waiters.add(_ALL_LINES, request.wait_until_ns, reader)
        self._read_for(Waiting(ticket, _ALL_LINES, reader))
        self._set_timer()

    def _read_for(self, waiting: Waiting[_Reader[ReadLogs]]) -> None:
        try:
            lines = self._store.read_logs(waiting.waiter.request)
        except (RequestRefused, StorageError) as error:
            lines = _failed(error)
        lines.add_done_callback(partial(self._lines_read, waiting))

    def _lines_read(self, waiting: Waiting[_Reader[ReadLogs]], lines: Future[Logs]) -> None:
        if _error_of(lines) is None and not lines.result().lines:
            return  # go on waiting
        if self._log_waiters.remove(waiting.ticket):
            self._answer_with(waiting.waiter.sender, lines)

    def _announce_lines(self, lines: tuple[LogLine, ...], appended: Future[None]) -> None:
        if _error_of(appended) is not None:
            return
        for waiting in self._log_waiters.of(_ALL_LINES):
            if any(matches(waiting.waiter.request, line) for line in lines):
                self._read_for(waiting)

    # --- time --------------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """One timer, for the earliest deadline."""
        deadlines = (self._execution_waiters.next_deadline_ns(), self._log_waiters.next_deadline_ns())
        earliest_ns = min((deadline for deadline in deadlines if deadline is not None), default=0)
        if self._timer is not None:
            if earliest_ns == self._timer_ns:
                return
            self._timer.cancel()
            self._timer = None
        if earliest_ns:
            delay_s = max(0, earliest_ns - self.clock.monotonic_ns()) / 1e9
            self._timer_ns = earliest_ns
            self._timer = self._loop.call_later(delay_s, self._answer_due)

    def _answer_due(self) -> None:
        self._timer = None
        now_ns = self.clock.monotonic_ns()
        for waiting in self._execution_waiters.due(now_ns):
            request = waiting.waiter.request
            self._answer(waiting.waiter.sender, self._look_up(waiting.key, request.event_payloads, request.limit))
        for reader in self._log_waiters.due(now_ns):
            reader.waiter.sender.reply(Logs((), reader.waiter.request.after_seq))
        self._set_timer()

    async def _maintain(self) -> None:
        """Keep what is stored within the retention settings, in small steps between the others' work."""
        while True:
            more = False
            try:
                more = (await self._store.prune()).more
            except (RequestRefused, StorageError) as error:
                self.log.warning("retention not applied", error=str(error))
            await asyncio.sleep(PRUNE_PAUSE_S if more else PRUNE_INTERVAL_S)


def _error_of(outcome: Future[Any]) -> BaseException | None:  # Any: of whatever the result is
    """Why a future has no result; a cancelled one was stopped with the store."""
    return StorageUnavailable("the store was closed") if outcome.cancelled() else outcome.exception()


def _failed(error: Exception) -> Future[T]:
    future: Future[T] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
