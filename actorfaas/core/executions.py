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
from collections.abc import Iterator

from actorfaas.core.driving import BACKLOG_BYTES, MAX_RUNNING
from actorfaas.core.execution import (
    NS_PER_S,
    Execution,
    Plan,
    ResumePoint,
    resume_point,
)
from actorfaas.core.history import History
from actorfaas.core.progress import Progress
from actorfaas.errors import InvariantViolation
from actorfaas.messages import (
    CreateExecution,
    ExecutionAccepted,
    Refused,
    StartExecution,
    UnfinishedExecution,
)
from actorfaas.states.engine import (
    STATES_RUNTIME,
    STATES_TIMEOUT,
    Engine,
    Instruction,
)
from actorfaas.states.model import Task, single_task
from actorfaas.states.validate import MAX_SECONDS


class Executions(Progress):
    """All running executions. Methods are events; effects are appended to the dispatch's `effects`."""

    def refusal(self, start: StartExecution, plan: Plan) -> Refused | None:
        """Why an execution cannot be started now, if so."""
        if start.execution_id in self._all:
            return Refused("conflict", f"execution {start.execution_id} is running already")
        if len(self._all) >= MAX_RUNNING:
            return Refused("overloaded", f"{MAX_RUNNING} executions are running", True, 1.0)
        if not 0 <= start.timeout_s <= MAX_SECONDS:
            return Refused("invalid", f"timeout_s must be from 0 to {MAX_SECONDS}, not {start.timeout_s}")
        first = plan.machine.states[plan.machine.start_at]
        if isinstance(first, Task):
            function = plan.functions[first.function]
            pool = self.dispatch.pools.get(function.topic)
            fresh = function.fresh_by(start.strategy)
            waiting = () if pool is None else pool.claims(fresh)
            if pool is not None and len(waiting) >= max(1, pool.queue_limit):  # every claim waits, if only for a moment
                return Refused("overloaded", f"{len(waiting)} executions wait for {first.function}", True, 1.0)
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
            history=History(
                create, created=False, delay_ns=self._journal_delay_ns, create_at_once=start.wait_for_commit
            ),
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
        self._store(execution, now_ns)
        self.settle(now_ns)

    def resume(self, found: UnfinishedExecution, plan: Plan, now_ns: int) -> None:
        """Continue an execution of a node that stopped, after its last journalled state. A journal that names a state
        that is not there ends it: it would stop the ExecutionManager at every start."""
        try:
            point = resume_point(plan.machine, found.events, found.input)
        except KeyError as error:
            self.abort_unknown(found, f"its journal names the state {error}, which its definition has not", now_ns)
            return
        execution = self._resumed(found, plan, point.last_seq)
        if not point.last_seq:  # it was stored, and then the node stopped before the first event was
            execution.history.add(self._at_ms(now_ns), "ExecutionStarted")
        if point.outcome is not None:
            self._close(execution, point.outcome[0], point.outcome[1], point.outcome[2], point.output)
        elif not point.state:
            self._perform(execution, execution.engine.conclude(point.output), now_ns)
        else:
            self._perform(execution, self._resume_at(point, execution.engine, now_ns), now_ns)
        self._store(execution, now_ns)
        self._set_alarm(execution)
        self.settle(now_ns)

    def _resume_at(self, point: ResumePoint, engine: Engine, now_ns: int) -> list[Instruction]:
        """Enter the state that was under way, with the time it has waited and the attempts it has used."""
        done = engine.resume(point.state, point.output, now_ns)
        if point.entered_at_ms:
            done = engine.wait_again(self._ns_of(point.entered_at_ms))
        for failed in point.failures:
            if not engine.ended:
                done = engine.task_failed(failed.error_type, failed.error_message, self._ns_of(failed.at_ms))
        return done

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
        execution = Execution(
            execution_id=found.execution_id,
            plan=plan,
            engine=Engine(plan.machine, plan.retriers),
            history=History(create, created=True, last_seq=last_seq, delay_ns=self._journal_delay_ns),
            traceparent=found.traceparent,
            strategy="auto",
            deadline_ns=max(1, self._ns_of(found.deadline_at_ms)) if found.deadline_at_ms else 0,
            held=False,
        )
        self._all[found.execution_id] = execution
        return execution

    def abort_unknown(self, found: UnfinishedExecution, cause: str, now_ns: int) -> None:
        """An execution that cannot be continued fails."""
        plan = Plan(found.name, found.kind, found.app, found.version, single_task(found.name), {}, {})
        last_seq = max((event.seq for event in found.events), default=0)
        execution = self._resumed(found, plan, last_seq)
        self._close(execution, "failed", STATES_RUNTIME, cause, b"")
        self._store(execution, now_ns)

    def _begin(self, execution: Execution, now_ns: int) -> None:
        payload, execution.input = execution.input, b""
        self._perform(execution, execution.engine.begin(payload, now_ns), now_ns)
        self._set_alarm(execution)

    def cancel(self, execution_id: str, reason: str, now_ns: int) -> bool:
        """Stop an execution: its running worker is killed. False: no such execution runs."""
        execution = self._all.get(execution_id)
        if execution is None or execution.ended:
            return False
        self._abandon(execution, "cancelled")
        execution.history.add_error(self._at_ms(now_ns), "ExecutionAborted", "", "", reason)
        self._close(execution, "cancelled", "Cancelled", reason or "cancelled by request", b"")
        self._drop_ahead(execution, 0, now_ns)
        self._store(execution, now_ns)
        self.settle(now_ns)
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
            self._delete(execution)
        else:
            if execution.held:
                self._answer(execution, ExecutionAccepted(execution_id, execution.plan.version))
                execution.held = False
                if not execution.ended:
                    self._begin(execution, now_ns)
            self._store(execution, now_ns)
        if freed and self._backlog_bytes <= BACKLOG_BYTES:
            self._unpark(now_ns)
        self.settle(now_ns)

    def not_stored(self, execution_id: str, code: str, detail: str, now_ns: int) -> bool:
        """The DataLayer did not do the request under way. False: this execution's journal is given up."""
        execution = self._all.get(execution_id)
        if execution is None:
            return True
        creating = execution.history.is_creating
        again = execution.history.failed(code)
        if creating and execution.held:
            execution.held = False
            self._answer(execution, Refused(code if not again else "unavailable", detail, again, 1.0 if again else 0.0))
            if not execution.ended:
                execution.history.add_error(self._at_ms(now_ns), "ExecutionAborted", "", "", "it was never accepted")
                self._close(execution, "cancelled", "Cancelled", "it could not be stored and was never accepted", b"")
        if again:
            if not execution.history.is_stalled:
                self._store(execution, now_ns)
        else:
            self._forget(execution, now_ns)
        self.settle(now_ns)
        return again

    def _forget(self, execution: Execution, now_ns: int) -> None:
        """The DataLayer will never take this execution's history (its id is somebody else's, or it was removed)."""
        self._abandon(execution, "cancelled")
        self._drop_ahead(execution, 0, now_ns)
        if not execution.ended:
            self._close(execution, "failed", STATES_RUNTIME, "its history cannot be stored", b"")
        if execution.history.is_standard:
            self._backlog_bytes -= execution.history.pending_bytes
        self._delete(execution)

    def _delete(self, execution: Execution) -> None:
        del self._all[execution.execution_id]
        for worker in execution.given_up:  # those of whom nothing more is heard: they ended, or got their task first
            self._given_up.pop(worker, None)

    def data_layer_connected(self, now_ns: int) -> None:
        """Requests that failed meanwhile are sent again."""
        for execution in self._all.values():
            if execution.history.is_stalled:
                self._store(execution, now_ns)

    def _unpark(self, now_ns: int) -> None:
        if self._is_pausing:
            return
        for execution in list(self._all.values()):
            if execution.parked is not None:
                (task, attempt, payload), execution.parked = execution.parked, None
                self._run(execution, task, attempt, payload, now_ns)
                if self._backlog_bytes > BACKLOG_BYTES:
                    return

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
            self._store(execution, now_ns)
            self._set_alarm(execution)
        self.settle(now_ns)

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
            self._fail_task(execution, step, STATES_TIMEOUT, cause, now_ns)

    def running(self) -> int:
        """Executions that have not ended."""
        return sum(not execution.ended for execution in self._all.values())

    def pause(self, now_ns: int) -> None:
        """The node stops: standard executions begin no further state; a restart continues them."""
        self._is_pausing = True
        for execution in list(self._all.values()):
            if execution.history.is_standard:
                self._drop_ahead(execution, 0, now_ns)
        self.settle(now_ns)

    def is_settled(self) -> bool:
        """Once paused: whether nothing runs any more and everything that happened is journalled."""
        return all(
            execution.current is None and execution.history.is_standard and not execution.history.is_busy
            for execution in self._all.values()
        )

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
