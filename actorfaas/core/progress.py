"""What workers report about tasks of executions, and what follows from it.

Base of `core.executions`, above `core.settling`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from actorfaas.batches import split_effects
from actorfaas.core.events import added_of
from actorfaas.core.execution import Commit, Execution, Lane, Step, error_of
from actorfaas.core.settling import Settling
from actorfaas.errors import RequestRefused
from actorfaas.messages import KeptMessage, TaskFailed, TaskFinished, TaskFinishedAndEffects
from actorfaas.states.adding import STATES_NEXT_NOT_ALLOWED, Added
from actorfaas.states.engine import STATES_DATA_LIMIT


@dataclass(frozen=True, slots=True)
class Effects:
    """What a task did besides returning: the changes of functions' data, the states it had run next, the messages that
    it received."""

    writes: bytes = b""
    added: tuple[Added, ...] = ()
    received: tuple[KeptMessage, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What the states and their inputs take in the journal, or a little less."""
        return sum(len(name) + len(input_) + ADDED_BYTES for name, input_ in self.added)


NO_EFFECTS = Effects()

_Ended = TypeVar("_Ended", TaskFinished, TaskFailed)

ADDED_BYTES = 24
"""What one takes there besides its name and input."""


def _cannot_add(done: TaskFinished) -> TaskFailed:
    """A task that somebody outside answers has had states run next: what its function returns decides nothing."""
    place = done.worker_topic, done.task_id, done.execution_id, done.state, done.attempt
    times = done.delivered_ns, done.started_ns, done.ended_ns
    cause = f"state {done.state!r} waits for an answer from outside; its function cannot say what runs next"
    return TaskFailed(*place, done.start_kind, *times, "handler_error", STATES_NEXT_NOT_ALLOWED, cause, "")


def _as_claimed(ended: _Ended, step: Step) -> _Ended:
    """The LocalQueue does not know how the worker of a task was had that was paged out."""
    return replace(ended, start_kind=step.claim.start_kind) if step.claim.start_kind else ended


class Progress(Settling):
    """Tasks that returned, failed, were lost."""

    def task_finished(self, done: TaskFinished, now_ns: int) -> None:
        """A task returned; its output is here, or with the next worker already."""
        received = self._received(done.execution_id, done.task_id)
        self._finished(done, Effects(received=received) if received else NO_EFFECTS, now_ns)

    def task_finished_with_effects(self, fact: TaskFinishedAndEffects, now_ns: int) -> None:
        """A task returned, and what it changed has to be committed, or it says what is to follow."""
        place = fact.worker_topic, fact.task_id, fact.execution_id, fact.state, fact.attempt
        times = fact.delivered_ns, fact.started_ns, fact.ended_ns
        try:
            result, effects = split_effects(fact.payload, fact.effects_bytes)
            added = added_of(effects)
        except RequestRefused as refused:
            failed = TaskFailed(*place, fact.start_kind, *times, "bad_result", "BadResult", refused.detail, "")
            self._put_back(self._all.get(fact.execution_id), self._received(fact.execution_id, fact.task_id))
            self.task_failed(failed, now_ns)
            return
        done = TaskFinished(*place, "", fact.start_kind, *times, len(result), result)
        received = self._received(done.execution_id, done.task_id)
        self._finished(done, Effects(effects.payload, added, received), now_ns)

    def _finished(self, done: TaskFinished, did: Effects, now_ns: int) -> None:
        if self._defers_for(done.execution_id, lambda at_ns: self._finished(done, did, at_ns)):
            return
        execution = self._all.get(done.execution_id)
        lane = execution.lane_of(done.task_id) if execution is not None else None
        step = lane.current if lane is not None else None
        if execution is None or lane is None or step is None or step.task_id != done.task_id:
            self._commit_apart(done.task_id, did.writes)
            self._put_back(execution, did.received)
            self._finished_late(execution, lane, done, now_ns)
            self.settle(now_ns)
            return
        size_bytes = done.output_bytes + did.size_bytes
        self._weigh(execution, done.state, size_bytes, lane.place, now_ns)
        if size_bytes > execution.terms.max_data_bytes:
            self._put_back(execution, did.received)
            self._too_large(execution, lane, step, done, size_bytes, now_ns)
            return
        if did.added and lane.awaited is not None:
            self._put_back(execution, did.received)
            self.task_failed(_cannot_add(done), now_ns)
            return
        done = _as_claimed(done, step)
        self._note_result(execution, lane, step, done, did, now_ns)
        lane.current = None
        if did.writes:
            commit = Commit(lane, self._at_ms(now_ns), done.payload, did.added, did.received)
            self._commit(execution, commit, now_ns)
        self.dispatch.give_back(done.worker_topic, now_ns, reusable=True)
        self.settle(now_ns)  # that may have called back the very reservation that has got the output
        if did.writes:
            return  # it goes on when they are committed
        if lane.awaited is not None:
            self._submitted(lane, lane.awaited, now_ns)
        elif done.handed_to:
            self._handed_on(execution, lane, done, now_ns)
        else:
            wall_ns = self._wall_ns(now_ns)
            succeeded = execution.engine.task_succeeded(
                lane.branch, done.payload, wall_ns, handed_on=False, added=did.added
            )
            self._go_on(execution, lane, succeeded, now_ns)
        self._after(execution, lane, now_ns)
        self.settle(now_ns)

    def _note_result(
        self, execution: Execution, lane: Lane, step: Step, done: TaskFinished, did: Effects, now_ns: int
    ) -> None:
        """Note in the history, and for all who learn from it, how a task returned."""
        self.dispatch.pager.ran(step.claim.function_topic, done.ended_ns - done.started_ns)
        self.dispatch.pager.returned(step.claim.function_topic, done.start_kind, done.ended_ns - done.delivered_ns)
        self._count(step, done, failed=False)
        gap_ns = done.started_ns - lane.last_ended_ns if lane.last_ended_ns else 0
        lane.last_ended_ns = done.ended_ns
        before = execution.history.pending_bytes
        at_ms, traced = self._at_ms(now_ns), step.traced
        type_ = "TaskSucceeded" if lane.awaited is None else "TaskSubmitted"
        if did.added:
            execution.history.add_next(at_ms, done, lane.place, did.added)
        if did.received:
            execution.history.add_received(at_ms, done, lane.place, (one.number for one in did.received))
        execution.history.add_result(
            at_ms, step.scheduled_ns, gap_ns, done, lane.place, traced, did.writes, type_, step.claim.page_in
        )
        self._backlog_bytes += execution.history.pending_bytes - before

    def _count(self, step: Step, ended: TaskFinished | TaskFailed, *, failed: bool) -> None:
        """Add a task to the figures of its function."""
        function = step.claim.function_topic.rpartition("@")[0]
        took_ns = max(0, ended.ended_ns - step.scheduled_ns)
        run_ns = ended.ended_ns - ended.started_ns if ended.started_ns else 0
        self.tally.of(function, ended.start_kind).add(took_ns, failed, run_ns, step.memory_mb)

    def _too_large(
        self, execution: Execution, lane: Lane, step: Step, done: TaskFinished, size: int, now_ns: int
    ) -> None:
        """Data beyond the limit fails its state, also when the next worker has it already."""
        lane.current = None
        self._finished_late(execution, lane, done, now_ns)
        limit = execution.terms.max_data_bytes
        cause = f"the data of state {step.task.name} has {size} bytes, more than the {limit} of max_data_bytes"
        self._fail_task(execution, lane, step, STATES_DATA_LIMIT, cause, now_ns)
        self._after(execution, lane, now_ns)
        self.settle(now_ns)

    def _handed_on(self, execution: Execution, lane: Lane, done: TaskFinished, now_ns: int) -> None:
        following = self._handed_to(execution, lane, done.handed_to, now_ns)
        wall_ns = self._wall_ns(now_ns)
        succeeded = execution.engine.task_succeeded(lane.branch, done.payload or None, wall_ns, handed_on=True)
        self._perform(execution, succeeded, now_ns)
        if following is None:
            self.dispatch.kill(done.handed_to, "stuck")
            self._run_again(execution, lane, now_ns)
            return
        if lane.current is not None or not self._stands_at(execution, lane, following.task.name):
            self.dispatch.kill(done.handed_to, "cancelled")  # it failed in the moment in which it was entered
            return
        following.begin(now_ns)
        following.scheduled_ns = done.ended_ns
        following.claim.distance = 0
        following.deadline_ns = execution.limited(now_ns + following.timeout_ns)
        lane.current = following
        for distance, step in enumerate(lane.ahead, 1):
            step.claim.distance = distance
        self._look_ahead(execution, lane, now_ns)

    @staticmethod
    def _stands_at(execution: Execution, lane: Lane, state: str) -> bool:
        return lane.branch in execution.lanes and execution.engine.state_of(lane.branch) == state

    def _handed_to(self, execution: Execution, lane: Lane, worker: str, now_ns: int) -> Step | None:
        """The reservation whose worker got the output, also one that was being given up."""
        if lane.ahead and lane.ahead[0].claim.worker == worker:
            step = lane.ahead.pop(0)
            self.guesses.used += 1
            self.dispatch.started(step.claim, now_ns)
            return step
        self._given_up.pop(worker, None)
        given_up = lane.given_up.pop(worker, None)
        if given_up is not None:
            self._drop_ahead(execution, lane, 0, now_ns)
            given_up.claim.distance = 0  # it is a guess no more, and not to be called back
            if self.dispatch.reclaim(worker, given_up.claim, now_ns):
                self.dispatch.started(given_up.claim, now_ns)
            return given_up
        return None

    def _finished_late(self, execution: Execution | None, lane: Lane | None, done: TaskFinished, now_ns: int) -> None:
        """A task nobody waits for any more: its branch is over, or tries that state again."""
        if execution is not None and lane is not None:
            position = next((i for i, s in enumerate(lane.ahead) if s.claim.worker == done.handed_to), -1)
            if done.handed_to and position >= 0:
                self._drop_ahead(execution, lane, position, now_ns)
        self.dispatch.give_back(done.worker_topic, now_ns, reusable=True)
        if done.handed_to:
            self.dispatch.kill(done.handed_to, "cancelled")

    def task_failed(self, failed: TaskFailed, now_ns: int) -> None:
        """A task ended without a result."""
        self._left.pop(failed.task_id, None)
        execution = self._all.get(failed.execution_id)
        lane = execution.lane_of(failed.task_id) if execution is not None else None
        if execution is not None and lane is not None:
            step = lane.current
            is_current = step is not None and step.task_id == failed.task_id
            has_run = is_current or failed.delivered_ns  # else it was reserved: nothing for the engine
            if has_run and self._defers(execution, lambda at_ns: self.task_failed(failed, at_ns)):
                return
            if step is not None and is_current:
                self._current_failed(execution, lane, step, failed, now_ns)
                self._after(execution, lane, now_ns)
                self.settle(now_ns)
                return
            position = lane.find(failed.task_id)
            if position >= 0:
                self._drop_ahead(execution, lane, position, now_ns)
        self._worker_after(failed, now_ns)
        self.settle(now_ns)

    def _current_failed(self, execution: Execution, lane: Lane, step: Step, failed: TaskFailed, now_ns: int) -> None:
        lane.current = None
        self._worker_after(failed, now_ns)
        undelivered = failed.delivered_ns == 0 and failed.reason in ("unavailable", "worker_lost", "no_topic")
        hindered = execution.history.is_standard and self._is_platforms_fault(failed)
        if (undelivered or hindered) and self._may_run_again(execution, lane):
            self._run_again(execution, lane, now_ns)
            return
        failed = _as_claimed(failed, step)
        self._count(step, failed, failed=True)
        error, cause = error_of(failed)
        at_ms, page_in = self._at_ms(now_ns), step.claim.page_in
        execution.history.add_failure(at_ms, step.scheduled_ns, failed, error, cause, lane.place, step.traced, page_in)
        self._task_failed(execution, lane, error, cause, now_ns)

    def task_goes_on(self, execution_id: str, task_id: str, now_ns: int) -> None:
        """The handler of a task sent a heartbeat."""
        execution = self._all.get(execution_id)
        lane = execution.lane_of(task_id) if execution is not None else None
        step = lane.current if lane is not None else None
        if step is not None and step.task_id == task_id:
            step.goes_on(now_ns)
            if lane is not None and lane.awaited is not None:
                lane.awaited.goes_on(now_ns)

    def _is_platforms_fault(self, failed: TaskFailed) -> bool:
        if failed.reason == "worker_lost":
            return not self.dispatch.is_connected or failed.delivered_ns < self.dispatch.supervisor_lost_ns
        return failed.reason == "unavailable"

    def _worker_after(self, failed: TaskFailed, now_ns: int) -> None:
        """What becomes of the worker of a failed task."""
        worker = failed.worker_topic
        if failed.reason == "worker_lost":
            self.dispatch.ending(worker)
        elif failed.reason in ("timeout", "cancelled") and failed.delivered_ns:
            self.dispatch.kill(worker, failed.reason)
        elif failed.reason == "unavailable":  # the worker was not there or not free, or its handler was hindered
            self.dispatch.give_back(worker, now_ns, reusable=failed.delivered_ns > 0)
        else:
            exits = failed.reason == "memory" or failed.error_type == "SystemExit"
            self.dispatch.give_back(worker, now_ns, reusable=not exits)

    def queue_lost(self, now_ns: int) -> None:
        """The LocalQueue has gone, and with it what it had not told yet: also the end of tasks whose worker's end the
        supervisor told first."""
        self._left.clear()
        self.dispatch.queue_lost(now_ns)
        self.settle(now_ns)
        self._given_up.clear()
        for execution in list(self._all.values()):
            for lane in list(execution.lanes.values()):
                lane.given_up.clear()  # also when one has got a payload: its worker is gone
                step = lane.current
                if step is not None and step.sent:
                    self._platform_lost(execution, lane, step, now_ns)
        self.settle(now_ns)

    def worker_released(self, worker: str) -> None:
        """The LocalQueue confirmed a `ReleaseAssignment`: nothing was handed to the worker."""
        lane = self._given_up.pop(worker, None)
        if lane is not None:
            lane.given_up.pop(worker, None)
