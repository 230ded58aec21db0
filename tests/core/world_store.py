"""The DataLayer of the test world: what it keeps of executions, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field

from actorfaas.messages import (
    AppendHistory,
    CreateExecution,
    ExecutionState,
    FinishExecution,
    HistoryEvent,
    KvCommit,
    Message,
    RecordExecution,
    UnfinishedExecution,
)


@dataclass
class Stored:
    """One execution at the DataLayer."""

    create: CreateExecution
    events: dict[int, HistoryEvent] = field(default_factory=dict)
    finish: FinishExecution | None = None
    finishes: int = 0


class Records(dict[str, Stored]):
    """Executions by id. Not `is_up`: every request fails."""

    is_up = True
    refuses_data = ""
    """The code with which changes of functions' data are refused."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[bytes] = []

    def answer(self, request: Message) -> str:
        """Keep what a request holds; "" or the code of the refusal."""
        return self.keep(request) if self.is_up else "unavailable"

    def keep(self, request: Message) -> str:
        """As `answer`, when it is up."""
        match request:
            case CreateExecution(execution_id=execution_id):
                if execution_id in self:
                    return "conflict"
                self[execution_id] = Stored(request)
            case AppendHistory(execution_id=execution_id, events=events, payload=writes):
                is_new = events[-1].seq not in self[execution_id].events
                if writes and is_new and (refusal := self._commit(writes)):
                    return refusal
                self._keep_events(execution_id, events)
            case KvCommit(payload=writes):
                return self._commit(writes)
            case FinishExecution(execution_id=execution_id, events=events):
                stored = self[execution_id]
                stored.finishes += 1
                if stored.finish is None:
                    self._keep_events(execution_id, events)
                    stored.finish = request
            case RecordExecution(create=create, finish=finish):
                self.setdefault(create.execution_id, Stored(create))
                return self.keep(finish)
            case _:
                raise AssertionError(f"{request} is not for the DataLayer")
        return ""

    def _commit(self, writes: bytes) -> str:
        if not self.refuses_data:
            self.commits.append(writes)
        return self.refuses_data

    def state(self, execution_id: str) -> ExecutionState:
        """An execution that has ended."""
        stored = self[execution_id]
        create, finish = stored.create, stored.finish
        assert finish is not None
        return ExecutionState(
            *(execution_id, create.name, create.app, create.version, create.kind, create.durability, finish.status),
            *(finish.error_type, finish.error_message),
            started_at_ms=1_000,
            ended_at_ms=2_000,
            redrive_count=0,
            redriven_at_ms=0,
            execution_name="",
            events=(),
            payload=finish.payload,
        )

    def unfinished(self) -> list[UnfinishedExecution]:
        """What a new ExecutionManager is to continue."""
        return [
            self.continued(execution_id)
            for execution_id, stored in self.items()
            if stored.finish is None and stored.create.durability == "standard"
        ]

    def continued(self, execution_id: str) -> UnfinishedExecution:
        """What is needed to go on with an execution."""
        stored = self[execution_id]
        create = stored.create
        return UnfinishedExecution(
            create.execution_id,
            create.name,
            create.app,
            create.version,
            create.kind,
            create.deadline_at_ms,
            create.traceparent,
            tuple(stored.events[seq] for seq in sorted(stored.events)),
            create.payload,
        )

    def _keep_events(self, execution_id: str, events: tuple[HistoryEvent, ...]) -> None:
        stored = self[execution_id]
        for event in events:
            stored.events.setdefault(event.seq, event)
        assert sorted(stored.events) == list(range(1, len(stored.events) + 1)), "history has a gap"
