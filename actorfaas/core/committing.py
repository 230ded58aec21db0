"""Tasks that changed functions' data: what they did counts once the DataLayer has committed it.

Base of `core.talking`. The changes are committed in the transaction that journals the task's success (of an express
execution, which has no journal, before anything follows). Until then the execution stands still: what happens in its
other branches is taken in afterwards, in order, so that the journal has the order in which the engine was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from actorfaas.core.driving import Driver
from actorfaas.core.effects import Tell
from actorfaas.core.events import NS_PER_MS
from actorfaas.core.execution import Commit, Deferred, Execution
from actorfaas.messages import KeptMessage, KvCommit, RestoreMessages

RESTORED_BYTES = 1024 * 1024
"""Bytes of messages in one `RestoreMessages`; a single larger message goes alone."""


class Committing(Driver):
    """Commits under way, and what waits for them."""

    def _defers(self, execution: Execution, event: Callable[[int], None], *, is_asked: bool = False) -> bool:
        """Whether an event (which is called with the time) has to wait until a commit is done; it is then noted."""
        if execution.commit is None:
            return False
        execution.deferred.append(Deferred(event, is_asked))
        return True

    def _defers_for(self, execution_id: str, event: Callable[[int], None]) -> bool:
        """As `_defers`, for an execution that may have ended."""
        execution = self._all.get(execution_id)
        return execution is not None and self._defers(execution, event)

    def _defers_asked(self, execution_id: str, event: Callable[[int], None]) -> bool:
        """As `_defers_for`, for what somebody waits for an answer to: it is given also when the execution ends."""
        execution = self._all.get(execution_id)
        return execution is not None and self._defers(execution, event, is_asked=True)

    def _commit(self, execution: Execution, commit: Commit, now_ns: int) -> None:
        """A branch's task has returned, and is in the history with its changes: wait for these."""
        execution.commit = commit
        self._store(execution, now_ns)

    def _committed(self, execution: Execution, now_ns: int) -> None:
        """The changes are made: the task has succeeded, at the time that the journal says."""
        commit, execution.commit = execution.commit, None
        if commit is None:
            return
        lane = commit.lane
        at_ns = commit.at_ms * NS_PER_MS
        if lane.awaited is not None:
            self._submitted(lane, lane.awaited, now_ns)
        else:
            succeeded = execution.engine.task_succeeded(
                lane.branch, commit.result, at_ns, handed_on=False, added=commit.added
            )
            self._go_on(execution, lane, succeeded, now_ns)
        self._set_alarm(execution, lane)
        self._catch_up(execution, now_ns)

    def _data_refused(self, execution: Execution, error: str, cause: str, now_ns: int) -> None:
        """The changes were not made: the task has failed."""
        commit, execution.commit = execution.commit, None
        if commit is None:
            return
        lane = commit.lane
        self._put_back(execution, commit.received)
        self._let_go(execution, lane)
        failed = execution.engine.task_failed(lane.branch, error, cause, commit.at_ms * NS_PER_MS)
        self._go_on(execution, lane, failed, now_ns)
        self._set_alarm(execution, lane)
        self._catch_up(execution, now_ns)

    def _put_back(self, execution: Execution | None, messages: Iterable[KeptMessage]) -> None:
        """The task that received messages has not succeeded: they are for whoever asks next."""
        if execution is None:
            return
        for part in _parts(tuple(messages)):
            execution.messages |= {one.number: one for one in part}
            self._effects.append(Tell("local_queue", RestoreMessages(execution.execution_id, part)))

    def _commit_apart(self, task_id: str, writes: bytes) -> None:
        """Commit what a function changed that was left to end after its task had been answered; of others, nothing."""
        app = self._left.pop(task_id, "")
        if app and writes:
            self._effects.append(Tell("data_layer", KvCommit(app, False, writes)))

    def _catch_up(self, execution: Execution, now_ns: int) -> None:
        """Take in what happened meanwhile, up to the next commit."""
        while execution.deferred and execution.commit is None:
            execution.deferred.popleft().event(now_ns)


def _parts(messages: Iterable[KeptMessage]) -> Iterator[tuple[KeptMessage, ...]]:
    """Messages as they fit into frames."""
    part: list[KeptMessage] = []
    size_bytes = 0
    for one in messages:
        if part and size_bytes + len(one.payload) > RESTORED_BYTES:
            yield tuple(part)
            part, size_bytes = [], 0
        part.append(one)
        size_bytes += len(one.payload)
    if part:
        yield tuple(part)
