"""What a store can do, whatever keeps the data.

Every method returns a future: a write's completes once it would survive what the settings promise (a crash of the
node, or loss of power). A method or its future raises RequestRefused (the request makes no sense: `code` and `detail`
say why) or StorageUnavailable (it may work later; nothing of it was kept). The DataLayer is written against this
interface alone, so that a networked store can take SQLite's place.
"""

from __future__ import annotations

from asyncio import Future
from dataclasses import dataclass
from typing import Protocol

from actorfaas.messages import (
    ActivityRecords,
    AddMapResults,
    AppendHistory,
    ClaimExecutionName,
    ClaimIdempotencyKey,
    CreateExecution,
    Deployments,
    DeploymentSaved,
    DropItems,
    DropMapResults,
    Ended,
    ExecutionInput,
    ExecutionNameClaim,
    Executions,
    ExecutionState,
    FetchItems,
    FinishExecution,
    FinishMapResults,
    GetLearned,
    HistorySummary,
    IdempotencyClaim,
    ItemsFetched,
    Journal,
    KvCommit,
    KvCommitted,
    KvGet,
    KvKeys,
    KvList,
    KvNames,
    KvValue,
    LearnedRecord,
    ListExecutions,
    LogLine,
    Logs,
    MapResultsWritten,
    ReadEnded,
    ReadLogs,
    ReadTraces,
    RecordExecution,
    ReopenExecution,
    SaveDeployment,
    SaveLearned,
    SummariseHistory,
    Trace,
    TracedCall,
    Unfinished,
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one round of maintenance removed; `more` when there is more of it to do now."""

    executions: int
    log_lines: int
    traced_calls: int
    idempotency_keys: int
    expired_data: int
    more: bool


class Store(Protocol):
    """Durable state of one node. `open` comes first, `close` last; nothing else may be called outside."""

    async def open(self) -> None:
        """Make the store usable. Raises StorageUnusable (with what to do) or StorageUnavailable."""

    async def close(self) -> None:
        """Finish every write under way, then let go of everything."""

    def create_execution(self, request: CreateExecution) -> Future[None]:
        """Remember a new execution; "conflict" if its id exists."""

    def append_history(self, request: AppendHistory) -> Future[None]:
        """Add events, ignoring those whose number is there already; "not_found"."""

    def finish_execution(self, request: FinishExecution) -> Future[None]:
        """Set the one result; a second one is ignored; "not_found"."""

    def record_execution(self, request: RecordExecution) -> Future[None]:
        """Create an execution unless it exists, and finish it unless it has ended, in one transaction."""

    def get_execution(
        self, execution_id: str, event_payloads: bool = True, after_seq: int = 0, limit: int = 0
    ) -> Future[ExecutionState]:
        """One execution as it is now, if wanted without what its events carry, and of these a page; "not_found"."""

    def summarise_history(self, request: SummariseHistory) -> Future[HistorySummary]:
        """What a page of an execution's history cannot tell; "not_found"."""

    def get_input(self, execution_id: str) -> Future[ExecutionInput]:
        """What one execution was started with; "not_found"."""

    def list_executions(self, request: ListExecutions) -> Future[Executions]:
        """A page of executions, newest first; "invalid" for an unknown status or cursor."""

    def list_unfinished(self, cursor: str) -> Future[Unfinished]:
        """A page of the standard executions that have no result, oldest first, with their journals."""

    def get_journal(self, execution_id: str) -> Future[Journal]:
        """One standard execution, ended or not, with its journal; "not_found", or "conflict" for an express one."""

    def reopen_execution(self, request: ReopenExecution) -> Future[None]:
        """Make an execution that ended without success run again; "conflict"."""

    def claim_idempotency_key(self, request: ClaimIdempotencyKey) -> Future[IdempotencyClaim]:
        """Whose work a key is; "conflict" when another request holds it."""

    def claim_execution_name(self, request: ClaimExecutionName) -> Future[ExecutionNameClaim]:
        """Whose work a name is, and whether this request is for that."""

    def kv_get(self, request: KvGet) -> Future[KvValue]:
        """A key's value and version; version 0 when there is none."""

    def kv_commit(self, request: KvCommit) -> Future[KvCommitted]:
        """Make changes together, or none where one expected another version; "invalid", "unauthorized"."""

    def kv_list(self, request: KvList) -> Future[KvKeys]:
        """A page of keys with a prefix, in code point order."""

    def kv_names(self, request: KvNames) -> Future[KvKeys]:
        """A page of namespaces with a prefix, in code point order."""

    def append_logs(self, lines: tuple[LogLine, ...]) -> Future[None]:
        """Number lines in the order they come and keep them."""

    def read_logs(self, request: ReadLogs) -> Future[Logs]:
        """The lines that match now; whoever wants to wait for more asks again."""

    def record_calls(self, calls: tuple[TracedCall, ...]) -> Future[None]:
        """Keep calls of traces."""

    def get_trace(self, trace_id: str) -> Future[Trace]:
        """What is kept of one trace; nothing, if it is not known."""

    def read_traces(self, request: ReadTraces) -> Future[Trace]:
        """The newest calls and executions that are of a trace."""

    def read_ended(self, request: ReadEnded) -> Future[Ended]:
        """Calls and executions of traces in the order in which they ended, as far as they are kept for that."""

    def save_deployment(self, request: SaveDeployment) -> Future[DeploymentSaved]:
        """Store the next version of an application, inactive."""

    def activate_deployment(self, app: str, version: int) -> Future[None]:
        """Make a version the current one (0: none is); "not_found"."""

    def list_deployments(self, app: str, active_only: bool) -> Future[Deployments]:
        """Versions, newest first within an application."""

    def create_activity(self, name: str) -> Future[ActivityRecords]:
        """Make an activity; one that is there stays as it is."""

    def delete_activity(self, name: str) -> Future[None]:
        """Remove an activity; "not_found"."""

    def list_activities(self) -> Future[ActivityRecords]:
        """Every activity by name."""

    def save_learned(self, request: SaveLearned) -> Future[None]:
        """Keep a record instead of the one before, or, an empty one, nothing; "invalid" if it is too large."""

    def get_learned(self, asked: GetLearned) -> Future[LearnedRecord]:
        """What is kept of one kind about a version; "not_found"."""

    def fetch_items(self, request: FetchItems) -> Future[ItemsFetched]:
        """Read a Map state's items into a payload file; "not_found", "invalid", "cancelled"."""

    def drop_items(self, request: DropItems) -> None:
        """Nobody waits for these items any more."""

    def add_map_results(self, request: AddMapResults) -> Future[None]:
        """Write one part of a map run's results; "not_found" where an earlier part is not known, "invalid"."""

    def finish_map_results(self, request: FinishMapResults) -> Future[MapResultsWritten]:
        """Publish a map run's results and their manifest; "not_found", "invalid"."""

    def drop_map_results(self, request: DropMapResults) -> None:
        """Nobody wants these results any more."""

    async def prune(self) -> Pruned:
        """Remove a small batch of what is older than the retention settings allow."""
