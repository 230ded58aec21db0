"""Answers from outside: under a token, by an activity's worker, or by the end of an execution that was started.

Base of `core.executions`, above `core.map_data`. An answer is journalled under Step Functions' name for it, and whoever
gave it hears so only then; the first one counts. A function that was given the token and still runs is left to end.
"""

from __future__ import annotations

import re

from actorfaas.core.activities import Poll
from actorfaas.core.awaiting import Awaited, Unasked
from actorfaas.core.children import depth_of, ending, started
from actorfaas.core.effects import FollowChild, Reply
from actorfaas.core.events import UNTRACED, Traced
from actorfaas.core.execution import Execution, Lane
from actorfaas.core.map_data import MapData
from actorfaas.core.spans import span_of
from actorfaas.messages import ActivityTask, Done, ExecutionState, FailTask, Refused, SucceedTask
from actorfaas.states.engine import STATES_DATA_LIMIT, STATES_TASK_FAILED, STATES_TIMEOUT
from actorfaas.states.errors import MAX_CAUSE_CHARACTERS, STATES_HEARTBEAT_TIMEOUT

Found = tuple[Execution, Lane, Awaited]

_TOKEN = re.compile(r"(.+)\.([0-9]{1,9})\.(?:[0-9]{1,9}|[0-9a-f]{32})")
"""Execution, branch, and the place in it: as it is, or (`Terms.has_secret_tokens`) as a digest."""

NO_TASK = ActivityTask("", b"")
"""What a worker gets for which there is no task."""


class Answers(MapData):
    """Attempts that are answered apart, and their ends."""

    # --- tokens ----------------------------------------------------------------------------------------------------

    def task_answered(self, answer: SucceedTask | FailTask, number: int, now_ns: int) -> None:
        """Somebody outside says how a task ended. The `Reply` under this number follows."""
        execution_id, _ = execution_of(answer.token)
        if self._defers_asked(execution_id, lambda at_ns: self.task_answered(answer, number, at_ns)):
            return
        found = self._named(answer.token)
        if isinstance(found, Refused):
            self._effects.append(Reply(number, found))
        elif isinstance(answer, FailTask):
            error = answer.error or STATES_TASK_FAILED
            self._fail_awaited(found, f"{found[2].family}Failed", error, answer.cause, now_ns, number)
        elif len(answer.payload) > (limit := found[0].terms.max_data_bytes):
            detail = f"the result has {len(answer.payload)} bytes, more than the {limit} of max_data_bytes"
            self._effects.append(Reply(number, Refused("invalid", detail)))
        else:
            self._succeed_awaited(found, answer.payload, now_ns, number)
        self.settle(now_ns)

    def task_beats(self, token: str, now_ns: int) -> Refused | None:
        """Somebody outside says that a task goes on."""
        found = self._named(token)
        if isinstance(found, Refused):
            return found
        found[2].goes_on(now_ns)
        self._set_alarm(found[0], found[1])
        return None

    def _named(self, token: str) -> Found | Refused:
        """What waits for an answer under a token that somebody outside has."""
        execution_id, branch = execution_of(token)
        if not execution_id:
            return Refused("invalid_token", f"{token[:200]!r} is no task token")
        execution = self._all.get(execution_id)
        if execution is None:
            return Refused("task_does_not_exist", f"no task has the token {token}")
        lane = execution.lanes.get(branch)
        awaited = None if lane is None else lane.awaited
        if lane is None or awaited is None or not awaited.is_answered_under(token):
            return Refused("task_timed_out", f"the task with the token {token} is over")
        if awaited.resource.kind == "activity" and not awaited.is_taken:
            return Refused("task_does_not_exist", f"no worker was given the token {token} yet")
        return execution, lane, awaited

    def _succeed_awaited(self, found: Found, payload: bytes, now_ns: int, number: int = 0) -> None:
        execution, lane, awaited = found
        run = awaited.run
        history = execution.history
        before = history.pending_bytes
        kept = payload if history.is_standard else b""
        type_ = f"{awaited.family}Succeeded"
        traced = _traced(execution, run.token)
        history.add(self._at_ms(now_ns), type_, run.task.name, run.attempt, kept, lane.place, traced=traced)
        self._backlog_bytes += history.pending_bytes - before
        self._conclude(execution, lane, number)
        lane.awaited = None
        succeeded = execution.engine.task_succeeded(lane.branch, payload, self._wall_ns(now_ns), handed_on=False)
        self._go_on(execution, lane, succeeded, now_ns)
        self._after(execution, lane, now_ns)

    def _fail_awaited(self, found: Found, type_: str, error: str, cause: str, now_ns: int, number: int = 0) -> None:
        execution, lane, awaited = found
        run = awaited.run
        cause = cause[:MAX_CAUSE_CHARACTERS]
        at_ms = self._at_ms(now_ns)
        traced = _traced(execution, run.token)
        execution.history.add_error(at_ms, type_, run.task.name, error, cause, run.attempt, lane.place, traced=traced)
        self._conclude(execution, lane, number)
        self._task_failed(execution, lane, error, cause, now_ns)
        self._after(execution, lane, now_ns)

    def _conclude(self, execution: Execution, lane: Lane, number: int) -> None:
        """Nothing else ends the attempt: whoever answered is told, and its function is not waited for."""
        if number:
            self._when_stored(execution, Reply(number, Done()))
        if lane.parked is not None:
            lane.parked = None
            self._parked.pop((execution.execution_id, lane.branch), None)
        step, lane.current = lane.current, None
        if step is not None and step.sent:
            self._left[step.task_id] = execution.plan.app
        elif step is not None:
            self.dispatch.withdraw(step.claim)

    def _awaited_overran(self, execution: Execution, lane: Lane, awaited: Awaited, now_ns: int) -> None:
        """The time for an answer is over; the function that may still run is ended."""
        self._abandon(lane, "timeout")
        run = awaited.run
        error, cause = STATES_TIMEOUT, f"state {run.task.name} had no answer within {run.timeout_s:g} s"
        if not awaited.deadline_ns or awaited.deadline_ns > now_ns:
            error = STATES_HEARTBEAT_TIMEOUT
            cause = f"state {run.task.name} had no heartbeat for {run.heartbeat_s:g} s"
        self._fail_awaited((execution, lane, awaited), f"{awaited.family}TimedOut", error, cause, now_ns)

    # --- activities ------------------------------------------------------------------------------------------------

    def poll_activity(self, name: str, poll: Poll, now_ns: int) -> Refused | None:
        """A worker outside asks for a task; the `Reply` under the poll's number follows when there is one."""
        if name not in self.activities:
            return Refused("not_found", f"there is no activity {name!r}")
        token = self.activities.poll(name, poll)
        if token:
            self._give(token, poll, now_ns)
        return None

    def _give(self, token: str, poll: Poll, now_ns: int) -> None:
        """Give a worker the task of a token; nothing, if that has ended while it had to wait."""
        execution_id, branch = execution_of(token)
        if self._defers_asked(execution_id, lambda at_ns: self._give(token, poll, at_ns)):
            return
        execution = self._all.get(execution_id)
        lane = None if execution is None else execution.lanes.get(branch)
        if execution is None or lane is None or lane.awaited is None or lane.awaited.token != token:
            self._effects.append(Reply(poll.number, NO_TASK))
            return
        self._hand_out(execution, lane, lane.awaited, poll, now_ns)
        self._after(execution, lane, now_ns)

    # --- executions that were started ------------------------------------------------------------------------------

    def awaits_child(self, parent: str, branch: int, child: str) -> bool:
        """Whether an execution still has something to do with one that it starts."""
        return self._parent(parent, branch, child) is not None

    def child_accepted(self, parent: str, branch: int, child: str, now_ns: int) -> None:
        """An execution that another one starts is on disk."""
        if self._defers_for(parent, lambda at_ns: self.child_accepted(parent, branch, child, at_ns)):
            return
        found = self._parent(parent, branch, child)
        if found is None or found[2].is_taken:
            return
        execution, lane, awaited = found
        answer = started(child, self._at_ms(now_ns))
        if not (awaited.is_followed or awaited.has_token):
            self._succeed_awaited(found, answer, now_ns)
            self.settle(now_ns)
            return
        awaited.is_taken = True
        run = awaited.run
        execution.history.add(self._at_ms(now_ns), "TaskSubmitted", run.task.name, run.attempt, answer, lane.place)
        self._backlog_bytes += len(answer)
        if awaited.is_followed:
            self._effects.append(FollowChild(parent, branch, child))
        self._after(execution, lane, now_ns)

    def child_refused(self, parent: str, branch: int, child: str, error: str, cause: str, now_ns: int) -> None:
        """An execution that another one starts cannot begin."""
        if self._defers_for(parent, lambda at_ns: self.child_refused(parent, branch, child, error, cause, at_ns)):
            return
        found = self._parent(parent, branch, child)
        if found is not None:
            type_ = "TaskSubmitFailed" if found[2].resource.pattern else "TaskFailed"
            self._fail_awaited(found, type_, error, cause, now_ns)
            self.settle(now_ns)

    def child_ended(self, parent: str, branch: int, child: ExecutionState, now_ns: int) -> None:
        """An execution that another one waits for has ended."""
        if self._defers_for(parent, lambda at_ns: self.child_ended(parent, branch, child, at_ns)):
            return
        found = self._parent(parent, branch, child.execution_id)
        if found is None:
            return
        execution, _, awaited = found
        succeeded, described = ending(child, awaited.run.payload, awaited.resource.pattern)
        awaited.child = ""  # there is nothing left to stop
        if not succeeded:
            cause = described.decode()
            self._fail_awaited(found, "TaskFailed", STATES_TASK_FAILED, cause, now_ns)
        elif len(described) > (limit := execution.terms.max_data_bytes):
            size = len(described)
            cause = f"what {child.execution_id} gives has {size} bytes, more than the {limit} of max_data_bytes"
            self._fail_awaited(found, "TaskFailed", STATES_DATA_LIMIT, cause, now_ns)
        else:
            self._succeed_awaited(found, described, now_ns)
        self.settle(now_ns)

    def _parent(self, parent: str, branch: int, child: str) -> Found | None:
        execution = self._all.get(parent)
        lane = None if execution is None else execution.lanes.get(branch)
        if execution is None or lane is None or lane.awaited is None or lane.awaited.child != child:
            return None
        return execution, lane, lane.awaited

    def orphans(self) -> list[str]:
        """After a restart: executions that began for one which, its journal says, does not wait for them any more."""
        followed = {
            lane.awaited.child
            for execution in self._all.values()
            for lane in execution.lanes.values()
            if lane.awaited is not None
        }
        return [one for one in self._all if depth_of(one) and one not in followed]

    # --- what could not begin --------------------------------------------------------------------------------------

    def settle(self, now_ns: int) -> None:
        """Act on the outcomes of claims, and fail what could not begin, until there is none of either."""
        super().settle(now_ns)
        while self._unasked:
            self._fail_unasked(self._unasked.popleft(), now_ns)
            super().settle(now_ns)

    def _fail_unasked(self, one: Unasked, now_ns: int) -> None:
        execution_id, branch = execution_of(one.token)
        if self._defers_for(execution_id, lambda at_ns: self._fail_unasked(one, at_ns)):
            return
        execution = self._all.get(execution_id)
        lane = None if execution is None else execution.lanes.get(branch)
        if execution is not None and lane is not None and lane.awaited is not None and lane.awaited.token == one.token:
            self._fail_awaited((execution, lane, lane.awaited), one.type_, one.error, one.cause, now_ns)


def execution_of(token: str) -> tuple[str, int]:
    """The execution and the branch that a token names; "" where it is none."""
    match = _TOKEN.fullmatch(token)
    return (match[1], int(match[2])) if match else ("", 0)


def _traced(execution: Execution, token: str) -> Traced:
    """The span of what was awaited under a token; an execution that was started is below it."""
    return (0, span_of(token)) if execution.traceparent else UNTRACED
