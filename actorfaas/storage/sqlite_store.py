"""The store of one node: two SQLite databases with a writer each, readers beside them, and files for large payloads.

Owns how the parts are put together and in which order they start and stop. The statements, and what they mean, are
in the modules beside this one.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable
from functools import partial
from sqlite3 import Connection

from actorfaas import messages
from actorfaas.batches import unpacked
from actorfaas.config import Settings
from actorfaas.errors import StorageError
from actorfaas.logs import Logger
from actorfaas.storage import (
    activities,
    deployments,
    execution_names,
    executions,
    function_logs,
    idempotency,
    key_values,
    learned,
    schema,
    traced_calls,
    traced_executions,
)
from actorfaas.storage.bodies import Bodies, Body
from actorfaas.storage.database import Database, unavailable
from actorfaas.storage.ended import EndedExecutions
from actorfaas.storage.execution_store import ExecutionStore, wall_ms
from actorfaas.storage.interface import Pruned, Store
from actorfaas.storage.lock import FolderLock
from actorfaas.storage.map_data import MapData
from actorfaas.storage.payload_files import PAYLOADS
from actorfaas.storage.reader import Reader
from actorfaas.storage.tasks import Tasks
from actorfaas.storage.writer import Writer

PRUNE_EXECUTIONS = 200
PRUNE_KEYS = 200
PRUNE_LINES = 2_000
PRUNE_CALLS = 2_000

ENDED_CALLS, ENDED_EXECUTIONS = 1_000, 100
"""Most in one answer about what ended."""


class SqliteStore(Store):
    """`interface.Store` on SQLite, in `settings.data_dir`."""

    def __init__(self, settings: Settings, log: Logger, now_ms: Callable[[], int] = wall_ms) -> None:
        folder = settings.data_dir
        synchronous = settings.sqlite_synchronous
        self._settings = settings
        self._log = log
        self._now_ms = now_ms
        self._lock = FolderLock(folder / "storage.lock")
        self._state = Database(
            folder / "state.sqlite", schema.STATE_APPLICATION_ID, schema.STATE_MIGRATIONS, synchronous
        )
        # What functions print need not survive loss of power, so its commits wait for no disk.
        self._logs = Database(folder / "logs.sqlite", schema.LOGS_APPLICATION_ID, schema.LOGS_MIGRATIONS, "normal")
        self._tasks = Tasks()
        self._bodies = Bodies(folder / PAYLOADS, synchronous == "full", settings.spill_bytes)
        self._writer = Writer(self._state.path, self._state.writer, self._discard, settings.commit_interval_ms / 1000)
        self._log_writer = Writer(self._logs.path, self._logs.writer, self._discard)
        self._reader = Reader(self._state.path, self._state.reader)
        self._log_reader = Reader(self._logs.path, self._logs.reader, threads=1)
        self._recorded: Future[None] | None = None  # the last calls of traces that came
        self._ended = EndedExecutions(now_ms() * 1000)
        self._excess = 0  # how many executions this round of retention has still to remove
        self._pruned_to = 0  # how far this round of retention has looked
        self._executions = ExecutionStore(
            self._writer, self._reader, self._bodies, self._tasks, log, now_ms, settings.max_body_bytes
        )
        self._map_data = MapData(settings, self._tasks)

    # --- life --------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        await asyncio.to_thread(self._prepare)
        await self._writer.open()
        await self._log_writer.open()
        orphans = await self._bodies.collect_orphans(self._reader)
        if orphans:
            self._log.info("orphaned payload files removed", count=orphans)

    async def close(self) -> None:
        await self._executions.close()
        self._map_data.stop()
        await self._tasks.wait()
        self._map_data.close()
        await self._writer.close()
        await self._log_writer.close()
        await self._tasks.wait()  # the last commits may have discarded files
        await self._reader.close()
        await self._log_reader.close()
        self._lock.release()

    def _prepare(self) -> None:
        folder = self._settings.data_dir
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            self._bodies.open()
            self._state.prepare()
            self._logs.prepare()
        except OSError as error:
            self._lock.release()
            raise unavailable(folder, error) from error
        except StorageError:
            self._lock.release()
            raise

    # --- executions --------------------------------------------------------------------------------------------------

    def create_execution(self, request: messages.CreateExecution) -> Future[None]:
        return self._executions.create_execution(request)

    def append_history(self, request: messages.AppendHistory) -> Future[None]:
        return self._executions.append_history(request)

    def finish_execution(self, request: messages.FinishExecution) -> Future[None]:
        return self._noted(request.execution_id, self._executions.finish_execution(request))

    def record_execution(self, request: messages.RecordExecution) -> Future[None]:
        return self._noted(request.create.execution_id, self._executions.record_execution(request))

    def _noted(self, execution_id: str, finished: Future[None]) -> Future[None]:
        """Remember an end for whoever sends spans on."""

        def note(done: Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                self._ended.note(execution_id)

        if self._settings.otlp_endpoint:
            finished.add_done_callback(note)
        return finished

    def get_execution(
        self, execution_id: str, event_payloads: bool = True, after_seq: int = 0, limit: int = 0
    ) -> Future[messages.ExecutionState]:
        return self._executions.get_execution(execution_id, event_payloads, after_seq, limit)

    def summarise_history(self, request: messages.SummariseHistory) -> Future[messages.HistorySummary]:
        return self._executions.summarise_history(request)

    def get_input(self, execution_id: str) -> Future[messages.ExecutionInput]:
        return self._executions.get_input(execution_id)

    def list_executions(self, request: messages.ListExecutions) -> Future[messages.Executions]:
        return self._executions.list_executions(request)

    def list_unfinished(self, cursor: str) -> Future[messages.Unfinished]:
        return self._executions.list_unfinished(cursor)

    def get_journal(self, execution_id: str) -> Future[messages.Journal]:
        return self._executions.get_journal(execution_id)

    def reopen_execution(self, request: messages.ReopenExecution) -> Future[None]:
        return self._executions.reopen_execution(request)

    # --- idempotency keys --------------------------------------------------------------------------------------------

    def claim_idempotency_key(self, request: messages.ClaimIdempotencyKey) -> Future[messages.IdempotencyClaim]:
        lasts_ms = round(self._settings.idempotency_hours * 3_600_000)
        return self._writer.submit(
            partial(idempotency.claim, request=request, now_ms=self._now_ms(), lasts_ms=lasts_ms)
        )

    def claim_execution_name(self, request: messages.ClaimExecutionName) -> Future[messages.ExecutionNameClaim]:
        return self._writer.submit(partial(execution_names.claim, request=request, now_ms=self._now_ms()))

    # --- key-value data ----------------------------------------------------------------------------------------------

    def kv_get(self, request: messages.KvGet) -> Future[messages.KvValue]:
        query = partial(key_values.get, namespace=request.namespace, key=request.key, now_ms=self._now_ms())
        return self._tasks.spawn(self._bodies.read(self._reader, query, self._loaded_value), f"get {request.key}")

    async def _loaded_value(self, found: key_values.StoredValue | None) -> messages.KvValue:
        return (
            messages.KvValue(0, b"")
            if found is None
            else messages.KvValue(found.version, await self._bodies.load(found.body))
        )

    def kv_commit(self, request: messages.KvCommit) -> Future[messages.KvCommitted]:
        writes = unpacked(request.payload, request.app)
        for write in writes:
            key_values.check(write, self._settings.max_body_bytes)
        return self._tasks.spawn(self._committed(writes), "commit data")

    async def _committed(self, writes: tuple[messages.KvWrite, ...]) -> messages.KvCommitted:
        commit = partial(key_values.commit, writes=writes, now_ms=self._now_ms())
        values = tuple(write.value for write in writes)
        try:
            if any(map(self._bodies.is_large, values)):
                numbers = await self._bodies.write(self._writer, values, lambda bodies: partial(commit, bodies=bodies))
            else:
                numbers = await self._writer.submit(partial(commit, bodies=[Body(value) for value in values]))
        except key_values.Conflict as conflict:
            return messages.KvCommitted((), conflict.position)
        return messages.KvCommitted(numbers)

    def kv_list(self, request: messages.KvList) -> Future[messages.KvKeys]:
        return self._reader.run(partial(key_values.page, request=request, now_ms=self._now_ms()))

    def kv_names(self, request: messages.KvNames) -> Future[messages.KvKeys]:
        return self._reader.run(partial(key_values.names, request=request, now_ms=self._now_ms()))

    # --- function logs -----------------------------------------------------------------------------------------------

    def append_logs(self, lines: tuple[messages.LogLine, ...]) -> Future[None]:
        return self._log_writer.submit(partial(function_logs.append, lines=lines))

    def read_logs(self, request: messages.ReadLogs) -> Future[messages.Logs]:
        return self._log_reader.run(partial(function_logs.read, request=request))

    # --- traces ------------------------------------------------------------------------------------------------------

    def record_calls(self, calls: tuple[messages.TracedCall, ...]) -> Future[None]:
        self._recorded = self._log_writer.submit(partial(traced_calls.append, calls=calls))
        return self._recorded

    def get_trace(self, trace_id: str) -> Future[messages.Trace]:
        return self._tasks.spawn(
            self._read_trace(
                partial(traced_calls.of_trace, trace_id=trace_id),
                partial(traced_executions.of_trace, trace_id=trace_id),
            ),
            f"read trace {trace_id}",
        )

    def read_traces(self, request: messages.ReadTraces) -> Future[messages.Trace]:
        since_us = request.since_at_ms * 1000
        calls = partial(traced_calls.newest, function=request.name, since_us=since_us, limit=request.limit)
        return self._tasks.spawn(
            self._read_trace(calls, partial(traced_executions.newest, request=request)), "read traces"
        )

    async def _read_trace(
        self,
        calls: Callable[[Connection], tuple[messages.TracedCall, ...]],
        executions_of: Callable[[Connection], tuple[messages.TracedExecution, ...]],
    ) -> messages.Trace:
        await self._when_recorded()
        return messages.Trace(await self._log_reader.run(calls), await self._reader.run(executions_of))

    async def _when_recorded(self) -> None:
        """Who asks may have been answered a moment ago."""
        if self._recorded is not None:
            await asyncio.wait([self._recorded])
        await self._executions.when_written()

    def read_ended(self, request: messages.ReadEnded) -> Future[messages.Ended]:
        return self._tasks.spawn(self._read_ended(request.after_call, request.after_execution), "read what ended")

    async def _read_ended(self, after_call: int, after_execution: int) -> messages.Ended:
        await self._when_recorded()
        calls, last_call, missed_calls = await self._log_reader.run(
            partial(traced_calls.after, seq=after_call, limit=ENDED_CALLS)
        )
        if not 0 <= after_execution <= self._ended.last:
            return messages.Ended(calls, (), last_call, self._ended.last, missed_calls)
        first, ids, missed = self._ended.after(after_execution, ENDED_EXECUTIONS)
        executions, count = await self._reader.run(partial(traced_executions.of_ids, ids=ids))
        last_execution = first + count - 1
        return messages.Ended(calls, executions, last_call, last_execution, missed_calls + missed)

    # --- deployments -------------------------------------------------------------------------------------------------

    def save_deployment(self, request: messages.SaveDeployment) -> Future[messages.DeploymentSaved]:
        return self._writer.submit(partial(deployments.save, request=request, now_ms=self._now_ms()))

    def activate_deployment(self, app: str, version: int) -> Future[None]:
        return self._writer.submit(partial(deployments.activate, app=app, version=version))

    def list_deployments(self, app: str, active_only: bool) -> Future[messages.Deployments]:
        return self._reader.run(partial(deployments.page, app=app, active_only=active_only))

    # --- activities --------------------------------------------------------------------------------------------------

    def create_activity(self, name: str) -> Future[messages.ActivityRecords]:
        return self._writer.submit(partial(activities.create, name=name, now_ms=self._now_ms()))

    def delete_activity(self, name: str) -> Future[None]:
        return self._writer.submit(partial(activities.delete, name=name))

    def list_activities(self) -> Future[messages.ActivityRecords]:
        return self._reader.run(activities.listing)

    # --- what was learned --------------------------------------------------------------------------------------------

    def save_learned(self, request: messages.SaveLearned) -> Future[None]:
        return self._writer.submit(partial(learned.save, request=request))

    def get_learned(self, asked: messages.GetLearned) -> Future[messages.LearnedRecord]:
        return self._reader.run(partial(learned.get, asked=asked))

    # --- items and results of Map states ----------------------------------------------------------------------------

    def fetch_items(self, request: messages.FetchItems) -> Future[messages.ItemsFetched]:
        return self._map_data.fetch_items(request)

    def drop_items(self, request: messages.DropItems) -> None:
        self._map_data.drop_items(request)

    def add_map_results(self, request: messages.AddMapResults) -> Future[None]:
        return self._map_data.add_map_results(request)

    def finish_map_results(self, request: messages.FinishMapResults) -> Future[messages.MapResultsWritten]:
        return self._map_data.finish_map_results(request)

    def drop_map_results(self, request: messages.DropMapResults) -> None:
        self._map_data.drop_map_results(request)

    # --- retention ---------------------------------------------------------------------------------------------------

    async def prune(self) -> Pruned:
        # Keys first: their executions can then go, too.
        keys = await self._writer.submit(partial(idempotency.prune, now_ms=self._now_ms(), count=PRUNE_KEYS))
        expired = await self._writer.submit(partial(key_values.prune, now_ms=self._now_ms(), count=PRUNE_KEYS))
        await self._writer.submit(partial(execution_names.prune, now_ms=self._now_ms(), count=PRUNE_KEYS))
        pruned, more = await self._prune_executions()
        lines = await self._log_reader.run(partial(function_logs.excess, kept=self._settings.log_retention_lines))
        pruned_lines = 0
        if lines > 0:
            pruned_lines = await self._log_writer.submit(partial(function_logs.prune, count=min(lines, PRUNE_LINES)))
        calls, more_calls = await self._prune_calls()
        more = more or more_calls or lines > PRUNE_LINES or PRUNE_KEYS in (keys, expired)
        return Pruned(pruned, pruned_lines, calls, keys, expired, more)

    async def _prune_calls(self) -> tuple[int, bool]:
        before_us = round(self._now_ms() * 1000 - self._settings.trace_hours * 3_600_000_000)
        kept = self._settings.trace_retention
        excess = await self._log_reader.run(partial(traced_calls.excess, kept=kept, before_us=before_us))
        if excess <= 0:
            return 0, False
        pruned = await self._log_writer.submit(partial(traced_calls.prune, count=min(excess, PRUNE_CALLS)))
        return pruned, excess > PRUNE_CALLS

    async def _prune_executions(self) -> tuple[int, bool]:
        """One step: how many were removed, and whether there is another one to do now. How many there are is counted
        once for each round: of a million executions that takes a moment."""
        if self._excess <= 0:
            self._pruned_to = 0
            self._excess = await self._reader.run(executions.unnamed_count) - self._settings.execution_retention
            if self._excess <= 0:
                return 0, False
        step = partial(executions.prune, after_id=self._pruned_to, count=min(self._excess, PRUNE_EXECUTIONS))
        pruned, self._pruned_to = await self._writer.submit(step)
        self._excess = self._excess - pruned if self._pruned_to else 0
        return pruned, self._excess > 0

    def _discard(self, files: list[str]) -> None:
        self._tasks.spawn(self._bodies.remove(files), "remove payload files")
