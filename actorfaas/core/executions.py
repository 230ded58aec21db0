"""Drives running executions: gives the engine's instructions to workers, and what workers report to the engine.

Owns every execution from `StartExecution` until its result is confirmed by the DataLayer, the reservations ahead of
each, time limits and retries' timers. Which worker a state gets is decided in `core.dispatch`; what follows a state,
in `states.engine`.

Journal: at most `BACKLOG_BYTES` of results wait for the DataLayer over all standard executions; beyond that no
further state is begun (and nothing reserved) until it has caught up, so memory stays bounded while it is away by that
and by one result for each state already under way.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Answer, Denied, Ended, Granted, Lost, Revoked, Store, Tell
from actorfaas.core.execution import (
    NS_PER_S,
    WORKER_LOST,
    WORKER_UNAVAILABLE,
    Execution,
    Plan,
    Step,
    error_of,
    resume_point,
    wait_ends_ns,
)
from actorfaas.core.history import NS_PER_MS, History
from actorfaas.core.lookahead import GuessCount, following_tasks
from actorfaas.core.pool import Claim
from actorfaas.errors import InvariantViolation
from actorfaas.messages import (
    AssignTask,
    CreateExecution,
    ExecutionAccepted,
    Message,
    Refused,
    ReleaseAssignment,
    SetNextTopic,
    StartExecution,
    TaskFailed,
    TaskFinished,
    UnfinishedExecution,
)
from actorfaas.states.engine import (
    STATES_RUNTIME,
    STATES_TIMEOUT,
    Engine,
    Entered,
    Exited,
    Finish,
    Instruction,
    RunTask,
    Sleep,
)
from actorfaas.states.model import Task, Wait, single_task

MAX_RUNNING = 10_000
"""Executions running at once; more are refused as overloaded."""

BACKLOG_BYTES = 256 * 1024 * 1024
MAX_PLATFORM_LOSSES = 10
"""How often one execution's states are run again because an actor went away, before that counts as its failure."""

GRACE_NS = 2 * NS_PER_S
"""How much later than the LocalQueue this actor notices that a task it delivered overran its deadline."""


class Executions:
    """All running executions. Methods are events; effects are appended to the dispatch's `effects`."""

    def __init__(self, dispatch: Dispatch, *, look_ahead: int, boot: str) -> None:
        """`boot` tells the tasks of this start from those of the one before."""
        self.dispatch = dispatch
        self.guesses = GuessCount()
        self.offset_ms = 0
        self._effects = dispatch.effects
        self._look_ahead_depth = look_ahead
        self._boot = boot
        self._all: dict[str, Execution] = {}
        self._alarms: list[tuple[int, str]] = []
        self._backlog_bytes = 0
        self._given_up: dict[str, str] = {}

    # --- beginning -------------------------------------------------------------------------------------------------

    def refusal(self, start: StartExecution, plan: Plan) -> Refused | None:
        """Why an execution cannot be started now, if so."""
        if start.execution_id in self._all:
            return Refused("conflict", f"execution {start.execution_id} is running already")
        if len(self._all) >= MAX_RUNNING:
            return Refused("overloaded", f"{MAX_RUNNING} executions are running", True, 1.0)
        first = plan.machine.states[plan.machine.start_at]
        if isinstance(first, Task):
            pool = self.dispatch.pools.get(plan.functions[first.function].topic)
            if pool is not None and len(pool.needed) >= pool.queue_limit:
                return Refused("overloaded", f"{pool.queue_limit} executions wait for {first.function}", True, 1.0)
        return None

    def start(self, start: StartExecution, plan: Plan, now_ns: int) -> None:
        """Begin an execution that `refusal` has nothing against; its `Answer` follows."""
        timeout_ns = int((start.timeout_s or plan.machine.timeout_s) * NS_PER_S)
        create = CreateExecution(
            execution_id=start.execution_id,
            name=plan.name,
            app=plan.app,
            version=plan.version,
            kind=plan.kind,
            durability=start.durability,
            deadline_at_ms=self._at_ms(now_ns + timeout_ns) if timeout_ns else 0,
            traceparent=start.traceparent,
            payload=start.payload,
        )
        execution = Execution(
            execution_id=start.execution_id,
            plan=plan,
            engine=Engine(plan.machine, plan.retriers),
            history=History(create, created=False),
            traceparent=start.traceparent,
            strategy=start.strategy,
            deadline_ns=now_ns + timeout_ns if timeout_ns else 0,
            held=start.durability == "standard" and start.wait_for_commit,
            input=start.payload,
        )
        self._all[start.execution_id] = execution
        execution.history.add(self._at_ms(now_ns), "ExecutionStarted")
        if not execution.held:
            self._answer(execution, ExecutionAccepted(start.execution_id, plan.version))
            self._begin(execution, now_ns)
        self._store(execution)
        self._settle(now_ns)

    def resume(self, found: UnfinishedExecution, plan: Plan, now_ns: int) -> None:
        """Continue an execution of a node that stopped, after its last journalled state."""
        point = resume_point(plan.machine, found.events, found.input)
        execution = self._resumed(found, plan, point.last_seq)
        if point.outcome is not None:
            self._close(execution, point.outcome[0], point.outcome[1], point.outcome[2], point.output)
        elif not point.state:
            self._perform(execution, execution.engine.conclude(point.output), now_ns)
        else:
            done = execution.engine.resume(point.state, point.output, now_ns)
            state = plan.machine.states[point.state]
            if isinstance(state, Wait) and point.entered_at_ms:
                done = execution.engine.wait_until(wait_ends_ns(state, point.entered_at_ms, self.offset_ms))
            self._perform(execution, done, now_ns)
        self._store(execution)
        self._set_alarm(execution)
        self._settle(now_ns)

    def _resumed(self, found: UnfinishedExecution, plan: Plan, last_seq: int) -> Execution:
        create = CreateExecution(
            execution_id=found.execution_id,
            name=found.name,
            app=found.app,
            version=found.version,
            kind=found.kind,
            durability="standard",
            deadline_at_ms=found.deadline_at_ms,
            traceparent=found.traceparent,
            payload=b"",
        )
        deadline_ms = found.deadline_at_ms - self.offset_ms
        execution = Execution(
            execution_id=found.execution_id,
            plan=plan,
            engine=Engine(plan.machine, plan.retriers),
            history=History(create, created=True, last_seq=last_seq),
            traceparent=found.traceparent,
            strategy="auto",
            deadline_ns=max(1, deadline_ms * NS_PER_MS) if found.deadline_at_ms else 0,
            held=False,
        )
        self._all[found.execution_id] = execution
        return execution

    def abort_unknown(self, found: UnfinishedExecution) -> None:
        """An execution whose version is not stored any more cannot be continued: it fails."""
        plan = Plan(found.name, found.kind, found.app, found.version, single_task(found.name), {}, {})
        last_seq = max((event.seq for event in found.events), default=0)
        execution = self._resumed(found, plan, last_seq)
        cause = f"version {found.version} of application {found.app!r} is no longer stored"
        self._close(execution, "failed", STATES_RUNTIME, cause, b"")
        self._store(execution)

    def _begin(self, execution: Execution, now_ns: int) -> None:
        execution.held = False
        payload, execution.input = execution.input, b""
        self._perform(execution, execution.engine.begin(payload, now_ns), now_ns)
        self._set_alarm(execution)

    # --- what workers did ------------------------------------------------------------------------------------------

    def task_finished(self, done: TaskFinished, now_ns: int) -> None:
        """A task returned; its output is here, or with the next worker already."""
        execution = self._all.get(done.execution_id)
        step = execution.current if execution is not None else None
        if execution is None or step is None or step.task_id != done.task_id or execution.ended:
            self._finished_late(execution, done, now_ns)
            self._settle(now_ns)
            return
        gap_ns = done.started_ns - execution.last_ended_ns if execution.last_ended_ns else 0
        execution.last_ended_ns = done.ended_ns
        before = execution.history.pending_bytes
        execution.history.add_result(self._at_ms(now_ns), step.scheduled_ns, gap_ns, done)
        self._backlog_bytes += execution.history.pending_bytes - before
        execution.current = None
        self.dispatch.give_back(done.worker_topic, now_ns, reusable=True)
        if done.handed_to:
            self._handed_on(execution, done, now_ns)
        else:
            self._perform(execution, execution.engine.task_succeeded(done.payload, now_ns, handed_on=False), now_ns)
        self._store(execution)
        self._set_alarm(execution)
        self._settle(now_ns)

    def _handed_on(self, execution: Execution, done: TaskFinished, now_ns: int) -> None:
        following = self._handed_to(execution, done.handed_to, now_ns)
        self._perform(execution, execution.engine.task_succeeded(done.payload or None, now_ns, handed_on=True), now_ns)
        if following is None:
            self.dispatch.kill(done.handed_to, "stuck")
            self._perform(execution, execution.engine.run_again(), now_ns)
            return
        following.payload = b""
        following.sent, following.armed = True, False
        following.scheduled_ns = done.ended_ns
        following.claim.distance = 0
        following.deadline_ns = execution.limited(now_ns + execution.timeout_ns(following.task))
        execution.current = following
        for distance, step in enumerate(execution.ahead, 1):
            step.claim.distance = distance
        self._look_ahead(execution, now_ns)

    def _handed_to(self, execution: Execution, worker: str, now_ns: int) -> Step | None:
        """The reservation whose worker got the output, also one that was being given up."""
        if execution.ahead and execution.ahead[0].claim.worker == worker:
            step = execution.ahead.pop(0)
            self.dispatch.started(step.claim)
            return step
        given_up = execution.given_up.pop(worker, None)
        if given_up is not None:
            self._drop_ahead(execution, 0, now_ns)
            if self.dispatch.reclaim(worker, given_up.claim, now_ns):
                self.dispatch.started(given_up.claim)
            return given_up
        return None

    def _finished_late(self, execution: Execution | None, done: TaskFinished, now_ns: int) -> None:
        """A task nobody waits for any more: its execution ended, or tries that state again."""
        if execution is not None and not execution.ended:
            position = next((i for i, s in enumerate(execution.ahead) if s.claim.worker == done.handed_to), -1)
            if done.handed_to and position >= 0:
                self._drop_ahead(execution, position, now_ns)
        self.dispatch.give_back(done.worker_topic, now_ns, reusable=True)
        if done.handed_to:
            self.dispatch.kill(done.handed_to, "cancelled")

    def task_failed(self, failed: TaskFailed, now_ns: int) -> None:
        """A task ended without a result."""
        execution = self._all.get(failed.execution_id)
        if execution is not None and not execution.ended:
            step = execution.current
            if step is not None and step.task_id == failed.task_id:
                self._current_failed(execution, step, failed, now_ns)
                self._store(execution)
                self._set_alarm(execution)
                self._settle(now_ns)
                return
            position = execution.find(failed.task_id)
            if position >= 0:
                self._drop_ahead(execution, position, now_ns)
        self._worker_after(failed, now_ns)
        self._settle(now_ns)

    def _current_failed(self, execution: Execution, step: Step, failed: TaskFailed, now_ns: int) -> None:
        execution.current = None
        self._worker_after(failed, now_ns)
        undelivered = failed.delivered_ns == 0 and failed.reason in ("unavailable", "worker_lost", "no_topic")
        lost = failed.reason == "worker_lost" and not self.dispatch.is_connected and execution.history.is_standard
        if (undelivered or lost) and self._may_run_again(execution):
            self._perform(execution, execution.engine.run_again(), now_ns)
            return
        error, cause = error_of(failed)
        execution.history.add_failure(self._at_ms(now_ns), step.scheduled_ns, failed, error, cause)
        self._perform(execution, execution.engine.task_failed(error, cause, now_ns), now_ns)

    def _may_run_again(self, execution: Execution) -> bool:
        execution.platform_losses += 1
        return execution.platform_losses <= MAX_PLATFORM_LOSSES and execution.engine.has_input

    def _worker_after(self, failed: TaskFailed, now_ns: int) -> None:
        """What becomes of the worker of a failed task."""
        worker = failed.worker_topic
        if failed.reason == "worker_lost":
            self.dispatch.ending(worker)
        elif failed.reason in ("timeout", "cancelled") and failed.delivered_ns:
            self.dispatch.kill(worker, failed.reason)
        elif failed.reason == "unavailable":
            self.dispatch.give_back(worker, now_ns, reusable=False)
        else:
            exits = failed.reason == "memory" or failed.error_type == "SystemExit"
            self.dispatch.give_back(worker, now_ns, reusable=not exits)

    # --- the engine's instructions -----------------------------------------------------------------------------------

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
                    execution.wake_ns = until_ns
                case Finish(error, cause, payload):
                    self._finish(execution, error, cause, payload, now_ns)

    def _run(self, execution: Execution, task: Task, attempt: int, payload: bytes, now_ns: int) -> None:
        if execution.history.is_standard and self._backlog_bytes > BACKLOG_BYTES:
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
        claim = Claim(execution.execution_id, function.topic, distance, execution.fresh_for(function))
        return Step(task, attempt, f"{execution.execution_id}.{self._boot}.{execution.task_count}", claim)

    def _assign(self, execution: Execution, step: Step, now_ns: int) -> None:
        """Give the current task to its worker; what follows is reserved first, so that the worker can be told."""
        step.deadline_ns = execution.limited(now_ns + execution.timeout_ns(step.task))
        self._look_ahead(execution, now_ns)
        self._effects.append(Tell("local_queue", self._assignment(execution, step, armed=False)))
        step.payload = b""
        step.armed, step.sent = False, True
        step.deadline_ns += GRACE_NS
        self.dispatch.started(step.claim)
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

    # --- look-ahead ------------------------------------------------------------------------------------------------

    def _look_ahead(self, execution: Execution, now_ns: int) -> None:
        """Reserve the next workers while idle ones are to be had, and arm them with their tasks."""
        current = execution.current
        ahead = execution.ahead
        if current is None or (ahead and not ahead[-1].armed) or self._is_behind(execution):
            return
        known = len(ahead)
        wanted = following_tasks(execution.plan.machine, current.task.name, known, self._look_ahead_depth)
        for distance, task in enumerate(wanted, known + 1):
            step = self._step(execution, task, 1, distance)
            if step.claim.fresh:
                break
            if not self.dispatch.reserve(step.claim, now_ns):
                if self.dispatch.is_waiting(step.claim):
                    ahead.append(step)
                break
            ahead.append(step)
        self._arm(execution, known)

    def _is_behind(self, execution: Execution) -> bool:
        return execution.history.is_standard and self._backlog_bytes > BACKLOG_BYTES

    def _arm(self, execution: Execution, known: int) -> None:
        """Arm the granted reservations from position `known` on, the last first, and tell the one before them."""
        ahead = execution.ahead
        current = execution.current
        assert current is not None  # reservations follow a current task
        before = ahead[known - 1] if known else current
        deadline_ns = before.deadline_ns
        granted = [step for step in ahead[known:] if step.claim.worker]
        for step in granted:
            deadline_ns = step.deadline_ns = execution.limited(deadline_ns + execution.timeout_ns(step.task))
            self.guesses.reservations += 1
        for step in reversed(granted):
            self._effects.append(Tell("local_queue", self._assignment(execution, step, armed=True)))
            step.armed = True
        if granted and before.armed:
            self._tell_next(before, granted[0].claim.worker)

    def _tell_next(self, step: Step, worker: str) -> None:
        self._effects.append(Tell("local_queue", SetNextTopic(step.claim.worker, step.task_id, worker)))

    def _drop_ahead(self, execution: Execution, first: int, now_ns: int, revoked: str = "") -> None:
        """Give up the reservations from position `first` on. `revoked`: the worker that dispatch took already."""
        dropped = execution.ahead[first:]
        if not dropped:
            return
        del execution.ahead[first:]
        if first and execution.ahead[-1].armed:
            self._tell_next(execution.ahead[-1], "")
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

    # --- what the dispatch decided -----------------------------------------------------------------------------------

    def _settle(self, now_ns: int) -> None:
        """Act on the outcomes of claims until there are none."""
        outcomes = self.dispatch.outcomes
        while outcomes:
            outcome = outcomes.popleft()
            claim = outcome.claim
            execution = self._all.get(claim.execution_id)
            match outcome:
                case Granted():
                    self._granted(execution, claim, now_ns)
                case Denied(cause=cause):
                    self._denied(execution, claim, cause, now_ns)
                case Revoked(worker_topic=worker):
                    self._revoked(execution, claim, worker, now_ns)
                case Lost(worker_topic=worker, platform=platform):
                    self._lost(execution, claim, worker, platform, now_ns)

    settle = _settle

    def _granted(self, execution: Execution | None, claim: Claim, now_ns: int) -> None:
        if execution is not None and not execution.ended:
            step = execution.current
            if step is not None and step.claim is claim:
                self._assign(execution, step, now_ns)
                return
            position = self._position(execution, claim)
            if position >= 0:
                self._arm(execution, position)
                self._look_ahead(execution, now_ns)
                return
        self.dispatch.give_back(claim.worker, now_ns, reusable=True)

    def _denied(self, execution: Execution | None, claim: Claim, cause: str, now_ns: int) -> None:
        if execution is None or execution.ended:
            return
        step = execution.current
        if step is not None and step.claim is claim:
            execution.current = None
            execution.history.add_error(self._at_ms(now_ns), "TaskFailed", step.task.name, WORKER_UNAVAILABLE, cause)
            self._perform(execution, execution.engine.task_failed(WORKER_UNAVAILABLE, cause, now_ns), now_ns)
            self._store(execution)
            self._set_alarm(execution)
            return
        position = self._position(execution, claim)
        if position >= 0:
            self._drop_ahead(execution, position, now_ns)

    def _revoked(self, execution: Execution | None, claim: Claim, worker: str, now_ns: int) -> None:
        position = -1 if execution is None else self._position(execution, claim)
        if execution is None or position < 0:
            self.dispatch.released(worker, "", now_ns)
            return
        armed = execution.ahead[position].armed
        self._drop_ahead(execution, position, now_ns, revoked=worker)
        if not armed:
            self.dispatch.released(worker, "", now_ns)

    def _lost(self, execution: Execution | None, claim: Claim, worker: str, platform: bool, now_ns: int) -> None:
        if execution is None or execution.ended:
            return
        step = execution.current
        if step is not None and step.claim is claim:
            if platform:
                self._platform_lost(execution, step, now_ns)
            return  # otherwise the LocalQueue says how it ended
        position = self._position(execution, claim)
        if position >= 0:
            self._drop_ahead(execution, position, now_ns)

    def _platform_lost(self, execution: Execution, step: Step, now_ns: int) -> None:
        """An actor went away, and the worker of the running task with it."""
        execution.current = None
        if execution.history.is_standard and self._may_run_again(execution):
            self._perform(execution, execution.engine.run_again(), now_ns)
        else:
            cause = "the worker was lost because a part of the platform restarted"
            execution.history.add_error(self._at_ms(now_ns), "TaskFailed", step.task.name, WORKER_LOST, cause)
            self._perform(execution, execution.engine.task_failed(WORKER_LOST, cause, now_ns), now_ns)
        self._store(execution)
        self._set_alarm(execution)

    @staticmethod
    def _position(execution: Execution, claim: Claim) -> int:
        return next((i for i, step in enumerate(execution.ahead) if step.claim is claim), -1)

    def worker_released(self, worker: str) -> None:
        """The LocalQueue confirmed a `ReleaseAssignment`: nothing was handed to the worker."""
        execution = self._all.get(self._given_up.pop(worker, ""))
        if execution is not None:
            execution.given_up.pop(worker, None)

    # --- ending ----------------------------------------------------------------------------------------------------

    def cancel(self, execution_id: str, reason: str, now_ns: int) -> bool:
        """Stop an execution: its running worker is killed. False: no such execution runs."""
        execution = self._all.get(execution_id)
        if execution is None or execution.ended:
            return False
        self._abandon(execution, "cancelled")
        execution.history.add_error(self._at_ms(now_ns), "ExecutionAborted", "", "", reason)
        self._close(execution, "cancelled", "Cancelled", reason or "cancelled by request", b"")
        self._drop_ahead(execution, 0, now_ns)
        self._store(execution)
        self._settle(now_ns)
        return True

    def _abandon(self, execution: Execution, reason: str) -> None:
        """End the task under way, whatever it is doing."""
        step, execution.current = execution.current, None
        if step is None:
            return
        if step.sent:
            self.dispatch.kill(step.claim.worker, reason)
        else:
            self.dispatch.withdraw(step.claim)

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

    # --- the journal -------------------------------------------------------------------------------------------------

    def _store(self, execution: Execution) -> None:
        request = execution.history.next_request()
        if request is not None:
            self._effects.append(Store(execution.execution_id, request))

    def stored(self, execution_id: str, now_ns: int) -> None:
        """The DataLayer has committed the request under way."""
        execution = self._all.get(execution_id)
        if execution is None:
            return
        history = execution.history
        last = history.is_finishing
        freed = history.confirmed()
        if history.is_standard:
            self._backlog_bytes -= freed
        if last:
            del self._all[execution_id]
        else:
            if execution.held and not execution.ended:
                self._answer(execution, ExecutionAccepted(execution_id, execution.plan.version))
                self._begin(execution, now_ns)
            self._store(execution)
        if freed and self._backlog_bytes <= BACKLOG_BYTES:
            self._unpark(now_ns)
        self._settle(now_ns)

    def not_stored(self, execution_id: str, code: str, detail: str, now_ns: int) -> bool:
        """The DataLayer did not do the request under way. False: this execution's journal is given up."""
        execution = self._all.get(execution_id)
        if execution is None:
            return True
        creating = execution.history.is_creating
        again = execution.history.failed(code)
        if creating and execution.held and not execution.ended:
            execution.held = False
            self._answer(execution, Refused(code if not again else "unavailable", detail, again, 1.0 if again else 0.0))
            execution.history.add_error(self._at_ms(now_ns), "ExecutionAborted", "", "", "it was never accepted")
            self._close(execution, "cancelled", "Cancelled", "it could not be stored and was never accepted", b"")
        if again:
            if not execution.history.is_stalled:
                self._store(execution)
        else:
            self._forget(execution, now_ns)
        self._settle(now_ns)
        return again

    def _forget(self, execution: Execution, now_ns: int) -> None:
        """The DataLayer will never take this execution's history (its id is somebody else's, or it was removed)."""
        self._abandon(execution, "cancelled")
        self._drop_ahead(execution, 0, now_ns)
        if not execution.ended:
            self._close(execution, "failed", STATES_RUNTIME, "its history cannot be stored", b"")
        if execution.history.is_standard:
            self._backlog_bytes -= execution.history.pending_bytes
        del self._all[execution.execution_id]

    def data_layer_connected(self) -> None:
        """Requests that failed meanwhile are sent again."""
        for execution in self._all.values():
            if execution.history.is_stalled:
                self._store(execution)

    def _unpark(self, now_ns: int) -> None:
        for execution in list(self._all.values()):
            if execution.parked is not None:
                (task, attempt, payload), execution.parked = execution.parked, None
                self._run(execution, task, attempt, payload, now_ns)
                if self._backlog_bytes > BACKLOG_BYTES:
                    return

    # --- time ------------------------------------------------------------------------------------------------------

    def next_due_ns(self) -> int | None:
        """When `tick` must be called next."""
        return self._alarms[0][0] if self._alarms else None

    def tick(self, now_ns: int) -> None:
        """Act on every time limit and timer that is over."""
        while self._alarms and self._alarms[0][0] <= now_ns:
            at_ns, execution_id = heapq.heappop(self._alarms)
            execution = self._all.get(execution_id)
            if execution is None or execution.ended or execution.alarm_ns != at_ns:
                continue
            execution.alarm_ns = 0
            self._wake(execution, now_ns)
            self._store(execution)
            self._set_alarm(execution)
        self._settle(now_ns)

    def _wake(self, execution: Execution, now_ns: int) -> None:
        step = execution.current
        if execution.deadline_ns and execution.deadline_ns <= now_ns:
            self._abandon(execution, "timeout")
            cause = "the execution's time limit passed"
            execution.history.add_error(self._at_ms(now_ns), "ExecutionTimedOut", "", STATES_TIMEOUT, cause)
            self._close(execution, "timed_out", STATES_TIMEOUT, cause, b"")
            self._drop_ahead(execution, 0, now_ns)
        elif execution.wake_ns and execution.wake_ns <= now_ns:
            execution.wake_ns = 0
            self._perform(execution, execution.engine.timer_fired(now_ns), now_ns)
        elif step is not None and step.sent and step.deadline_ns <= now_ns:
            self._abandon(execution, "timeout")
            cause = f"state {step.task.name} ran longer than {execution.timeout_ns(step.task) / NS_PER_S:g} s"
            execution.history.add_error(self._at_ms(now_ns), "TaskTimedOut", step.task.name, STATES_TIMEOUT, cause)
            self._perform(execution, execution.engine.task_failed(STATES_TIMEOUT, cause, now_ns), now_ns)

    def _set_alarm(self, execution: Execution) -> None:
        """At most one alarm of an execution counts; an earlier one is set as it becomes due."""
        if execution.ended:
            return
        due_ns = execution.due_ns()
        if due_ns and (execution.alarm_ns == 0 or due_ns < execution.alarm_ns):
            execution.alarm_ns = due_ns
            heapq.heappush(self._alarms, (due_ns, execution.execution_id))

    # --- as seen from outside ----------------------------------------------------------------------------------------

    def running(self) -> int:
        """Executions that have not ended."""
        return sum(not execution.ended for execution in self._all.values())

    def unconfirmed(self) -> int:
        """Executions whose history the DataLayer has not confirmed to the end of what is known."""
        return sum(e.history.is_busy for e in self._all.values())

    def execution(self, execution_id: str) -> Execution | None:
        """A running execution, or one whose result is not stored yet."""
        return self._all.get(execution_id)

    def all(self) -> Iterator[Execution]:
        """Every execution that is not stored to its end."""
        return iter(self._all.values())

    def check_invariants(self) -> None:
        """Raise InvariantViolation when an execution waits for nothing, or holds what it should not."""
        for execution in self._all.values():
            step = execution.current
            if execution.ended and (step is not None or execution.ahead):
                raise InvariantViolation(f"{execution.execution_id} has ended and holds workers")
            waits = (step, execution.wake_ns, execution.parked)
            if not (execution.ended or execution.held) and not any(waits):
                raise InvariantViolation(f"{execution.execution_id} waits for nothing")
            for one in execution.ahead[:-1]:
                if not one.armed:
                    raise InvariantViolation(f"{execution.execution_id}: {one.task.name} is reserved but not armed")

    def _answer(self, execution: Execution, message: Message) -> None:
        self._effects.append(Answer(execution.execution_id, message))

    def _at_ms(self, now_ns: int) -> int:
        return now_ns // NS_PER_MS + self.offset_ms
