"""Reservations ahead of a branch's current task: made, armed, brought in in time, given up.

Base of `core.driving`. What follows directly is reserved and armed, so that the output goes from worker to worker;
what may follow after a computation (`core.lookahead.prospects`) is only brought in. A prospect is used, or given up, in
the moment in which the task before it ends.
"""

from __future__ import annotations

from collections import deque

from actorfaas import trace_context
from actorfaas.config import MAX_DATA_BYTES
from actorfaas.core import lifecycle
from actorfaas.core.activities import Activities
from actorfaas.core.awaiting import Unasked
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Tell
from actorfaas.core.events import NS_PER_MS
from actorfaas.core.execution import NS_PER_S, Execution, Lane, Step
from actorfaas.core.lookahead import GuessCount, Prospect, following_tasks, prospects
from actorfaas.core.spans import span_of
from actorfaas.core.tally import Tally
from actorfaas.core.terms import Terms
from actorfaas.core.worker import Claim
from actorfaas.messages import AssignTask, ReleaseAssignment, SetNextTopic
from actorfaas.states.model import StateMachine, Task

BACKLOG_BYTES = 256 * 1024 * 1024
"""Results that wait for the DataLayer, over all standard executions; beyond it, no further state begins."""


class Reserving:
    """What all executions share, and the workers that are held for what comes next."""

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        look_ahead: int,
        boot: str,
        journal_delay_ns: int = 0,
        max_data_bytes: int = MAX_DATA_BYTES,
        warn_data_bytes: int = 0,
        token_key: bytes = b"",
    ) -> None:
        """`boot` tells the tasks of this start from those of the one before. `journal_delay_ns`: see `history`.
        `token_key`: the node's secret for task tokens; without it they can be told from the execution's id."""
        self.dispatch = dispatch
        self.guesses = GuessCount()
        self.tally = Tally()
        self.offset_ms = 0
        self._effects = dispatch.effects
        self._look_ahead_depth = look_ahead
        self._journal_delay_ns = journal_delay_ns
        self._boot = boot
        self._terms = Terms(max_data_bytes, has_secret_tokens=bool(token_key))
        self._token_key = token_key
        self._warn_data_bytes = warn_data_bytes
        self._task_count = 0
        self._all: dict[str, Execution] = {}
        self._alarms: list[tuple[int, str, int]] = []
        self._lane_count = 0
        self._parked: dict[tuple[str, int], None] = {}
        self._backlog_bytes = 0
        self._is_pausing = False
        self._given_up: dict[str, Lane] = {}
        self._unasked: deque[Unasked] = deque()
        self._left: dict[str, str] = {}  # tasks that run on after their answer, and whose data they change
        self.activities = Activities()

    def _wall_ns(self, now_ns: int) -> int:
        """What the engine takes for now."""
        return self._at_ms(now_ns) * NS_PER_MS

    def _ns_of(self, at_ms: int) -> int:
        return (at_ms - self.offset_ms) * NS_PER_MS

    def _at_ms(self, now_ns: int) -> int:
        return now_ns // NS_PER_MS + self.offset_ms

    def _step(
        self, execution: Execution, lane: Lane, task: Task, distance: int, function: str = "", attempt: int = 1
    ) -> Step:
        """A task without a worker; `function`: which one, where the task itself does not say."""
        called = execution.plan.function(function or task.function)
        kind = called.fresh_by(execution.strategy)
        claim = Claim(execution.execution_id, called.topic, distance, kind, branch=lane.branch)
        timeout_ns = int(task.timeout_s * NS_PER_S) or called.timeout_ns
        heartbeat_ns = int(task.heartbeat_s * NS_PER_S)
        task_id = self._task_id(execution, lane)
        span_id = span_of(task_id) if execution.traceparent else ""
        return Step(task, attempt, task_id, claim, timeout_ns, heartbeat_ns, called.memory_mb, span_id)

    def _task_id(self, execution: Execution, lane: Lane) -> str:
        """Never the same again: an execution that is redriven is another one to this process, under the same id."""
        self._task_count += 1
        return f"{execution.execution_id}.{self._boot}.{lane.branch}.{self._task_count}"

    def _assignment(self, execution: Execution, lane: Lane, step: Step, *, armed: bool) -> AssignTask:
        position = 0 if step is lane.current else lane.ahead.index(step) + 1
        following = lane.ahead[position] if position < len(lane.ahead) else None
        return AssignTask(
            step.claim.worker,
            step.task_id,
            execution.execution_id,
            step.task.name,
            step.attempt,
            lane.index,
            step.deadline_ns,
            following.claim.worker if following is not None and following.armed else "",
            armed,
            self._reports_payload(execution, lane, step),
            execution.history.is_standard,
            trace_context.child(execution.traceparent, step.span_id),
            b"" if armed else step.payload,
        )

    def _reports_payload(self, execution: Execution, lane: Lane, step: Step) -> bool:
        """Whether a handed-on output is needed here: to journal it, or to try the next state again with it."""
        following = lane.machine.direct_successor(step.task.name)
        if execution.history.is_standard or following is None:
            return True
        retry = following.retry
        return bool(execution.plan.retriers.get(following.function) if retry is None else retry)

    def _look_ahead(self, execution: Execution, lane: Lane, now_ns: int) -> None:
        """Reserve the next workers while idle ones are to be had, and arm them with their tasks."""
        current = lane.current
        ahead = lane.ahead
        if current is None or not current.deadline_ns or self._is_behind(execution):
            return  # no task is under way whose end could be waited for
        self._expect(lane, current, now_ns)
        armed = sum(step.armed for step in ahead)
        if armed < len(ahead) and not ahead[-1].claim.worker:
            return
        known = len(ahead)
        wanted = following_tasks(lane.machine, current.task.name, known, self._look_ahead_depth)
        for distance, task in enumerate(wanted, known + 1):
            step = self._step(execution, lane, task, distance)
            if step.claim.kind:
                break
            if not self.dispatch.reserve(step.claim, now_ns):
                if self.dispatch.is_waiting(step.claim):
                    ahead.append(step)
                break
            ahead.append(step)
        self._arm(execution, lane, current, armed)
        if not lane.is_foreseen:
            self._foresee(execution, lane, ahead[-1].task if ahead else current.task, now_ns)
        if len(ahead) > known or lane.prospects:
            self._expect(lane, current, now_ns)

    def _foresee(self, execution: Execution, lane: Lane, last: Task, now_ns: int) -> None:
        """Have workers that are out brought in for what may follow `last` after a computation."""
        if len(lane.ahead) >= self._look_ahead_depth or lane.machine.direct_successor(last.name) is not None:
            return
        lane.is_foreseen = True
        following = self._following(execution, lane, last)
        if following is not None:
            for one in prospects(*following, execution.plan.habits):
                self._bring_in(execution, lane, one, now_ns)

    def _following(self, execution: Execution, lane: Lane, last: Task) -> tuple[StateMachine, str] | None:
        """The state after `last`; at the end of a branch that of the state above, if all other branches are over."""
        machine, name = lane.machine, lane.machine.following(last.next)
        while not name:
            above = execution.lanes.get(lane.parent)
            if above is None or above.children > 1 or above.unopened > 0:
                return None
            lane, machine = above, above.machine
            name = machine.following(getattr(machine.states[execution.engine.state_of(above.branch)], "next", ""))
        return machine, name

    def _bring_in(self, execution: Execution, lane: Lane, prospect: Prospect, now_ns: int) -> None:
        """Reserve as many workers for a prospect as are out and will be short, if that is worth it."""
        if not prospect.task.function:
            return  # which one it calls is computed
        distance = len(lane.ahead) + (1 if prospect.share >= 1.0 else 2)  # what may not come is called back first
        step = self._step(execution, lane, prospect.task, distance)
        topic = step.claim.function_topic
        if step.claim.kind or not self.dispatch.gains(topic, prospect.share, now_ns):
            return
        for _ in range(prospect.count - self.dispatch.at_hand(topic)):
            if not self.dispatch.reserve_out(step.claim, now_ns):
                return
            self.guesses.reservations += 1
            lane.prospects.append(step)
            step = self._step(execution, lane, prospect.task, distance)

    def _take_due(self, execution: Execution, lane: Lane, task: Task) -> Step | None:
        """A worker that was brought in for a task that has come."""
        for position, step in enumerate(execution.due):
            if step.task is task and self.dispatch.holds(step.claim):
                del execution.due[position]
                self.guesses.used += 1
                step.claim.branch = lane.branch
                step.task_id = self._task_id(execution, lane)
                step.span_id = span_of(step.task_id) if execution.traceparent else ""
                return step
        return None

    def _drop_prospects(self, steps: list[Step], now_ns: int) -> None:
        """Guesses that were wrong."""
        for step in steps:
            self.guesses.wrong += 1
            if self.dispatch.holds(step.claim):
                self.dispatch.release(step.claim.worker, now_ns, armed=False)

    def _expect(self, lane: Lane, current: Step, now_ns: int) -> None:
        """Have reserved workers that are out brought in by the time their states come."""
        pager = self.dispatch.pager
        before = [current.claim.function_topic]
        if not pager.is_active:
            return
        for step in lane.ahead:
            self._expect_one(step, before, current.scheduled_ns, now_ns)
            before = [*before, step.claim.function_topic]
        for step in lane.prospects:
            self._expect_one(step, before, current.scheduled_ns, now_ns)

    def _expect_one(self, step: Step, before: list[str], began_ns: int, now_ns: int) -> None:
        worker = self.dispatch.worker(step.claim.worker)
        if worker is not None and worker.phase == lifecycle.SWAPPED:
            self.dispatch.pager.expect(worker, before, began_ns, now_ns)

    def _is_behind(self, execution: Execution) -> bool:
        """Whether no further state may begin now: the journal is too long, or the node stops."""
        return execution.history.is_standard and (self._is_pausing or self._is_full())

    def _is_full(self) -> bool:
        """Whether as many results wait for the DataLayer as may."""
        return self._backlog_bytes > BACKLOG_BYTES

    def _arm(self, execution: Execution, lane: Lane, current: Step, known: int) -> None:
        """Arm the granted reservations from position `known` on, the last first, and tell the one before them."""
        ahead = lane.ahead
        before = ahead[known - 1] if known else current
        deadline_ns = before.deadline_ns
        granted = [step for step in ahead[known:] if step.claim.worker]
        for step in granted:
            deadline_ns = step.deadline_ns = execution.limited(deadline_ns + step.timeout_ns)
            self.guesses.reservations += 1
        for step in reversed(granted):
            self._effects.append(Tell("local_queue", self._assignment(execution, lane, step, armed=True)))
            step.armed = True
        if granted and (before.armed or before.sent):
            self._tell_next(before, granted[0].claim.worker)

    def _tell_next(self, step: Step, worker: str) -> None:
        self._effects.append(Tell("local_queue", SetNextTopic(step.claim.worker, step.task_id, worker)))

    def _drop_ahead(self, execution: Execution, lane: Lane, first: int, now_ns: int, revoked: str = "") -> None:
        """Give up the reservations from position `first` on. `revoked`: the worker that dispatch took already."""
        dropped = lane.ahead[first:]
        if not dropped:
            return
        del lane.ahead[first:]
        before = lane.ahead[-1] if first else lane.current
        if before is not None and (before.armed or before.sent):
            self._tell_next(before, "")
        for step in dropped:
            worker = step.claim.worker
            if not worker:
                self.dispatch.withdraw(step.claim)
                continue
            self.guesses.wrong += 1
            if step.armed:
                lane.given_up[worker] = step
                self._given_up[worker] = lane
                self._effects.append(Tell("local_queue", ReleaseAssignment(worker, step.task_id)))
            if worker == revoked and step.armed:
                continue
            self.dispatch.release(worker, now_ns, armed=step.armed)
