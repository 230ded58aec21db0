"""Executions as the store keeps them: standard ones in the database, express ones in memory until they have ended.

Owns the order of one execution's writes when some of them must go to a file first, and when ended express executions
are written. The statements are in `executions`.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future, Task
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from actorfaas.errors import RequestRefused, StorageUnavailable
from actorfaas.logs import Logger
from actorfaas.messages import (
    AppendHistory,
    CreateExecution,
    ExecutionInput,
    Executions,
    ExecutionState,
    FinishExecution,
    HistoryEvent,
    HistorySummary,
    Journal,
    KvWrite,
    ListExecutions,
    RecordExecution,
    ReopenExecution,
    SummariseHistory,
    Unfinished,
    UnfinishedExecution,
)
from actorfaas.storage import executions, key_values, listing, redriving
from actorfaas.storage.bodies import Bodies, Body, files_of
from actorfaas.storage.express import ExpressExecutions, without_event_payloads
from actorfaas.storage.history_pages import page_of, summary, summary_of
from actorfaas.storage.reader import Reader
from actorfaas.storage.tasks import Tasks
from actorfaas.storage.writer import Operation, Transaction, Writer

T = TypeVar("T")

REPLY_BYTES = 8 * 1024 * 1024
"""Most bytes of events' payloads in one answer, so that it stays well within a frame."""

EXPRESS_BATCH = 100
EXPRESS_FLUSH_S = 0.2
EXPRESS_RETRY_S = 2.0
EXPRESS_UNWRITTEN_LIMIT = 5_000


def wall_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class ExecutionStore:
    """The executions' part of a store; the writer, the reader and the bodies are the store's."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        bodies: Bodies,
        tasks: Tasks,
        log: Logger,
        now_ms: Callable[[], int],
        value_limit_bytes: int,
    ) -> None:
        self._value_limit_bytes = value_limit_bytes
        self._writer = writer
        self._reader = reader
        self._bodies = bodies
        self._tasks = tasks
        self._log = log
        self._now_ms = now_ms
        self._express = ExpressExecutions()
        self._spilling: dict[str, Task[None]] = {}
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flush: Task[None] | None = None

    async def close(self) -> None:
        """Write the express executions that have ended."""
        if self._express.ended:
            await self._flushed()
        if self._flush_timer is not None:
            self._flush_timer.cancel()

    # --- writes ------------------------------------------------------------------------------------------

    def create_execution(self, request: CreateExecution) -> Future[None]:
        """Remember a new execution; "conflict" if its id exists."""
        now_ms = self._now_ms()
        if request.durability == "express":
            self._express.create(request, now_ms)
            return _ready(None)
        if request.execution_id in self._express:
            raise RequestRefused("conflict", f"an execution {request.execution_id} exists already")
        bare = replace(request, payload=b"")
        return self._write_in_order(
            request.execution_id,
            (request.payload,),
            lambda bodies: lambda transaction: executions.create(transaction, bare, bodies[0], now_ms),
        )

    def append_history(self, request: AppendHistory) -> Future[None]:
        """Add events, ignoring those whose number is there already; "not_found"."""
        if request.execution_id in self._express:
            self._express.append(request)
            return _ready(None)
        writes = key_values.writes_of(request, self._value_limit_bytes) if request.payload else ()
        now_ms = self._now_ms()
        return self._write_in_order(
            request.execution_id,
            (*(event.payload for event in request.events), *(write.value for write in writes)),
            lambda bodies: partial(_append, request=request, writes=writes, bodies=bodies, now_ms=now_ms),
        )

    def finish_execution(self, request: FinishExecution) -> Future[None]:
        """Set the one result; a second one is ignored; "not_found"."""
        now_ms = self._now_ms()
        if request.execution_id in self._express:
            self._express.finish(request, now_ms)
            self._flush_soon(EXPRESS_FLUSH_S)
            return _ready(None)
        return self._write_in_order(
            request.execution_id,
            (*(event.payload for event in request.events), request.payload),
            lambda bodies: lambda transaction: executions.finish(transaction, request, bodies, now_ms),
        )

    def record_execution(self, request: RecordExecution) -> Future[None]:
        """Create and finish at once; what is there already stays."""
        now_ms = self._now_ms()
        create, finish = request.create, request.finish
        if create.durability == "express" and create.execution_id not in self._express:
            self._express.create(create, now_ms)
        if create.execution_id in self._express:
            return self.finish_execution(finish)
        bare = replace(create, payload=b"")
        return self._write_in_order(
            create.execution_id,
            (create.payload, *(event.payload for event in finish.events), finish.payload),
            lambda bodies: lambda transaction: executions.record(transaction, bare, finish, bodies, now_ms),
        )

    def _write_in_order(
        self,
        execution_id: str,
        payloads: tuple[bytes, ...],
        operation: Callable[[list[Body]], Operation[None]],
    ) -> Future[None]:
        """Submit at once when nothing must go to a file; else after the files, and after what came before."""
        before = self._spilling.get(execution_id)
        if before is None and not any(map(self._bodies.is_large, payloads)):
            return self._writer.submit(operation([Body(payload) for payload in payloads]))

        async def write() -> None:
            bodies = await self._bodies.store(payloads)
            if before is not None:
                await asyncio.wait([before])
            await self._bodies.commit(self._writer, operation(bodies), bodies)

        task = self._tasks.spawn(write(), f"write {execution_id}")
        self._spilling[execution_id] = task
        task.add_done_callback(partial(self._spilled, execution_id))
        return task

    def _spilled(self, execution_id: str, task: Task[None]) -> None:
        if self._spilling.get(execution_id) is task:
            del self._spilling[execution_id]

    # --- reads -------------------------------------------------------------------------------------------

    def get_execution(
        self, execution_id: str, event_payloads: bool, after_seq: int = 0, limit: int = 0
    ) -> Future[ExecutionState]:
        """One execution as it is now, with a page of its events (`limit` 0: all); "not_found"."""
        state = self._express.get(execution_id)
        if state is not None:
            state = page_of(state, after_seq, limit)
            return _ready(state if event_payloads else without_event_payloads(state))
        query = partial(
            executions.get, execution_id=execution_id, event_payloads=event_payloads, after_seq=after_seq, limit=limit
        )
        return self._tasks.spawn(self._bodies.read(self._reader, query, self._loaded_execution), f"read {execution_id}")

    def summarise_history(self, request: SummariseHistory) -> Future[HistorySummary]:
        """What a page of a history cannot tell; "not_found"."""
        state = self._express.get(request.execution_id)
        if state is not None:
            return _ready(summary_of(request, state))
        return self._reader.run(partial(summary, request=request))

    async def _loaded_execution(self, found: executions.StoredExecution) -> ExecutionState:
        return replace(
            found.state,
            events=await self._loaded_events(found.events, REPLY_BYTES),
            payload=await self._bodies.load(found.output),
        )

    def get_input(self, execution_id: str) -> Future[ExecutionInput]:
        """What one execution was started with; "not_found"."""
        given = self._express.input_of(execution_id)
        if given is not None:
            return _ready(ExecutionInput(given))
        query = partial(executions.input_of, execution_id=execution_id)
        reading = self._bodies.read(self._reader, query, self._loaded_input)
        return self._tasks.spawn(reading, f"read the input of {execution_id}")

    async def _loaded_input(self, body: Body) -> ExecutionInput:
        return ExecutionInput(await self._bodies.load(body))

    def list_executions(self, request: ListExecutions) -> Future[Executions]:
        """A page of executions, newest first; "invalid" for an unknown status or cursor."""
        if not self._express.ended:
            return self._reader.run(partial(listing.page, request=request))

        async def after_flush() -> Executions:
            await self._flushed()
            return await self._reader.run(partial(listing.page, request=request))

        return self._tasks.spawn(after_flush(), "list executions")

    async def when_written(self) -> None:
        """Back when the express executions that have ended by now can be read."""
        if self._express.ended:
            await self._flushed()

    def list_unfinished(self, cursor: str) -> Future[Unfinished]:
        """A page of the standard executions that have no result, oldest first, with their journals."""
        query = partial(executions.unfinished, after=cursor, budget_bytes=REPLY_BYTES)
        return self._tasks.spawn(
            self._bodies.read(self._reader, query, self._loaded_unfinished), "read unfinished executions"
        )

    def get_journal(self, execution_id: str) -> Future[Journal]:
        """One standard execution with its journal; "not_found" or, for an express one, "conflict"."""
        if execution_id in self._express:
            raise RequestRefused("conflict", f"execution {execution_id} is express; it has no journal")
        query = partial(redriving.journal, execution_id=execution_id)
        return self._tasks.spawn(
            self._bodies.read(self._reader, query, self._loaded_journal), f"read the journal of {execution_id}"
        )

    async def _loaded_journal(self, found: redriving.StoredJournal) -> Journal:
        one = found.execution
        execution = self._unfinished_of(one, await self._loaded_events(one.events), await self._bodies.load(one.input))
        return Journal(execution, *found[1:])

    def reopen_execution(self, request: ReopenExecution) -> Future[None]:
        """Make an execution that ended without success run again; "conflict"."""
        return self._writer.submit(partial(redriving.reopen, request=request))

    @staticmethod
    def _unfinished_of(
        one: executions.StoredUnfinished, events: tuple[HistoryEvent, ...], body: bytes
    ) -> UnfinishedExecution:
        return UnfinishedExecution(
            *(one.execution_id, one.name, one.app, one.version, one.kind),
            *(one.deadline_at_ms, one.traceparent, events, body),
        )

    async def _loaded_unfinished(self, found: tuple[list[executions.StoredUnfinished], bool]) -> Unfinished:
        stored, more = found
        loaded: list[UnfinishedExecution] = []
        size_bytes = 0
        for one in stored:
            if size_bytes > REPLY_BYTES:
                return Unfinished(tuple(loaded), str(stored[len(loaded) - 1].id))
            events = await self._loaded_events(one.events)
            body = await self._bodies.load(one.input)
            size_bytes += len(body) + sum(len(event.payload) for event in events)
            loaded.append(self._unfinished_of(one, events, body))
        return Unfinished(tuple(loaded), str(stored[-1].id) if more and stored else "")

    async def _loaded_events(
        self, stored: Sequence[executions.StoredEvent], budget_bytes: int | None = None
    ) -> tuple[HistoryEvent, ...]:
        events: list[HistoryEvent] = []
        size_bytes = 0
        for event, body in stored:
            if budget_bytes is not None and size_bytes > budget_bytes:
                events.append(event)
                continue
            payload = await self._bodies.load(body)
            size_bytes += len(payload)
            events.append(replace(event, payload=payload) if payload else event)
        return tuple(events)

    # --- express executions ------------------------------------------------------------------------------------------

    def _flush_soon(self, delay_s: float) -> None:
        if self._flush_timer is None and self._flush is None:
            self._flush_timer = asyncio.get_running_loop().call_later(delay_s, self._flushed)

    def _flushed(self) -> Task[None]:
        """The task that writes what has ended; one at a time."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self._flush is None:
            self._flush = self._tasks.spawn(self._flush_express(), "write express executions")
        return self._flush

    async def _flush_express(self) -> None:
        try:
            while batch := self._express.next_ended(EXPRESS_BATCH):
                await asyncio.gather(*(self._write_express(*one) for one in batch))
        except (StorageUnavailable, RequestRefused) as error:
            forgotten = self._express.trim(EXPRESS_UNWRITTEN_LIMIT)
            self._log.warning("express executions not written", error=str(error), forgotten=forgotten)
        finally:
            self._flush = None
        if self._express.ended:
            self._flush_soon(EXPRESS_RETRY_S)

    async def _write_express(self, request: CreateExecution, state: ExecutionState) -> None:
        payloads = (request.payload, *(event.payload for event in state.events), state.payload)
        bare = replace(request, payload=b"")
        row = replace(without_event_payloads(state), payload=b"")
        await self._bodies.write(
            self._writer,
            payloads,
            lambda bodies: partial(executions.insert_ended, request=bare, state=row, bodies=bodies),
        )
        self._express.written(request.execution_id)


def _append(
    transaction: Transaction, request: AppendHistory, writes: tuple[KvWrite, ...], bodies: list[Body], now_ms: int
) -> None:
    """Insert events and make the changes of the last one's task, unless that is there already: then they are, too."""
    count = len(request.events)
    if executions.append(transaction, request, bodies[:count]):
        key_values.commit_with_task(transaction, writes, bodies[count:], now_ms)
    else:
        transaction.discarded += files_of(bodies[count:])


def _ready(value: T) -> Future[T]:
    future: Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
