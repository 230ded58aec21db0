"""Begins what is answered apart from what a function returns: activities, executions that executions start, tokens.

Base of `core.driving`. An attempt is registered with its token before anything begins, so that an answer finds it; what
begins outside this execution begins only once the journal is on disk that far. What answers come to is left to
`core.answers`, carrying out to the ExecutionManager.
"""

from __future__ import annotations

from collections import deque

from actorfaas import trace_context
from actorfaas.core.activities import Poll
from actorfaas.core.awaiting import Awaited, Unasked
from actorfaas.core.children import MAX_DEPTH, child_id, depth_of
from actorfaas.core.effects import Effect, FollowChild, Reply, StartChild, StopChild
from actorfaas.core.execution import Execution, Lane
from actorfaas.core.reserving import Reserving
from actorfaas.core.spans import span_of
from actorfaas.messages import ActivityTask, Refused, StartExecution
from actorfaas.states.errors import STATES_TASK_FAILED
from actorfaas.states.instructions import RunTask


class Outside(Reserving):
    """Attempts that are answered apart."""

    def _register(self, execution: Execution, lane: Lane, run: RunTask, now_ns: int) -> Awaited:
        """Note an attempt that is to be answered. One whose function is called again goes on waiting as it was."""
        recalled, lane.recalled = lane.recalled, None
        awaited = lane.awaited
        if awaited is not None and awaited.token == run.token:
            return awaited
        awaited = lane.awaited = Awaited(run)
        if run.starts:
            depth = depth_of(execution.execution_id) + 1 if awaited.is_followed else 0
            awaited.child = child_id(run.token, depth)
        asked_ns = now_ns
        if recalled is not None:
            awaited.is_noted, awaited.is_taken = recalled.is_noted, recalled.is_taken
            asked_ns = self._ns_of(recalled.asked_ms)
        if awaited.resource.kind != "activity" or awaited.is_taken:
            awaited.begin(asked_ns, now_ns)
        return awaited

    def _ask(self, execution: Execution, lane: Lane, awaited: Awaited, now_ns: int) -> bool:
        """Begin what no function does. False: its function is to be called, as it has not returned yet."""
        if awaited.resource.kind == "activity":
            self._offer(execution, lane, awaited, now_ns)
        elif awaited.child:
            self._start_child(execution, lane, awaited)
        else:
            return awaited.is_taken
        return True

    def _offer(self, execution: Execution, lane: Lane, awaited: Awaited, now_ns: int) -> None:
        name = awaited.resource.name
        if awaited.is_taken:
            return
        if name not in self.activities and not awaited.is_noted:
            cause = f"there is no activity {name!r}"
            self._cannot(execution, awaited, "ActivityScheduleFailed", "ActivityDoesNotExist", cause)
            return
        if not awaited.is_noted:
            awaited.is_noted = True
            run = awaited.run
            execution.history.add(
                self._at_ms(now_ns), "ActivityScheduled", run.task.name, run.attempt, place=lane.place
            )
        poll = self.activities.offer(name, awaited.token)
        if poll is not None:
            self._hand_out(execution, lane, awaited, poll, now_ns)

    def _hand_out(self, execution: Execution, lane: Lane, awaited: Awaited, poll: Poll, now_ns: int) -> None:
        """A worker outside gets the task; its time limits run from now on."""
        run = awaited.run
        awaited.is_taken = True
        awaited.begin(now_ns, now_ns)
        at_ms = self._at_ms(now_ns)
        execution.history.add(
            at_ms, "ActivityStarted", run.task.name, run.attempt, place=lane.place, worker=poll.worker
        )
        self._when_stored(execution, Reply(poll.number, ActivityTask(awaited.token, run.payload)))

    def _start_child(self, execution: Execution, lane: Lane, awaited: Awaited) -> None:
        run, plan = awaited.run, execution.plan
        if awaited.is_taken:
            if awaited.is_followed:
                self._effects.append(FollowChild(execution.execution_id, lane.branch, awaited.child))
            return
        if depth_of(awaited.child) > MAX_DEPTH:
            cause = f"more than {MAX_DEPTH} executions would wait for each other"
            self._cannot(execution, awaited, "TaskSubmitFailed", STATES_TASK_FAILED, cause)
            return
        start = StartExecution(
            execution_id=awaited.child,
            name=run.starts,
            durability="standard",
            strategy="auto",
            wait_for_commit=True,
            timeout_s=0.0,
            traceparent=trace_context.child(execution.traceparent, span_of(run.token)),
            payload=run.payload,
        )
        version = (plan.app, plan.version) if awaited.resource.kind == "invoke" else None
        self._when_stored(execution, StartChild(execution.execution_id, lane.branch, start, version, run.name))

    def _submitted(self, lane: Lane, awaited: Awaited, now_ns: int) -> None:
        """The function that was given a token has returned; who waits for the answer needs nobody yet."""
        awaited.is_taken = True
        self._drop_prospects(lane.prospects, now_ns)
        lane.prospects, lane.is_foreseen = [], False

    def _cannot(self, execution: Execution, awaited: Awaited, type_: str, error: str, cause: str) -> None:
        self._unasked.append(Unasked(execution.execution_id, awaited.token, type_, error, cause))

    def _let_go(self, execution: Execution, lane: Lane) -> None:
        """Nobody waits for a branch's answer any more: an execution that it waited for is stopped."""
        awaited, lane.awaited = lane.awaited, None
        if awaited is None:
            return
        if awaited.resource.kind == "activity":
            self.activities.withdraw(awaited.resource.name, awaited.token)
        elif awaited.child:
            begun = len(execution.once_stored)
            execution.once_stored = deque(one for one in execution.once_stored if not _starts(one[1], awaited.child))
            if awaited.is_followed and len(execution.once_stored) == begun:
                reason = f"the execution {execution.execution_id} does not wait for it any more"
                self._effects.append(StopChild(awaited.child, reason))

    @staticmethod
    def _release(execution: Execution) -> list[Effect]:
        """What waited for the journal and need not any longer."""
        released: list[Effect] = []
        while execution.once_stored and execution.once_stored[0][0] <= execution.history.stored_seq:
            released.append(execution.once_stored.popleft()[1])
        return released

    def _renounce(self, execution: Execution) -> None:
        """The history will never be on disk: whoever waits for that is told."""
        detail = f"the history of {execution.execution_id} cannot be stored"
        for _, effect in execution.once_stored:
            if isinstance(effect, Reply):
                self._effects.append(Reply(effect.number, Refused("unavailable", detail)))

    def _when_stored(self, execution: Execution, effect: Effect) -> None:
        """Have something done once all that has happened so far is on disk; of an express execution nothing will be."""
        history = execution.history
        if not history.is_standard or history.stored_seq == history.last_seq:
            self._effects.append(effect)
        else:
            execution.once_stored.append((history.last_seq, effect))
            history.hurry()


def _starts(effect: Effect, child: str) -> bool:
    return isinstance(effect, StartChild) and effect.start.execution_id == child
