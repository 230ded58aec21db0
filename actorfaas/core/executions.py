"""Drives running executions: gives the engine's instructions to workers, and what workers report to the engine.

Owns every execution from `StartExecution` until its result is confirmed by the DataLayer, the reservations ahead of
each, time limits and retries' timers. Which worker a state gets is decided in `core.dispatch`; what follows a state,
in `states.engine`.

Journal: at most `reserving.BACKLOG_BYTES` of results wait for the DataLayer over all standard executions; beyond that
no further state is begun (and nothing reserved) until it has caught up, so memory stays bounded while it is away by
that and by one result for each state already under way.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

from actorfaas.core.driving import MAX_RUNNING, WHOLE
from actorfaas.core.execution import NS_PER_S, Execution, Lane, Plan
from actorfaas.core.history import History
from actorfaas.core.resuming import Resuming
from actorfaas.errors import InvariantViolation
from actorfaas.messages import (
    CreateExecution,
    ExecutionAccepted,
    PoolDescription,
    PoolFigures,
    Refused,
    StartExecution,
    StateCount,
)
from actorfaas.states.engine import ROOT, STATES_RUNTIME, STATES_TIMEOUT
from actorfaas.states.errors import STATES_HEARTBEAT_TIMEOUT
from actorfaas.states.model import Task, Wait
from actorfaas.states.validate import MAX_SECONDS


class Executions(Resuming):
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
        if isinstance(first, Task) and first.function:
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
            engine=self._engine(start.execution_id, plan, self._at_ms(now_ns), self._terms),
            history=History(
                create, created=False, delay_ns=self._journal_delay_ns, create_at_once=start.wait_for_commit
            ),
            terms=self._terms,
            traceparent=start.traceparent,
            strategy=start.strategy,
            deadline_ns=now_ns + timeout_ns if timeout_ns else 0,
            held=start.durability == "standard" and start.wait_for_commit,
            input=start.payload,
        )
        self._add(execution)
        self._note_start(execution, self._at_ms(now_ns))
        self._weigh(execution, "", len(start.payload), execution.lanes[ROOT].place, now_ns)
        if not execution.held:
            self._answer(execution, ExecutionAccepted(start.execution_id, plan.version))
            self._begin(execution, now_ns)
        self._store(execution, now_ns)
        self.settle(now_ns)

    def _begin(self, execution: Execution, now_ns: int) -> None:
        payload, execution.input = execution.input, b""
        self._perform(execution, execution.engine.begin(payload, self._wall_ns(now_ns)), now_ns)
        self._set_alarm(execution)

    def cancel(self, execution_id: str, reason: str, now_ns: int) -> bool:
        """Stop an execution: its running worker is killed. False: no such execution runs."""
        execution = self._all.get(execution_id)
        if execution is None or execution.ended:
            return False
        execution.history.add_error(self._at_ms(now_ns), "ExecutionAborted", "", "", reason)
        self._close(execution, ("cancelled", "Cancelled", reason or "cancelled by request", b""), now_ns)
        self._store(execution, now_ns)
        self.settle(now_ns)
        return True

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
        self._effects += self._release(execution)
        if last:
            self._delete(execution)
        else:
            if not history.has_writes:
                self._committed(execution, now_ns)
            if execution.held:
                self._answer(execution, ExecutionAccepted(execution_id, execution.plan.version))
                execution.held = False
                if not execution.ended:
                    self._begin(execution, now_ns)
            self._store(execution, now_ns)
        if freed and not self._is_full():
            self._unpark(now_ns)
        self.settle(now_ns)

    def not_stored(self, execution_id: str, code: str, detail: str, now_ns: int) -> bool:
        """The DataLayer did not do the request under way. False: this execution's journal is given up."""
        execution = self._all.get(execution_id)
        if execution is None:
            return True
        error = execution.history.refused_as(code)
        if error:
            self._refuse_data(execution, error, detail, now_ns)
            return True
        creating = execution.history.is_creating
        again = execution.history.failed(code)
        if creating and execution.held:
            execution.held = False
            self._answer(execution, Refused(code if not again else "unavailable", detail, again, 1.0 if again else 0.0))
            if not execution.ended:
                execution.history.add_error(self._at_ms(now_ns), "ExecutionAborted", "", "", "it was never accepted")
                cause = "it could not be stored and was never accepted"
                self._close(execution, ("cancelled", "Cancelled", cause, b""), now_ns)
        if again:
            if not execution.history.is_stalled:
                self._store(execution, now_ns)
        else:
            self._forget(execution, now_ns)
        self.settle(now_ns)
        return again

    def _refuse_data(self, execution: Execution, error: str, cause: str, now_ns: int) -> None:
        """What a task changed of functions' data will not be committed."""
        freed = execution.history.refuse_writes(error, cause)
        if execution.history.is_standard:
            self._backlog_bytes -= freed
        self._data_refused(execution, error, cause, now_ns)
        self._store(execution, now_ns)
        self.settle(now_ns)

    def _forget(self, execution: Execution, now_ns: int) -> None:
        """The DataLayer will never take this execution's history (its id is somebody else's, or it was removed)."""
        if not execution.ended:
            self._close(execution, ("failed", STATES_RUNTIME, "its history cannot be stored", b""), now_ns)
        if execution.history.is_standard:
            self._backlog_bytes -= execution.history.pending_bytes
        self._renounce(execution)
        self._delete(execution)

    def _delete(self, execution: Execution) -> None:
        del self._all[execution.execution_id]

    def data_layer_connected(self, now_ns: int) -> None:
        """Requests that failed meanwhile are sent again."""
        for execution in self._all.values():
            if execution.history.is_stalled:
                self._store(execution, now_ns)

    def _unpark(self, now_ns: int) -> None:
        if self._is_pausing:
            return
        for execution_id, branch in list(self._parked):
            execution = self._all[execution_id]
            if execution.commit is not None:
                continue  # it goes on when that is done
            del self._parked[execution_id, branch]
            lane = execution.lanes[branch]
            run, lane.parked = lane.parked, None
            assert run is not None  # it is listed for being parked
            self._run(execution, lane, run, now_ns)
            if self._is_full():
                return

    def next_due_ns(self) -> int | None:
        """When `tick` must be called next."""
        return self._alarms[0][0] if self._alarms else None

    def tick(self, now_ns: int) -> None:
        """Act on every time limit and timer that is over."""
        while self._alarms and self._alarms[0][0] <= now_ns:
            at_ns, execution_id, branch = heapq.heappop(self._alarms)
            execution = self._all.get(execution_id)
            timed = execution if execution is None or branch == WHOLE else execution.lanes.get(branch)
            if execution is None or timed is None or execution.ended or timed.alarm_ns != at_ns:
                continue
            timed.alarm_ns = 0
            if isinstance(timed, Lane):
                self._wake(execution, timed, now_ns)
            else:
                self._overrun(execution, now_ns)
            self._store(execution, now_ns)
            self._set_alarm(execution)
        self.settle(now_ns)

    def _overrun(self, execution: Execution, now_ns: int) -> None:
        """End an execution whose time limit has passed."""
        if execution.deadline_ns and execution.deadline_ns <= now_ns:
            cause = "the execution's time limit passed"
            execution.history.add_error(self._at_ms(now_ns), "ExecutionTimedOut", "", STATES_TIMEOUT, cause)
            self._close(execution, ("timed_out", STATES_TIMEOUT, cause, b""), now_ns, "timeout")

    def _wake(self, execution: Execution, lane: Lane, now_ns: int) -> None:
        if self._defers(execution, lambda at_ns: self._wake(execution, lane, at_ns)):
            return
        if execution.lanes.get(lane.branch) is not lane:
            return  # what waited for a commit came first, and was its end
        step = lane.current
        if execution.deadline_ns and execution.deadline_ns <= now_ns:
            self._overrun(execution, now_ns)
        elif lane.wake_ns and lane.wake_ns <= now_ns:
            self._end_sleep(execution, lane, now_ns)
        elif lane.awaited is not None and 0 < lane.awaited.due_ns() <= now_ns:
            self._awaited_overran(execution, lane, lane.awaited, now_ns)
        elif step is not None and step.sent and step.due_ns() <= now_ns:
            self._abandon(lane, "timeout")
            error, cause = STATES_TIMEOUT, f"state {step.task.name} ran longer than {step.timeout_ns / NS_PER_S:g} s"
            if step.deadline_ns > now_ns:
                error = STATES_HEARTBEAT_TIMEOUT
                cause = f"state {step.task.name} sent no heartbeat for {step.heartbeat_ns / NS_PER_S:g} s"
            self._fail_task(execution, lane, step, error, cause, now_ns)
        self._set_alarm(execution, lane)

    def _end_sleep(self, execution: Execution, lane: Lane, now_ns: int) -> None:
        """A Wait state is over, or the time before a further attempt: of that, the journal has to be told."""
        lane.wake_ns = 0
        name = execution.engine.state_of(lane.branch)
        state = lane.machine.states[name]
        if not isinstance(state, Wait):
            type_ = f"{type(state).__name__}StateRetried"
            execution.history.add(self._at_ms(now_ns), type_, name, place=lane.place)
        self._go_on(execution, lane, execution.engine.timer_fired(lane.branch, self._wall_ns(now_ns)), now_ns)

    def running(self) -> int:
        """Executions that have not ended."""
        return sum(not execution.ended for execution in self._all.values())

    def figures(self) -> PoolFigures:
        """How many workers, executions, reservations and tasks there are and were."""
        states = Counter(worker.phase for pool in self.dispatch.pools.values() for worker in pool.workers.values())
        return PoolFigures(
            states=tuple(StateCount(state, count) for state, count in states.items()),
            running_executions=self.running(),
            reservations=self.guesses.reservations,
            wrong_guesses=self.guesses.wrong,
            used=self.guesses.used,
            tasks=tuple(self.tally.figures()),
        )

    def describe(self, now_ns: int) -> PoolDescription:
        """Every worker, and what there is to do."""
        return PoolDescription(
            workers=tuple(self.dispatch.describe(now_ns)),
            running_executions=self.running(),
            reservations=self.guesses.reservations,
            wrong_guesses=self.guesses.wrong,
        )

    def pause(self, now_ns: int) -> None:
        """The node stops: standard executions begin no further state; a restart continues them."""
        self._is_pausing = True
        for execution in list(self._all.values()):
            if execution.history.is_standard:
                for lane in list(execution.lanes.values()):
                    self._drop_ahead(execution, lane, 0, now_ns)
                    self._drop_prospects(lane.prospects, now_ns)
                    lane.prospects = []
        self.settle(now_ns)

    def is_settled(self) -> bool:
        """Once paused: whether nothing runs any more and everything that happened is journalled."""
        return all(
            execution.history.is_standard
            and not execution.history.is_busy
            and all(lane.current is None for lane in execution.lanes.values())
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
            if execution.ended and execution.lanes:
                raise InvariantViolation(f"{execution.execution_id} has ended and holds workers")
            parents = {lane.parent for lane in execution.lanes.values()}
            for lane in () if execution.held else execution.lanes.values():
                self._check_lane(execution, lane, lane.branch in parents)
        if self._lane_count != sum(len(execution.lanes) for execution in self._all.values()):
            raise InvariantViolation(f"{self._lane_count} branches are counted, which is wrong")

    @staticmethod
    def _check_lane(execution: Execution, lane: Lane, has_branches: bool) -> None:
        is_committing = execution.commit is not None and execution.commit.lane is lane
        task = lane.current or lane.parked or lane.awaited or is_committing
        waits = (task, lane.wake_ns, lane.ticket, has_branches)
        if sum(map(bool, waits)) != 1 or (lane.current and (lane.parked or is_committing)):
            raise InvariantViolation(f"branch {lane.branch} of {execution.execution_id} waits for {waits}")
        if lane.prospects and lane.current is None and not is_committing:
            raise InvariantViolation(f"branch {lane.branch} of {execution.execution_id} foresees what follows no task")
        for one in lane.ahead[:-1]:
            if not one.armed:
                raise InvariantViolation(f"{execution.execution_id}: {one.task.name} is reserved but not armed")
