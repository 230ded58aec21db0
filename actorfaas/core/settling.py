"""What becomes of claims for workers, and of attempts that fail, or are run again, without their worker saying so.

Base of `core.progress`, above `core.talking`.
"""

from __future__ import annotations

from actorfaas.core.effects import Denied, Granted, Lost, Outcome, Revoked
from actorfaas.core.execution import WORKER_LOST, WORKER_UNAVAILABLE, Execution, Lane, Step
from actorfaas.core.talking import Talking
from actorfaas.core.worker import Claim
from actorfaas.states.engine import STATES_TIMEOUT
from actorfaas.states.errors import STATES_HEARTBEAT_TIMEOUT

MAX_PLATFORM_LOSSES = 10
"""How often one branch's states are run again because an actor went away, before that counts as its failure."""


class Settling(Talking):
    """Claims that were granted, denied, revoked, lost."""

    def settle(self, now_ns: int) -> None:
        """Act on the outcomes of claims until there are none."""
        outcomes = self.dispatch.outcomes
        while outcomes:
            outcome = outcomes.popleft()
            claim = outcome.claim
            execution = self._all.get(claim.execution_id)
            lane = execution.lanes.get(claim.branch) if execution is not None else None
            if execution is None or lane is None:
                self._unclaimed(outcome, now_ns)
                continue
            match outcome:
                case Granted():
                    self._granted(execution, lane, claim, now_ns)
                case Denied(cause=cause):
                    self._denied(execution, lane, claim, cause, now_ns)
                case Revoked(worker_topic=worker):
                    self._revoked(execution, lane, claim, worker, now_ns)
                case Lost(platform=platform):
                    self._lost(execution, lane, claim, platform, now_ns)

    def _unclaimed(self, outcome: Outcome, now_ns: int) -> None:
        """The branch that wished for a worker is over."""
        match outcome:
            case Granted(claim):
                self.dispatch.give_back(claim.worker, now_ns, reusable=True)
            case Revoked(_, worker):
                self.dispatch.released(worker, "", now_ns)

    def _granted(self, execution: Execution, lane: Lane, claim: Claim, now_ns: int) -> None:
        step = lane.current
        if step is not None and step.claim is claim:
            if not step.sent:  # else its state came while the grant was on its way here
                self._assign(execution, lane, step, now_ns)
        elif lane.position(claim) >= 0:
            self._look_ahead(execution, lane, now_ns)
        else:
            self.dispatch.give_back(claim.worker, now_ns, reusable=True)

    def _denied(self, execution: Execution, lane: Lane, claim: Claim, cause: str, now_ns: int) -> None:
        if self._defers(execution, lambda at_ns: self._denied(execution, lane, claim, cause, at_ns)):
            return
        step = lane.current
        if step is not None and step.claim is claim:
            lane.current = None
            self._fail_task(execution, lane, step, WORKER_UNAVAILABLE, cause, now_ns)
            self._after(execution, lane, now_ns)
            return
        self._forget_ahead(execution, lane, claim, now_ns)

    def _forget_ahead(self, execution: Execution, lane: Lane, claim: Claim, now_ns: int) -> None:
        """A reservation has no worker any more, or will have none."""
        lane.forget_prospect(claim)
        position = lane.position(claim)
        if position >= 0:
            self._drop_ahead(execution, lane, position, now_ns)

    def _revoked(self, execution: Execution, lane: Lane, claim: Claim, worker: str, now_ns: int) -> None:
        lane.forget_prospect(claim)
        position = lane.position(claim)
        if position < 0:
            self.dispatch.released(worker, "", now_ns)
            return
        armed = lane.ahead[position].armed
        self._drop_ahead(execution, lane, position, now_ns, revoked=worker)
        if not armed:
            self.dispatch.released(worker, "", now_ns)

    def _lost(self, execution: Execution, lane: Lane, claim: Claim, platform: bool, now_ns: int) -> None:
        step = lane.current
        if step is not None and step.claim is claim:
            if platform:
                self._platform_lost(execution, lane, step, now_ns)
            return  # otherwise the LocalQueue says how it ended
        self._forget_ahead(execution, lane, claim, now_ns)

    def _platform_lost(self, execution: Execution, lane: Lane, step: Step, now_ns: int) -> None:
        """An actor went away, and the worker of the running task with it."""
        if self._defers(execution, lambda at_ns: self._platform_lost(execution, lane, step, at_ns)):
            return
        if lane.current is not step:
            return  # what waited for a commit came first
        lane.current = None
        if execution.history.is_standard and self._may_run_again(execution, lane):
            self._run_again(execution, lane, now_ns)
        else:
            cause = "the worker was lost because a part of the platform restarted"
            self._fail_task(execution, lane, step, WORKER_LOST, cause, now_ns)
        self._after(execution, lane, now_ns)

    @staticmethod
    def _may_run_again(execution: Execution, lane: Lane) -> bool:
        lane.platform_losses += 1
        return lane.platform_losses <= MAX_PLATFORM_LOSSES and execution.engine.has_input(lane.branch)

    def _run_again(self, execution: Execution, lane: Lane, now_ns: int) -> None:
        again = execution.engine.run_again(lane.branch, self._wall_ns(now_ns))
        self._go_on(execution, lane, again, now_ns)

    def _fail_task(self, execution: Execution, lane: Lane, step: Step, error: str, cause: str, now_ns: int) -> None:
        """An attempt at a state failed without its worker saying so."""
        type_ = "TaskTimedOut" if error in (STATES_TIMEOUT, STATES_HEARTBEAT_TIMEOUT) else "TaskFailed"
        at_ms = self._at_ms(now_ns)
        execution.history.add_error(at_ms, type_, step.task.name, error, cause, step.attempt, lane.place)
        self._task_failed(execution, lane, error, cause, now_ns)

    def _task_failed(self, execution: Execution, lane: Lane, error: str, cause: str, now_ns: int) -> None:
        self._let_go(execution, lane)
        failed = execution.engine.task_failed(lane.branch, error, cause, self._wall_ns(now_ns))
        self._go_on(execution, lane, failed, now_ns)

    def _after(self, execution: Execution, lane: Lane, now_ns: int) -> None:
        """Something happened in a branch: store what is new, and look at it again in time."""
        self._store(execution, now_ns)
        self._set_alarm(execution, lane)
