"""Carries out the engine's instructions: tasks to workers, reservations ahead, the end; history on its way.

Base of `core.executions`. Each branch of a running execution waits for something (a worker, a task, a timer, the
journal, the branches below it).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from actorfaas.core import lifecycle
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Answer, Ended, Store, Tell
from actorfaas.core.execution import (
    NS_PER_S,
    Execution,
    Lane,
    Step,
)
from actorfaas.core.history import NS_PER_MS, event_type
from actorfaas.core.lookahead import GuessCount, following_tasks
from actorfaas.core.pool import Claim
from actorfaas.errors import InvariantViolation
from actorfaas.messages import (
    AssignTask,
    Message,
    ReleaseAssignment,
    SetNextTopic,
)
from actorfaas.states.engine import (
    STATES_TIMEOUT,
    Closed,
    Entered,
    Exited,
    Failed,
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
from actorfaas.states.model import Task

MAX_RUNNING = 10_000
"""Executions running at once; more are refused as overloaded."""

BACKLOG_BYTES = 256 * 1024 * 1024
MAX_PLATFORM_LOSSES = 10
"""How often one execution's states are run again because an actor went away, before that counts as its failure."""

SPARE_ALARMS = 1024
"""Alarms of executions that have ended, or were replaced by earlier ones, are cleared away beyond this."""

WHOLE = -1
"""The place of a branch's number in an alarm of the whole execution."""

GRACE_NS = 2 * NS_PER_S
"""How much later than the LocalQueue this actor notices that a task it delivered overran its deadline."""


class Driver:
    """What all executions share, and one execution's next steps."""

    def __init__(self, dispatch: Dispatch, *, look_ahead: int, boot: str, journal_delay_ns: int = 0) -> None:
        """`boot` tells the tasks of this start from those of the one before. `journal_delay_ns`: see `history`."""
        self.dispatch = dispatch
        self.guesses = GuessCount()
        self.offset_ms = 0
        self._effects = dispatch.effects
        self._look_ahead_depth = look_ahead
        self._journal_delay_ns = journal_delay_ns
        self._boot = boot
        self._all: dict[str, Execution] = {}
        self._alarms: list[tuple[int, str, int]] = []
        self._lane_count = 0
        self._parked: dict[tuple[str, int], None] = {}
        self._backlog_bytes = 0
        self._is_pausing = False
        self._given_up: dict[str, Lane] = {}

    def _perform(self, execution: Execution, instructions: Iterable[Instruction], now_ns: int) -> None:
        for instruction in instructions:
            match instruction:
                case RunTask():
                    self._run(execution, execution.lanes[instruction.branch], instruction, now_ns)
                case Sleep(branch, _, until_ns):
                    self._sleep(execution, execution.lanes[branch], until_ns, now_ns)
                case Opened(branch, parent):
                    execution.open(branch, parent)
                    self._lane_count += 1
                case Closed(branch):
                    self._close_lane(execution, branch, "cancelled", now_ns)
                case Finish():
                    self._finish(execution, instruction, now_ns)
                case ReadItems(_, state) | WriteResults(_, state):
                    raise InvariantViolation(f"state {state!r} needs a store, which `states.parsing` refuses")
                case _:
                    self._record(execution, instruction, now_ns)

    def _record(self, execution: Execution, instruction: Recorded, now_ns: int) -> None:
        """Note in the history what became of a state. A task's output is there already, as its result."""
        history = execution.history
        at_ms, type_ = self._at_ms(now_ns), event_type(instruction)
        match instruction:
            case Entered(branch, state, kind):
                history.add(at_ms, type_, state, int(kind == "Task"), branch=branch)
            case Exited(branch, state, kind, payload):
                journalled = (payload if kind != "Task" and history.is_standard else None) or b""
                self._backlog_bytes += len(journalled)
                history.add(at_ms, type_, state, payload=journalled, branch=branch)
            case Failed(branch, state, _, error, cause) | Noted(branch, _, state, _, error, cause):
                history.add_error(at_ms, type_, state, error, cause, branch=branch)

    def _sleep(self, execution: Execution, lane: Lane, until_ns: int, now_ns: int) -> None:
        self._drop_ahead(execution, lane, 0, now_ns)  # who waits needs nobody yet
        lane.wake_ns = max(1, self._ns_of(until_ns // NS_PER_MS))  # 0 would mean never; it may be long over
        self._set_alarm(execution, lane)

    def _run(self, execution: Execution, lane: Lane, run: RunTask, now_ns: int) -> None:
        if self._is_behind(execution):
            lane.parked = run
            self._parked[execution.execution_id, lane.branch] = None
            return
        ahead = lane.ahead
        if ahead and ahead[0].task is run.task and run.attempt == 1:
            step = ahead.pop(0)
        else:
            step = self._step(execution, lane, run.task, run.attempt, distance=0)
        lane.current = step
        step.payload = run.payload
        step.timeout_ns = execution.timeout_ns(run.task, run.timeout_s)
        step.scheduled_ns = now_ns
        if step.claim.worker:
            step.claim.distance = 0
            self._assign(execution, lane, step, now_ns)
            return
        if self.dispatch.is_waiting(step.claim):
            self.dispatch.promote(step.claim, now_ns)
            return
        step.claim.distance = 0
        if self.dispatch.claim(step.claim, now_ns):
            self._assign(execution, lane, step, now_ns)

    def _step(self, execution: Execution, lane: Lane, task: Task, attempt: int, distance: int) -> Step:
        function = execution.plan.functions[task.function]
        execution.task_count += 1
        kind = function.fresh_by(execution.strategy)
        claim = Claim(execution.execution_id, function.topic, distance, kind, branch=lane.branch)
        task_id = f"{execution.execution_id}.{self._boot}.{lane.branch}.{execution.task_count}"
        return Step(task, attempt, task_id, claim, execution.timeout_ns(task, task.timeout_s))

    def _assign(self, execution: Execution, lane: Lane, step: Step, now_ns: int) -> None:
        """Give the current task to its worker; what follows is reserved first, so that the worker can be told."""
        step.deadline_ns = execution.limited(now_ns + step.timeout_ns)
        self._look_ahead(execution, lane, now_ns)
        self._effects.append(Tell("local_queue", self._assignment(execution, lane, step, armed=False)))
        step.payload = b""
        step.armed, step.sent = False, True
        step.deadline_ns += GRACE_NS
        self.dispatch.started(step.claim, now_ns)
        self._set_alarm(execution, lane)

    def _assignment(self, execution: Execution, lane: Lane, step: Step, *, armed: bool) -> AssignTask:
        position = 0 if step is lane.current else lane.ahead.index(step) + 1
        following = lane.ahead[position] if position < len(lane.ahead) else None
        return AssignTask(
            step.claim.worker,
            step.task_id,
            execution.execution_id,
            step.task.name,
            step.attempt,
            step.deadline_ns,
            following.claim.worker if following is not None and following.armed else "",
            armed,
            self._reports_payload(execution, lane, step),
            execution.traceparent,
            b"" if armed else step.payload,
        )

    def _reports_payload(self, execution: Execution, lane: Lane, step: Step) -> bool:
        """Whether a handed-on output is needed here: to journal it, or to try the next state again with it."""
        following = lane.machine.direct_successor(step.task.name)
        if execution.history.is_standard or following is None:
            return True
        retry = following.retry
        return bool(execution.plan.retriers[following.function] if retry is None else retry)

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
            step = self._step(execution, lane, task, 1, distance)
            if step.claim.kind:
                break
            if not self.dispatch.reserve(step.claim, now_ns):
                if self.dispatch.is_waiting(step.claim):
                    ahead.append(step)
                break
            ahead.append(step)
        self._arm(execution, lane, current, armed)
        if len(ahead) > known:
            self._expect(lane, current, now_ns)

    def _expect(self, lane: Lane, current: Step, now_ns: int) -> None:
        """Have reserved workers that are out brought in by the time their states come."""
        pager = self.dispatch.pager
        before = [current.claim.function_topic]
        for step in lane.ahead if pager.is_active else ():
            worker = self.dispatch.worker(step.claim.worker)
            if worker is not None and worker.phase == lifecycle.SWAPPED:
                pager.expect(worker, before, current.scheduled_ns, now_ns)
            before = [*before, step.claim.function_topic]

    def _is_behind(self, execution: Execution) -> bool:
        """Whether no further state may begin now: the journal is too long, or the node stops."""
        return execution.history.is_standard and (self._is_pausing or self._backlog_bytes > BACKLOG_BYTES)

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

    def _abandon(self, lane: Lane, reason: str) -> None:
        """End the branch's task under way, whatever it is doing."""
        step, lane.current = lane.current, None
        if step is None:
            return
        if step.sent:
            self.dispatch.kill(step.claim.worker, reason)
        else:
            self.dispatch.withdraw(step.claim)

    def _close_lane(self, execution: Execution, branch: int, reason: str, now_ns: int) -> None:
        """A branch is over: nothing of it goes on."""
        lane = execution.lanes.pop(branch)
        self._lane_count -= 1
        self._abandon(lane, reason)
        self._drop_ahead(execution, lane, 0, now_ns)
        self._parked.pop((execution.execution_id, branch), None)
        for worker in lane.given_up:
            self._given_up.pop(worker, None)

    def _finish(self, execution: Execution, last: Finish, now_ns: int) -> None:
        error, cause = last.error, last.cause
        status = "failed" if last.failed else "succeeded"
        type_ = "ExecutionFailed" if last.failed else "ExecutionSucceeded"
        if error == STATES_TIMEOUT and execution.plan.kind == "function":
            status, type_ = "timed_out", "ExecutionTimedOut"
        execution.history.add_error(self._at_ms(now_ns), type_, "", error, cause)
        self._close(execution, (status, error, cause, last.payload), now_ns)

    def _close(self, execution: Execution, end: tuple[str, str, str, bytes], now_ns: int, reason: str = "") -> None:
        """End an execution with its status, error, cause and output; tasks under way are killed for a `reason`."""
        status, error, cause, payload = end
        for branch in list(execution.lanes):
            self._close_lane(execution, branch, reason or "cancelled", now_ns)
        execution.ended = True
        execution.deadline_ns = 0
        if execution.history.is_standard:
            self._backlog_bytes += len(payload)
        execution.history.end(status, error, cause, payload)
        plan = execution.plan
        self._effects.append(Ended(execution.execution_id, plan.app, plan.version, status, error))

    def _store(self, execution: Execution, now_ns: int) -> None:
        request = execution.history.next_request(now_ns)
        if request is not None:
            self._effects.append(Store(execution.execution_id, request))
        elif execution.history.due_ns:
            self._set_alarm(execution)

    def _set_alarm(self, execution: Execution, lane: Lane | None = None) -> None:
        """At most one alarm of a branch, and one of the whole, counts; an earlier one is set as it becomes due."""
        if execution.ended:
            return
        timed = execution if lane is None else lane
        due_ns = timed.due_ns()
        if due_ns and (timed.alarm_ns == 0 or due_ns < timed.alarm_ns):
            timed.alarm_ns = due_ns
            heapq.heappush(self._alarms, (due_ns, execution.execution_id, WHOLE if lane is None else lane.branch))
            if len(self._alarms) > 2 * (len(self._all) + self._lane_count) + SPARE_ALARMS:  # most are of what has ended
                self._alarms = list(self._live_alarms())
                heapq.heapify(self._alarms)

    def _live_alarms(self) -> Iterator[tuple[int, str, int]]:
        for execution in self._all.values():
            if execution.alarm_ns:
                yield execution.alarm_ns, execution.execution_id, WHOLE
            for lane in execution.lanes.values():
                if lane.alarm_ns:
                    yield lane.alarm_ns, execution.execution_id, lane.branch

    def _answer(self, execution: Execution, message: Message) -> None:
        self._effects.append(Answer(execution.execution_id, message))

    def _wall_ns(self, now_ns: int) -> int:
        """What the engine takes for now."""
        return self._at_ms(now_ns) * NS_PER_MS

    def _ns_of(self, at_ms: int) -> int:
        return (at_ms - self.offset_ms) * NS_PER_MS

    def _at_ms(self, now_ns: int) -> int:
        return now_ns // NS_PER_MS + self.offset_ms
