"""Carries out the engine's instructions: tasks to workers, timers, branches, the end; history on its way.

Base of `core.executions`. Each branch of a running execution waits for something (a worker, a task, a timer, the
journal, the branches below it).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from actorfaas.core.effects import Answer, Ended, Export, Fetch, GiveUp, Store, Tell, Warn
from actorfaas.core.events import NS_PER_MS, Place, event_type
from actorfaas.core.execution import NS_PER_S, Execution, Lane, Step
from actorfaas.core.lookahead import Habits
from actorfaas.core.outside import Outside
from actorfaas.core.terms import DATA_WARNED, STARTED
from actorfaas.messages import EndSession, Message
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
from actorfaas.states.model import reads_items

MAX_RUNNING = 10_000
"""Executions running at once; more are refused as overloaded."""

SPARE_ALARMS = 1024
"""Alarms of executions that have ended, or were replaced by earlier ones, are cleared away beyond this."""

WHOLE = -1
"""The place of a branch's number in an alarm of the whole execution."""

GRACE_NS = 2 * NS_PER_S
"""How much later than the LocalQueue this actor notices that a task it delivered overran its deadline."""


class Driver(Outside):
    """One execution's next steps."""

    def _go_on(self, execution: Execution, lane: Lane, instructions: Iterable[Instruction], now_ns: int) -> None:
        """A branch's task or wait is over: what was brought in for what follows is used now, or not at all."""
        execution.due, lane.prospects = lane.prospects, []
        lane.is_foreseen = False
        self._perform(execution, instructions, now_ns)
        due, execution.due = execution.due, []
        self._drop_prospects(due, now_ns)
        if lane.branch not in execution.lanes:
            self._foresee_join(execution, lane.parent, now_ns)

    def _foresee_join(self, execution: Execution, parent: int, now_ns: int) -> None:
        """A branch is over. Where only one is left, what follows all of them is near."""
        above = execution.lanes.get(parent)
        if above is None or above.children != 1 or above.unopened > 0:
            return
        for lane in execution.lanes.values():
            if lane.parent == parent:
                lane.is_foreseen = False
                self._look_ahead(execution, lane, now_ns)
                return

    def _perform(self, execution: Execution, instructions: Iterable[Instruction], now_ns: int) -> None:
        for instruction in instructions:
            match instruction:
                case RunTask():
                    self._run(execution, execution.lanes[instruction.branch], instruction, now_ns)
                case Sleep(branch, _, until_ns):
                    self._sleep(execution, execution.lanes[branch], until_ns, now_ns)
                case Opened(branch, parent, index, _, machine):
                    execution.open(branch, parent, index, machine)
                    self._lane_count += 1
                case Closed(branch):
                    self._close_lane(execution, branch, "cancelled", now_ns)
                case Finish():
                    self._finish(execution, instruction, now_ns)
                case ReadItems(branch) | WriteResults(branch):
                    self._ask_store(execution, execution.lanes[branch], instruction, now_ns)
                case _:
                    lane = execution.lanes[instruction.branch]
                    self._learn(execution.plan.habits, lane, instruction)
                    self._record(execution, instruction, lane.place, now_ns)

    @staticmethod
    def _learn(habits: Habits, lane: Lane, instruction: Recorded) -> None:
        """Note where an execution went, for those that come after it."""
        match instruction:
            case Exited(_, state, "Choice", _, following):
                habits.chose(lane.machine.states[state], following)
            case Noted(_, "MapStateStarted", state, items) if not reads_items(lane.machine.states[state]):
                habits.mapped(lane.machine.states[state], items)
                lane.unopened = items

    def _note_start(self, execution: Execution, at_ms: int) -> None:
        """The first event, with the terms on which a replay has to go on."""
        terms = execution.terms.journalled() if execution.history.is_standard else b""
        self._backlog_bytes += len(terms)
        execution.history.add(at_ms, STARTED, payload=terms)

    def _weigh(self, execution: Execution, state: str, size_bytes: int, place: Place, now_ns: int) -> None:
        """Note, once in a workflow's execution, that its input or a state's data is larger than is warned of."""
        if not 0 < self._warn_data_bytes < size_bytes or execution.is_warned or execution.plan.kind != "workflow":
            return
        execution.is_warned = True
        what = f"the data of state {state!r}" if state else "the input"
        detail = f"{what} has {size_bytes} bytes, warn_data_bytes is {self._warn_data_bytes}"
        execution.history.add_error(self._at_ms(now_ns), DATA_WARNED, state, "", detail, place=place)
        self._effects.append(Warn(execution.execution_id, detail))

    def _record(self, execution: Execution, instruction: Recorded, place: Place, now_ns: int) -> None:
        """Note in the history what became of a state. A task's output is there already, as its result."""
        history = execution.history
        at_ms, type_ = self._at_ms(now_ns), event_type(instruction)
        match instruction:
            case Entered(_, state, kind):
                history.add(at_ms, type_, state, int(kind == "Task"), place=place)
            case Exited(_, state, kind, payload):
                journalled = (payload if kind != "Task" and history.is_standard else None) or b""
                self._backlog_bytes += len(journalled)
                history.add(at_ms, type_, state, payload=journalled, place=place)
                self._weigh(execution, state, len(payload or b""), place, now_ns)
            case Failed(_, state, _, error, cause):
                history.add_error(at_ms, type_, state, error, cause, place=place)
            case Noted(branch, _, state, index, error, cause, details):
                where = place if index < 0 else (branch, index)
                self._backlog_bytes += len(details) if history.is_standard else 0
                history.add_error(at_ms, type_, state, error, cause, place=where, payload=details)

    def _ask_store(self, execution: Execution, lane: Lane, request: ReadItems | WriteResults, now_ns: int) -> None:
        """Have a Map state's items read, or its results written."""
        self._drop_ahead(execution, lane, 0, now_ns)
        lane.ticket = self._task_id(execution, lane)
        plan = execution.plan
        if isinstance(request, ReadItems):
            lane.asked = "items"
            self._effects.append(Fetch(execution.execution_id, plan.app, plan.version, lane.ticket, request))
        else:
            lane.asked = "results"
            self._effects.append(Export(execution.execution_id, lane.ticket, request))

    def _sleep(self, execution: Execution, lane: Lane, until_ns: int, now_ns: int) -> None:
        self._drop_ahead(execution, lane, 0, now_ns)  # who waits needs nobody yet
        lane.wake_ns = max(1, self._ns_of(until_ns // NS_PER_MS))  # 0 would mean never; it may be long over
        self._set_alarm(execution, lane)

    def _run(self, execution: Execution, lane: Lane, run: RunTask, now_ns: int) -> None:
        awaited = self._register(execution, lane, run, now_ns) if run.token else None
        if self._is_behind(execution):
            lane.parked = run
            self._parked[execution.execution_id, lane.branch] = None
            return
        if awaited is not None and self._ask(execution, lane, awaited, now_ns):
            self._set_alarm(execution, lane)
            return
        step = lane.current = self._reserved(execution, lane, run) or self._step(
            execution, lane, run.task, 0, run.function, run.attempt
        )
        step.payload = run.payload
        if awaited is not None:  # the state's limits are for the answer
            step.timeout_ns, step.heartbeat_ns = execution.plan.function(run.function).timeout_ns, 0
        else:
            step.heartbeat_ns = int(run.heartbeat_s * NS_PER_S)
            step.timeout_ns = int(run.timeout_s * NS_PER_S) or step.timeout_ns
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

    def _reserved(self, execution: Execution, lane: Lane, run: RunTask) -> Step | None:
        """The reservation that was made for a task which has come."""
        if lane.ahead and lane.ahead[0].task is run.task and run.attempt == 1:
            step = lane.ahead.pop(0)
            self.guesses.used += step.armed
            return step
        return self._take_due(execution, lane, run.task) if execution.due else None

    def _assign(self, execution: Execution, lane: Lane, step: Step, now_ns: int) -> None:
        """Give the current task to its worker; what follows is reserved first, so that the worker can be told."""
        step.deadline_ns = execution.limited(now_ns + step.timeout_ns)
        self._look_ahead(execution, lane, now_ns)
        self._effects.append(Tell("local_queue", self._assignment(execution, lane, step, armed=False)))
        step.begin(now_ns)
        step.deadline_ns += GRACE_NS
        self.dispatch.started(step.claim, now_ns)
        self._set_alarm(execution, lane)

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
        lane = execution.close(branch)
        self._lane_count -= 1
        self._abandon(lane, reason)
        if lane.ticket:
            self._effects.append(GiveUp(lane.ticket))
        self._drop_ahead(execution, lane, 0, now_ns)
        self._drop_prospects(lane.prospects, now_ns)
        self._let_go(execution, lane)
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
        execution.commit = None
        asked = [one.event for one in execution.deferred if one.is_asked]
        execution.deferred.clear()
        freed = execution.history.give_up_writes()
        if execution.history.is_standard:
            self._backlog_bytes -= freed
        for branch in list(execution.lanes):
            self._close_lane(execution, branch, reason or "cancelled", now_ns)
        execution.ended = True
        for event in asked:
            event(now_ns)
        execution.deadline_ns = 0
        if execution.history.is_standard:
            self._backlog_bytes += len(payload)
        execution.history.end(status, error, cause, payload)
        plan = execution.plan
        if execution.has_session:
            self._effects.append(Tell("local_queue", EndSession(execution.execution_id)))
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
