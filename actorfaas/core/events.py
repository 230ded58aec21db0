"""What happens to one execution, as numbered events: how they are called, made, and read again.

Base of `core.history`, which brings them to the DataLayer. The types are Step Functions' where it has one.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from actorfaas.core.worker import NO_PAGE_IN, PageIn
from actorfaas.errors import RequestRefused
from actorfaas.messages import HistoryEvent, KeepMessage, KeptMessage, TaskEffects, TaskFailed, TaskFinished
from actorfaas.states.adding import Added
from actorfaas.states.engine import Entered, Exited, Failed, Noted, Recorded
from actorfaas.states.model import Task

NS_PER_MS = 1_000_000

Place = tuple[int, int]
"""The branch that an event is about, and its index (see `HistoryEvent`)."""

WHOLE: Place = (0, -1)
"""The execution itself."""

Traced = tuple[int, str]
"""What a task's function declares of memory (MB), for metering, and the task's span."""

UNTRACED: Traced = (0, "")

NEXT_ADDED = "TaskNextAdded"
"""The event before the success of a task that had states run next; it says which."""

MESSAGE_SENT = "MessageSent"
"""A task sent a message to other tasks of its execution."""

RECEIVED = "MessagesReceived"
"""The event before the success of a task that received messages; it says which, by the numbers of their events."""

PARTS_OF_SUCCESS = frozenset({NEXT_ADDED, RECEIVED})
"""What is in the journal together with the success that comes next, or not at all: else it would count with the success
of a later attempt."""


def added_of(effects: TaskEffects) -> tuple[Added, ...]:
    """The states that a task had run next. Raises RequestRefused "invalid" for inputs that are not JSON."""
    try:
        for one in effects.added:
            orjson.loads(one.input)
    except orjson.JSONDecodeError as error:
        raise RequestRefused("invalid", f"the input of a state that is to run next is not JSON: {error}") from error
    return tuple((one.state, one.input) for one in effects.added)


def added_in(payload: bytes) -> tuple[Added, ...]:
    """The states that such an event tells of (of an express execution, none)."""
    return tuple((one["state"], orjson.dumps(one["input"])) for one in orjson.loads(payload or b"[]"))


def sent_in(event: HistoryEvent) -> KeptMessage:
    """The message that such an event tells of."""
    sent = orjson.loads(event.payload)
    return KeptMessage(event.seq, sent["to"], sent["index"], orjson.dumps(sent["message"]))


def event_type(instruction: Recorded) -> str:
    """What an event that the engine decides is called, as in Step Functions."""
    match instruction:
        case Entered():
            return f"{instruction.kind}StateEntered"
        case Exited():
            return f"{instruction.kind}StateExited"
        case Failed():
            return f"{instruction.kind}StateFailed"
        case Noted():
            return instruction.type


def _paged_in(page_in: PageIn, started_ns: int) -> tuple[int, int, int]:
    """What an event says of it, given when the handler started (0: it did not)."""
    if not page_in.took_ns or not started_ns:
        return 0, 0, 0
    return page_in.took_ns, max(0, started_ns - page_in.ended_ns), page_in.read_bytes


class Events:
    """Events of one execution that the DataLayer has not confirmed, and the changes of functions' data that belong to
    one of them."""

    __slots__ = ("_pending", "_seq", "_writes", "_writes_seq", "is_standard", "pending_bytes")

    def __init__(self, *, is_standard: bool, last_seq: int) -> None:
        """`last_seq`: the number of the newest event that the DataLayer has. Payloads are kept of standard executions
        only."""
        self._seq = last_seq
        self._pending: list[HistoryEvent] = []
        self._writes = b""
        self._writes_seq = 0
        self.is_standard = is_standard
        self.pending_bytes = 0

    @property
    def last_seq(self) -> int:
        """The number of the newest event."""
        return self._seq

    @property
    def stored_seq(self) -> int:
        """The number up to which events are on disk, as far as is known."""
        return self._seq - len(self._pending)

    def add(
        self,
        at_ms: int,
        type_: str,
        state: str = "",
        attempt: int = 0,
        payload: bytes = b"",
        place: Place = WHOLE,
        worker: str = "",
        traced: Traced = UNTRACED,
    ) -> None:
        """An event without one of the node's workers; `worker`: one outside."""
        self._append(at_ms, type_, state, attempt, worker, "", 0, 0, 0, 0, "", "", payload, place, traced)

    def add_error(
        self,
        at_ms: int,
        type_: str,
        state: str,
        error: str,
        cause: str,
        attempt: int = 0,
        place: Place = WHOLE,
        payload: bytes = b"",
        traced: Traced = UNTRACED,
    ) -> None:
        """A failure that no worker reported; of an `attempt` at a state, or (0) of the execution."""
        self._append(at_ms, type_, state, attempt, "", "", 0, 0, 0, 0, error, cause, payload, place, traced)

    def add_result(
        self,
        at_ms: int,
        scheduled_ns: int,
        gap_ns: int,
        done: TaskFinished,
        place: Place,
        traced: Traced = UNTRACED,
        writes: bytes = b"",
        type_: str = "TaskSucceeded",
        page_in: PageIn = NO_PAGE_IN,
    ) -> None:
        """A task returned. Its output is journalled here, and not once more when its state is left. `writes`: what it
        changed of functions' data, to be committed with this event; until that is known, no other may be added."""
        self._append(
            at_ms,
            type_,
            done.state,
            done.attempt,
            done.worker_topic,
            done.start_kind,
            max(0, done.delivered_ns - scheduled_ns),
            done.started_ns - done.delivered_ns,
            done.ended_ns - done.started_ns,
            gap_ns,
            "",
            "",
            done.payload if self.is_standard else b"",
            place,
            traced,
            _paged_in(page_in, done.started_ns),
        )
        if writes:
            self._writes, self._writes_seq = writes, self._seq
            self.pending_bytes += len(writes)

    def add_next(self, at_ms: int, done: TaskFinished, place: Place, added: Iterable[Added]) -> None:
        """A task that is about to be noted had states run next: which, and with what."""
        states = [{"state": name, "input": orjson.Fragment(input_)} for name, input_ in added]
        payload = orjson.dumps(states) if self.is_standard else b""
        self.add(at_ms, NEXT_ADDED, done.state, done.attempt, payload, place)

    def add_message(self, at_ms: int, task: Task, attempt: int, sent: KeepMessage, place: Place) -> KeptMessage:
        """A task sends a message. Raises RequestRefused "invalid" for one that is not JSON."""
        try:
            orjson.loads(sent.payload)
        except orjson.JSONDecodeError as error:
            raise RequestRefused("invalid", f"a message is not JSON: {error}") from error
        payload = orjson.dumps({"to": sent.to, "index": sent.index, "message": orjson.Fragment(sent.payload)})
        self.add(at_ms, MESSAGE_SENT, task.name, attempt, payload, place)
        return KeptMessage(self._seq, sent.to, sent.index, sent.payload)

    def add_received(self, at_ms: int, done: TaskFinished, place: Place, numbers: Iterable[int]) -> None:
        """A task that is about to be noted received messages."""
        self.add(at_ms, RECEIVED, done.state, done.attempt, orjson.dumps(list(numbers)), place)

    def add_failure(
        self,
        at_ms: int,
        scheduled_ns: int,
        failed: TaskFailed,
        error: str,
        cause: str,
        place: Place,
        traced: Traced = UNTRACED,
        page_in: PageIn = NO_PAGE_IN,
    ) -> None:
        """A task failed; `error` is its name in the States Language."""
        ran = failed.started_ns > 0
        self._append(
            at_ms,
            "TaskTimedOut" if error == "States.Timeout" else "TaskFailed",
            failed.state,
            failed.attempt,
            failed.worker_topic,
            failed.start_kind,
            max(0, failed.delivered_ns - scheduled_ns) if failed.delivered_ns else 0,
            failed.started_ns - failed.delivered_ns if ran else 0,
            failed.ended_ns - failed.started_ns if ran else 0,
            0,
            error,
            cause,
            b"",
            place,
            traced,
            _paged_in(page_in, failed.started_ns),
        )

    def _append(
        self,
        at_ms: int,
        type_: str,
        state: str,
        attempt: int,
        worker: str,
        start_kind: str,
        queue_ns: int,
        start_ns: int,
        run_ns: int,
        gap_ns: int,
        error: str,
        cause: str,
        payload: bytes,
        place: Place,
        traced: Traced = UNTRACED,
        paged_in: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        self._seq += 1
        self.pending_bytes += len(payload)
        self._pending.append(
            HistoryEvent(
                self._seq,
                at_ms,
                type_,
                state,
                attempt,
                worker,
                start_kind,
                queue_ns,
                start_ns,
                run_ns,
                gap_ns,
                error,
                cause,
                payload,
                *place,
                *traced,
                *paged_in,
            )
        )
