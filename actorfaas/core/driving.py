"""Carries out the engine's instructions: tasks to workers, reservations ahead, the end; history on its way.

Base of `core.executions`. A running execution either waits for something (a worker, a task, a timer, the journal) or
has ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from actorfaas.core import lifecycle
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Answer, Ended, Store, Tell
from actorfaas.core.execution import (
    NS_PER_S,
    Execution,
    Step,
)
from actorfaas.core.history import NS_PER_MS
from actorfaas.core.lookahead import GuessCount, following_tasks
from actorfaas.core.pool import Claim
from actorfaas.messages import (
    AssignTask,
    Message,
    ReleaseAssignment,
    SetNextTopic,
)
from actorfaas.states.engine import (
    STATES_TIMEOUT,
    Entered,
    Exited,
    Finish,
    Instruction,
    RunTask,
    Sleep,
)
from actorfaas.states.model import Task

MAX_RUNNING = 10_000
"""Executions running at once; more are refused as overloaded."""

BACKLOG_BYTES = 256 * 1024 * 1024
MAX_PLATFORM_LOSSES = 10
"""How often one execution's states are run again because an actor went away, before that counts as its failure."""

SPARE_ALARMS = 1024
"""Alarms of executions that have ended, or were replaced by earlier ones, are cleared away beyond this."""

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
        self._alarms: list[tuple[int, str]] = []
        self._backlog_bytes = 0
        self._is_pausing = False
        self._given_up: dict[str, str] = {}

    def _perform(self, execution: Execution, instructions: Iterable[Instruction], now_ns: int) -> None:
        history = execution.history
        for instruction in instructions:
            match instruction:
                case Exited(state, kind, payload):
                    journalled = payload if kind != "Task" and history.is_standard else None
                    self._backlog_bytes += len(journalled or b"")
                    history.add(self._at_ms(now_ns), f"{kind}StateExited", state, payload=journalled or b"")
                case Entered(state, kind):
                    history.add(self._at_ms(now_ns), f"{kind}StateEntered", state, int(kind == "Task"))
                case RunTask(task, attempt, payload):
                    self._run(execution, task, attempt, payload, now_ns)
                case Sleep(_, until_ns):
                    self._drop_ahead(execution, 0, now_ns)  # who waits needs nobody yet
                    execution.wake_ns = max(1, until_ns)  # 0 would mean never; a resumed one may be long over
                case Finish(error, cause, payload):
                    self._finish(execution, error, cause, payload, now_ns)

    def _run(self, execution: Execution, task: Task, attempt: int, payload: bytes, now_ns: int) -> None:
        if self._is_behind(execution):
            execution.parked = (task, attempt, payload)
            return
        ahead = execution.ahead
        if ahead and ahead[0].task is task and attempt == 1:
            step = ahead.pop(0)
        else:
            step = self._step(execution, task, attempt, distance=0)
        execution.current = step
        step.payload = payload
        step.scheduled_ns = now_ns
        if step.claim.worker:
            step.claim.distance = 0
            self._assign(execution, step, now_ns)
            return
        if self.dispatch.is_waiting(step.claim):
            self.dispatch.promote(step.claim, now_ns)
            return
        step.claim.distance = 0
        if self.dispatch.claim(step.claim, now_ns):
            self._assign(execution, step, now_ns)

    def _step(self, execution: Execution, task: Task, attempt: int, distance: int) -> Step:
        function = execution.plan.functions[task.function]
        execution.task_count += 1
        claim = Claim(execution.execution_id, function.topic, distance, function.fresh_by(execution.strategy))
        return Step(task, attempt, f"{execution.execution_id}.{self._boot}.{execution.task_count}", claim)

    def _assign(self, execution: Execution, step: Step, now_ns: int) -> None:
        """Give the current task to its worker; what follows is reserved first, so that the worker can be told."""
        step.deadline_ns = execution.limited(now_ns + execution.timeout_ns(step.task))
        self._look_ahead(execution, now_ns)
        self._effects.append(Tell("local_queue", self._assignment(execution, step, armed=False)))
        step.payload = b""
        step.armed, step.sent = False, True
        step.deadline_ns += GRACE_NS
        self.dispatch.started(step.claim, now_ns)
        self._set_alarm(execution)

    def _assignment(self, execution: Execution, step: Step, *, armed: bool) -> AssignTask:
        position = 0 if step is execution.current else execution.ahead.index(step) + 1
        following = execution.ahead[position] if position < len(execution.ahead) else None
        return AssignTask(
            step.claim.worker,
            step.task_id,
            execution.execution_id,
            step.task.name,
            step.attempt,
            step.deadline_ns,
            following.claim.worker if following is not None and following.armed else "",
            armed,
            self._reports_payload(execution, step),
            execution.traceparent,
            b"" if armed else step.payload,
        )

    def _reports_payload(self, execution: Execution, step: Step) -> bool:
        """Whether a handed-on output is needed here: to journal it, or to try the next state again with it."""
        following = execution.plan.machine.direct_successor(step.task.name)
        if execution.history.is_standard or following is None:
            return True
        retry = following.retry
        return bool(execution.plan.retriers[following.function] if retry is None else retry)

    def _look_ahead(self, execution: Execution, now_ns: int) -> None:
        """Reserve the next workers while idle ones are to be had, and arm them with their tasks."""
        current = execution.current
        ahead = execution.ahead
        if current is None or not current.deadline_ns or self._is_behind(execution):
            return  # no task is under way whose end could be waited for
        self._expect(execution, current, now_ns)
        armed = sum(step.armed for step in ahead)
        if armed < len(ahead) and not ahead[-1].claim.worker:
            return
        known = len(ahead)
        wanted = following_tasks(execution.plan.machine, current.task.name, known, self._look_ahead_depth)
        for distance, task in enumerate(wanted, known + 1):
            step = self._step(execution, task, 1, distance)
            if step.claim.kind:
                break
            if not self.dispatch.reserve(step.claim, now_ns):
                if self.dispatch.is_waiting(step.claim):
                    ahead.append(step)
                break
            ahead.append(step)
        self._arm(execution, current, armed)
        if len(ahead) > known:
            self._expect(execution, current, now_ns)

    def _expect(self, execution: Execution, current: Step, now_ns: int) -> None:
        """Have reserved workers that are out brought in by the time their states come."""
        pager = self.dispatch.pager
        before = [current.claim.function_topic]
        for step in execution.ahead if pager.is_active else ():
            worker = self.dispatch.worker(step.claim.worker)
            if worker is not None and worker.phase == lifecycle.SWAPPED:
                pager.expect(worker, before, current.scheduled_ns, now_ns)
            before = [*before, step.claim.function_topic]

    def _is_behind(self, execution: Execution) -> bool:
        """Whether no further state may begin now: the journal is too long, or the node stops."""
        return execution.history.is_standard and (self._is_pausing or self._backlog_bytes > BACKLOG_BYTES)

    def _arm(self, execution: Execution, current: Step, known: int) -> None:
        """Arm the granted reservations from position `known` on, the last first, and tell the one before them."""
        ahead = execution.ahead
        before = ahead[known - 1] if known else current
        deadline_ns = before.deadline_ns
        granted = [step for step in ahead[known:] if step.claim.worker]
        for step in granted:
            deadline_ns = step.deadline_ns = execution.limited(deadline_ns + execution.timeout_ns(step.task))
            self.guesses.reservations += 1
        for step in reversed(granted):
            self._effects.append(Tell("local_queue", self._assignment(execution, step, armed=True)))
            step.armed = True
        if granted and (before.armed or before.sent):
            self._tell_next(before, granted[0].claim.worker)

    def _tell_next(self, step: Step, worker: str) -> None:
        self._effects.append(Tell("local_queue", SetNextTopic(step.claim.worker, step.task_id, worker)))

    def _drop_ahead(self, execution: Execution, first: int, now_ns: int, revoked: str = "") -> None:
        """Give up the reservations from position `first` on. `revoked`: the worker that dispatch took already."""
        dropped = execution.ahead[first:]
        if not dropped:
            return
        del execution.ahead[first:]
        before = execution.ahead[-1] if first else execution.current
        if before is not None and (before.armed or before.sent):
            self._tell_next(before, "")
        for step in dropped:
            worker = step.claim.worker
            if not worker:
                self.dispatch.withdraw(step.claim)
                continue
            self.guesses.wrong += 1
            if step.armed:
                execution.given_up[worker] = step
                self._given_up[worker] = execution.execution_id
                self._effects.append(Tell("local_queue", ReleaseAssignment(worker, step.task_id)))
            if worker == revoked and step.armed:
                continue
            self.dispatch.release(worker, now_ns, armed=step.armed)

    def _finish(self, execution: Execution, error: str, cause: str, payload: bytes, now_ns: int) -> None:
        status = "failed" if error else "succeeded"
        type_ = "ExecutionFailed" if error else "ExecutionSucceeded"
        if error == STATES_TIMEOUT and execution.plan.kind == "function":
            status, type_ = "timed_out", "ExecutionTimedOut"
        execution.history.add_error(self._at_ms(now_ns), type_, "", error, cause)
        self._close(execution, status, error, cause, payload)
        self._drop_ahead(execution, 0, now_ns)

    def _close(self, execution: Execution, status: str, error: str, cause: str, payload: bytes) -> None:
        execution.ended = True
        execution.wake_ns = execution.deadline_ns = 0
        execution.parked = None
        execution.engine.ended = True
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

    def _set_alarm(self, execution: Execution) -> None:
        """At most one alarm of an execution counts; an earlier one is set as it becomes due."""
        if execution.ended:
            return
        due_ns = execution.due_ns()
        if due_ns and (execution.alarm_ns == 0 or due_ns < execution.alarm_ns):
            execution.alarm_ns = due_ns
            heapq.heappush(self._alarms, (due_ns, execution.execution_id))
            if len(self._alarms) > 2 * len(self._all) + SPARE_ALARMS:  # most are of executions that have ended
                self._alarms = [(one.alarm_ns, one.execution_id) for one in self._all.values() if one.alarm_ns]
                heapq.heapify(self._alarms)

    def _answer(self, execution: Execution, message: Message) -> None:
        self._effects.append(Answer(execution.execution_id, message))

    def _ns_of(self, at_ms: int) -> int:
        return (at_ms - self.offset_ms) * NS_PER_MS

    def _at_ms(self, now_ns: int) -> int:
        return now_ns // NS_PER_MS + self.offset_ms
