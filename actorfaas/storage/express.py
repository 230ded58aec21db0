"""Express executions while they run, in memory: nothing is written before their result has been given.

Ended ones wait here until the store has written them; until then they are read from here. Both halves are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from actorfaas.errors import RequestRefused
from actorfaas.messages import AppendHistory, CreateExecution, ExecutionState, FinishExecution, HistoryEvent
from actorfaas.storage.executions import check_events
from actorfaas.storage.statuses import status_number

RUNNING_LIMIT = 10_000
"""Most express executions running at once; more are refused as overloaded."""

BYTES_LIMIT = 256 * 1024 * 1024
"""Most bytes of their payloads held; above, new ones are refused as overloaded."""


@dataclass(slots=True)
class _Express:
    """One express execution."""

    request: CreateExecution
    started_at_ms: int
    events: dict[int, HistoryEvent] = field(default_factory=dict)
    end: FinishExecution | None = None
    ended_at_ms: int = 0
    size_bytes: int = 0

    def state(self) -> ExecutionState:
        r, end = self.request, self.end
        return ExecutionState(
            execution_id=r.execution_id,
            name=r.name,
            app=r.app,
            version=r.version,
            kind=r.kind,
            durability=r.durability,
            status=end.status if end else "running",
            error_type=end.error_type if end else "",
            error_message=end.error_message if end else "",
            started_at_ms=self.started_at_ms,
            ended_at_ms=self.ended_at_ms,
            redrive_count=0,
            redriven_at_ms=0,
            execution_name="",
            events=tuple(self.events[seq] for seq in sorted(self.events)),
            payload=end.payload if end else b"",
        )


class ExpressExecutions:
    """All express executions that are not in the database. Written by one thread only, the loop's."""

    def __init__(self, running_limit: int = RUNNING_LIMIT, bytes_limit: int = BYTES_LIMIT) -> None:
        self._all: dict[str, _Express] = {}
        self._ended: dict[str, None] = {}  # in the order of their end
        self._running_limit = running_limit
        self._bytes_limit = bytes_limit
        self._bytes = 0

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._all

    @property
    def ended(self) -> int:
        """How many have ended and are not written yet."""
        return len(self._ended)

    def create(self, request: CreateExecution, now_ms: int) -> None:
        """Start one. Raises RequestRefused "conflict" or "overloaded"."""
        if request.execution_id in self._all:
            raise RequestRefused("conflict", f"an execution {request.execution_id} exists already")
        if len(self._all) - len(self._ended) >= self._running_limit or self._bytes >= self._bytes_limit:
            raise RequestRefused(
                "overloaded",
                f"{len(self._all)} express executions with {self._bytes} bytes are held in memory",
                retryable=True,
                retry_after_s=1.0,
            )
        self._all[request.execution_id] = express = _Express(request, now_ms)
        self._grow(express, len(request.payload))

    def append(self, request: AppendHistory) -> None:
        """Add events; numbers that are there already are ignored."""
        check_events(request.events)
        self._add(self._all[request.execution_id], request.events)

    def finish(self, request: FinishExecution, now_ms: int) -> None:
        """End one; ignored when it has ended."""
        status_number(request.status)
        check_events(request.events)
        express = self._all[request.execution_id]
        if express.end is not None:
            return
        express.end = request
        express.ended_at_ms = now_ms
        self._add(express, request.events)
        self._grow(express, len(request.payload))
        self._ended[request.execution_id] = None

    def get(self, execution_id: str) -> ExecutionState | None:
        """Its present state; None when it is not (or no longer) here."""
        express = self._all.get(execution_id)
        return None if express is None else express.state()

    def input_of(self, execution_id: str) -> bytes | None:
        """What it was started with; None when it is not (or no longer) here."""
        express = self._all.get(execution_id)
        return None if express is None else express.request.payload

    def next_ended(self, limit: int) -> list[tuple[CreateExecution, ExecutionState]]:
        """Up to `limit` ended ones to write, oldest end first; they stay until `written`."""
        found = []
        for execution_id, _ in zip(self._ended, range(limit), strict=False):
            express = self._all[execution_id]
            found.append((express.request, express.state()))
        return found

    def written(self, execution_id: str) -> None:
        """It can be read from the database now."""
        self._ended.pop(execution_id, None)
        express = self._all.pop(execution_id, None)
        if express is not None:
            self._bytes -= express.size_bytes

    def trim(self, limit: int) -> int:
        """Forget the oldest ended ones above `limit` (the disk does not take them); how many."""
        excess = list(self._ended)[: max(0, len(self._ended) - limit)]
        for execution_id in excess:
            self.written(execution_id)
        return len(excess)

    def _add(self, express: _Express, events: tuple[HistoryEvent, ...]) -> None:
        for event in events:
            if event.seq not in express.events:
                express.events[event.seq] = event
                self._grow(express, len(event.payload))

    def _grow(self, express: _Express, size_bytes: int) -> None:
        express.size_bytes += size_bytes
        self._bytes += size_bytes


def without_event_payloads(state: ExecutionState) -> ExecutionState:
    """The state with its output, but what the single events carried left out."""
    return replace(state, events=tuple(replace(event, payload=b"") for event in state.events))
