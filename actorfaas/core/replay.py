"""Brings a new engine to where a journal ends: gives it, in order, the events that came from outside.

Those are the results and failures of tasks and the ends of waits, also of those between attempts, each with its branch
and time; what else a journal holds, the engine decided, and it decides the same again. What it decides beyond the end
of the journal was not written down before the node stopped, and is left to `core.executions` to write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from actorfaas.core import redrive
from actorfaas.core.awaiting import Recalled
from actorfaas.core.events import MESSAGE_SENT, NS_PER_MS, RECEIVED, added_in, event_type, sent_in
from actorfaas.errors import ActorFaasError
from actorfaas.messages import HistoryEvent, KeptMessage
from actorfaas.states.adding import Added
from actorfaas.states.engine import (
    ROOT,
    Closed,
    Engine,
    Finish,
    Instruction,
    Noted,
    Opened,
    ReadItems,
    Recorded,
    RunTask,
    Sleep,
    WriteResults,
)
from actorfaas.states.scope import Json

NO_ITEMS: Mapping[int, Sequence[Json]] = {}

_ENDS = {
    "ExecutionSucceeded": "succeeded",
    "ExecutionFailed": "failed",
    "ExecutionTimedOut": "timed_out",
    "ExecutionAborted": "cancelled",
}


_FAILURES = frozenset(
    {
        *("TaskFailed", "TaskTimedOut", "TaskSubmitFailed"),
        *("ActivityFailed", "ActivityTimedOut", "ActivityScheduleFailed"),
        *("MapItemsReadFailed", "MapResultsWriteFailed"),
    }
)


class JournalMismatch(ActorFaasError):
    """A journal tells what its definition does not allow."""


@dataclass(slots=True)
class Replay:
    """What a journal amounts to.

    `unwritten`: what the engine decided beyond its end. `branches`: those under way; `origins`: for every branch that
    ever began, the one above and its index; `unopened`: iterations of Map states that have yet to begin. `recalled`:
    what is known of the attempts under way. `finish`: the engine has ended the execution. `outcome`: status, error and
    cause of one whose end is journalled. `messages`: those that tasks sent and none received, by number.
    """

    engine: Engine
    last_seq: int = 0
    unwritten: deque[Recorded] = field(default_factory=deque)
    branches: dict[int, None] = field(default_factory=lambda: {ROOT: None})
    origins: dict[int, tuple[int, int]] = field(default_factory=lambda: {ROOT: (-1, -1)})
    unopened: dict[int, int] = field(default_factory=dict)
    recalled: dict[int, Recalled] = field(default_factory=dict)
    finish: Finish | None = None
    outcome: tuple[str, str, str] | None = None
    messages: dict[int, KeptMessage] = field(default_factory=dict)
    _asleep: dict[int, int] = field(default_factory=dict)
    _now_ms: int = 0
    _added: dict[int, tuple[Added, ...]] = field(default_factory=dict)
    _received: dict[int, list[int]] = field(default_factory=dict)

    def run(
        self,
        events: Iterable[HistoryEvent],
        input_: bytes,
        now_ms: int,
        items: Mapping[int, Sequence[Json]] = NO_ITEMS,
    ) -> None:
        """Give the engine the whole journal. `now_ms`: when the execution begins, if it had not begun; `items`: what
        Map states had read, by the event's number. Raises JournalMismatch."""
        events = tuple(events)
        began_ms = next((event.at_ms for event in events if event.type.endswith("StateEntered")), now_ms)
        self._now_ms = began_ms
        self._note(self.engine.begin(input_, began_ms * NS_PER_MS))
        for event in events:
            self.last_seq = max(self.last_seq, event.seq)
            self._now_ms = event.at_ms
            if event.type in _ENDS:
                self.outcome = (_ENDS[event.type], event.error_type, event.error_message)
            elif event.type == redrive.EVENT:
                self._redrive(event)
            elif not self._is_next(event) and not self._takes_message(event):
                self._conclude_received(event)
                self._give(event, items)

    def _takes_message(self, event: HistoryEvent) -> bool:
        """Take in an event that tells of messages between tasks, which the engine knows nothing of. Whether it does."""
        if event.type == MESSAGE_SENT:
            self.messages[event.seq] = sent_in(event)
        elif event.type == RECEIVED:
            self._received[event.branch] = orjson.loads(event.payload)
        else:
            return False
        return True

    def _conclude_received(self, event: HistoryEvent) -> None:
        """What a task received is its own if it succeeded, and else waits for the next attempt."""
        received = self._received.pop(event.branch, [])
        if event.type in ("TaskSucceeded", "TaskSubmitted"):
            for number in received:
                self.messages.pop(number, None)

    def _redrive(self, event: HistoryEvent) -> None:
        """The execution had ended, and goes on."""
        if self.finish is not None and not self.finish.failed:
            raise JournalMismatch(f"event {event.seq} tells of a redrive, the execution had succeeded")
        self.finish = self.outcome = None
        self._note(self.engine.redrive(event.at_ms * NS_PER_MS))

    def _is_next(self, event: HistoryEvent) -> bool:
        """Whether the event is what the engine decided next; it is then written."""
        if not self.unwritten:
            return False
        first = self.unwritten[0]
        if (event_type(first), first.branch, first.state) != (event.type, event.branch, event.state):
            return False
        self.unwritten.popleft()
        return True

    def _give(self, event: HistoryEvent, items: Mapping[int, Sequence[Json]]) -> None:
        """Give the engine an event from outside; others were written again by a node that continued the execution."""
        branch, at_ns = event.branch, event.at_ms * NS_PER_MS
        match event.type:
            case "MapItemsRead":
                self._wake(event)
                self._note(self.engine.items_read(branch, self._items(event, items), at_ns))
            case "TaskNextAdded":
                self._added[branch] = added_in(event.payload)
            case "TaskSucceeded" | "ActivitySucceeded" | "MapResultsWritten":
                self._wake(event)
                self.recalled.pop(event.branch, None)
                added = self._added.pop(branch, ())
                self._note(self.engine.task_succeeded(branch, event.payload, at_ns, handed_on=False, added=added))
            case _ if event.type in _FAILURES:
                self._wake(event)
                self.recalled.pop(event.branch, None)
                self._added.pop(branch, None)
                self._note(self.engine.task_failed(branch, event.error_type, event.error_message, at_ns))
            case "TaskSubmitted" | "ActivityScheduled" | "ActivityStarted":
                self._wake(event)
                self._recall(event)
            case "WaitStateExited" if branch in self._asleep:
                self._check(event)
                self._note(self.engine.timer_fired(branch, at_ns))
                self._is_next(event)
            case "TaskStateRetried" | "ParallelStateRetried" | "MapStateRetried" if branch in self._asleep:
                self._check(event)
                del self._asleep[branch]
                self._note(self.engine.timer_fired(branch, at_ns))

    def _items(self, event: HistoryEvent, items: Mapping[int, Sequence[Json]]) -> Sequence[Json]:
        """What a Map state had read."""
        found = items.get(event.seq)
        if found is None:
            raise JournalMismatch(f"the items that state {event.state!r} had read are not there any more")
        self.unopened[event.branch] = len(found)
        return found

    def _recall(self, event: HistoryEvent) -> None:
        """The attempt under way waits for an answer from outside. The time limits of an activity's task begin with the
        worker that has it."""
        recalled = self.recalled.get(event.branch)
        if recalled is None:
            raise JournalMismatch(f"event {event.seq} tells of an attempt in branch {event.branch}, which made none")
        recalled.is_noted = True
        recalled.is_taken = event.type != "ActivityScheduled"
        if event.type == "ActivityStarted":
            recalled.asked_ms = event.at_ms

    def _wake(self, event: HistoryEvent) -> None:
        """The attempt that an event tells of had begun, so the wait before it was over. (A version before wrote nothing
        at the end of such a wait.)"""
        self._check(event)
        if event.branch in self._asleep:
            self._note(self.engine.timer_fired(event.branch, self._asleep[event.branch]))

    def _check(self, event: HistoryEvent) -> None:
        if self.finish is not None or event.branch not in self.branches:
            raise JournalMismatch(f"event {event.seq} tells of branch {event.branch}, which is not under way")
        state = self.engine.state_of(event.branch)
        if state != event.state:
            raise JournalMismatch(f"event {event.seq} tells of state {event.state!r}, the execution is at {state!r}")

    def _note(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Sleep(branch, _, until_ns):
                    self._asleep[branch] = until_ns
                case RunTask(branch) | ReadItems(branch) | WriteResults(branch):
                    self._asleep.pop(branch, None)
                    if isinstance(instruction, RunTask):
                        self.recalled[branch] = Recalled(self._now_ms)
                case Opened(branch, parent, index):
                    self.branches[branch] = None
                    if branch not in self.origins:  # else it is under way again
                        self.origins[branch] = parent, index
                        self.unopened[parent] = self.unopened.get(parent, 0) - 1
                case Closed(branch):
                    del self.branches[branch]
                    self._asleep.pop(branch, None)
                case Finish():
                    self.finish = instruction
                case _:
                    self._note_history(instruction)

    def _note_history(self, instruction: Recorded) -> None:
        self._asleep.pop(instruction.branch, None)
        self.unwritten.append(instruction)
        if isinstance(instruction, Noted) and instruction.type == "MapStateStarted":
            self.unopened[instruction.branch] = instruction.index
