"""Messages between tasks of standard executions: journalled when they are sent, and gone once their receiver succeeded.

Base of `core.settling`, above `core.committing`. Here are those that no task has received for good; the LocalQueue has
them as well, hands them out, and is given them again after a restart of either, or when a receiver did not succeed.
"""

from __future__ import annotations

from actorfaas.core.committing import Committing
from actorfaas.core.effects import Reply, Tell
from actorfaas.core.execution import Execution, Lane, Step
from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    EndSession,
    KeepMessage,
    KeptMessage,
    MessageKept,
    MessagesTaken,
    Refused,
)

OVER = Refused("cancelled", "this attempt is over: what it sends reaches nobody")


class Talking(Committing):
    """What tasks send each other."""

    def session_opened(self, execution_id: str) -> None:
        """Functions of an execution send each other messages: the LocalQueue is to be told of its end."""
        execution = self._all.get(execution_id)
        if execution is None or execution.ended:
            self._effects.append(Tell("local_queue", EndSession(execution_id)))
        else:
            execution.has_session = True

    def message_sent(self, sent: KeepMessage, number: int, now_ns: int) -> None:
        """A task of a standard execution sends a message. The `Reply` under this number follows."""
        if self._defers_asked(sent.execution_id, lambda at_ns: self.message_sent(sent, number, at_ns)):
            return
        found = self._running(sent)
        if found is None:
            self._effects.append(Reply(number, OVER))
            return
        execution, lane, step = found
        history = execution.history
        before = history.pending_bytes
        try:
            kept = history.add_message(self._at_ms(now_ns), step.task, step.attempt, sent, lane.place)
        except RequestRefused as refused:
            self._effects.append(Reply(number, Refused(refused.code, refused.detail)))
            return
        self._backlog_bytes += history.pending_bytes - before
        execution.messages[kept.number] = kept
        self._when_stored(execution, Reply(number, MessageKept(kept.number)))
        self._store(execution, now_ns)

    def _running(self, sent: KeepMessage) -> tuple[Execution, Lane, Step] | None:
        execution = self._all.get(sent.execution_id)
        lane = None if execution is None else execution.lane_of(sent.task_id)
        step = None if lane is None else lane.current
        if execution is None or lane is None or step is None or step.task_id != sent.task_id:
            return None
        return execution, lane, step

    def messages_taken(self, taken: MessagesTaken) -> None:
        """A task whose result comes next has received messages."""
        execution = self._all.get(taken.execution_id)
        if execution is not None:
            execution.taken[taken.task_id] = taken.numbers

    def restore_messages(self) -> None:
        """The LocalQueue is new: before anything is assigned, it is told what nobody received."""
        for execution in self._all.values():
            self._restore(execution)

    def _restore(self, execution: Execution) -> None:
        execution.taken.clear()
        self._put_back(execution, execution.messages.values())

    def _received(self, execution_id: str, task_id: str) -> tuple[KeptMessage, ...]:
        """The messages that a task received which has returned. They are put back if that does not count."""
        execution = self._all.get(execution_id)
        if execution is None:
            return ()
        numbers = execution.taken.pop(task_id, ())
        return tuple(execution.messages.pop(number) for number in numbers if number in execution.messages)
