"""Executions that go on where their journal ends: after a restart, or redriven. One that cannot go on fails.

Base of `core.executions`, above `core.answers`. What a journal amounts to is told by `core.replay`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actorfaas.core.answers import Answers
from actorfaas.core.execution import Execution, Plan
from actorfaas.core.history import History
from actorfaas.core.replay import NO_ITEMS, JournalMismatch, Replay
from actorfaas.core.terms import DATA_WARNED, Terms, terms_of
from actorfaas.messages import CreateExecution, UnfinishedExecution
from actorfaas.states.context import ExecutionContext
from actorfaas.states.engine import ROOT, STATES_RUNTIME, Engine
from actorfaas.states.model import single_task
from actorfaas.states.scope import Json


class Resuming(Answers):
    """Executions from journals."""

    def resume(
        self, found: UnfinishedExecution, plan: Plan, now_ns: int, items: Mapping[int, Sequence[Json]] = NO_ITEMS
    ) -> None:
        """Continue an execution of a node that stopped, where its journal ends. A journal that its definition does not
        allow ends it: it would stop the ExecutionManager at every start. `items`: what its Map states had read, by the
        number of the event."""
        now_ms = self._at_ms(now_ns)
        terms, began_ms = (terms_of(found.events[0]), found.events[0].at_ms) if found.events else (self._terms, now_ms)
        replay = Replay(self._engine(found.execution_id, plan, began_ms, terms))
        try:
            replay.run(found.events, found.input, now_ms, items)
        except JournalMismatch as error:
            self.abort_unknown(found, f"its journal does not fit its definition: {error}", now_ns)
            return
        execution = self._resumed(found, plan, replay.engine, replay.last_seq, terms)
        for branch in sorted(replay.branches):
            if branch != ROOT:
                execution.open(branch, *replay.origins[branch], replay.engine.machine_of(branch))
                self._lane_count += 1
        for branch, lane in execution.lanes.items():
            lane.unopened = replay.unopened.get(branch, 0)
        if not replay.last_seq:  # it was stored, and then the node stopped before the first event was
            self._note_start(execution, now_ms)
        self._continue(execution, replay, now_ns)
        self._store(execution, now_ns)
        self._set_alarm(execution)
        self.settle(now_ns)

    def _continue(self, execution: Execution, replay: Replay, now_ns: int) -> None:
        """End an execution whose end is journalled without its result, or do what is under way in each branch."""
        finish = replay.finish
        if replay.outcome is not None:
            self._close(execution, (*replay.outcome, b"" if finish is None else finish.payload), now_ns)
            return
        execution.messages = replay.messages
        self._restore(execution)
        for recorded in replay.unwritten:
            place = recorded.branch, replay.origins[recorded.branch][1]
            self._record(execution, recorded, place, now_ns)
        ahead = replay.engine.outstanding(self._wall_ns(now_ns)) if finish is None else (finish,)
        for branch, lane in execution.lanes.items():
            lane.recalled = replay.recalled.get(branch)
        self._perform(execution, ahead, now_ns)
        for lane in execution.lanes.values():
            lane.recalled = None  # it was not for what comes later

    def _resumed(
        self, found: UnfinishedExecution, plan: Plan, engine: Engine, last_seq: int, terms: Terms
    ) -> Execution:
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
            engine=engine,
            history=History(create, created=True, last_seq=last_seq, delay_ns=self._journal_delay_ns),
            terms=terms,
            traceparent=found.traceparent,
            strategy="auto",
            deadline_ns=max(1, self._ns_of(found.deadline_at_ms)) if found.deadline_at_ms else 0,
            held=False,
            is_warned=any(event.type == DATA_WARNED for event in found.events),
        )
        self._add(execution)
        return execution

    def abort_unknown(self, found: UnfinishedExecution, cause: str, now_ns: int) -> None:
        """An execution that cannot be continued fails."""
        plan = Plan(found.name, found.kind, found.app, found.version, single_task(found.name), {}, {})
        last_seq = max((event.seq for event in found.events), default=0)
        engine = self._engine(found.execution_id, plan, self._at_ms(now_ns), self._terms)
        execution = self._resumed(found, plan, engine, last_seq, self._terms)
        self._close(execution, ("failed", STATES_RUNTIME, cause, b""), now_ns)
        self._store(execution, now_ns)

    def _add(self, execution: Execution) -> None:
        self._all[execution.execution_id] = execution
        execution.open(ROOT, -1, -1, execution.plan.machine)
        self._lane_count += 1

    def _engine(self, execution_id: str, plan: Plan, started_ms: int, terms: Terms) -> Engine:
        machine_id = f"{plan.app}:{plan.name}:{plan.version}"
        context = ExecutionContext(execution_id, started_ms, machine_id, plan.name)
        return Engine(
            plan.machine,
            retries=plan.retriers,
            context=context,
            max_data_bytes=terms.max_data_bytes,
            token_key=self._token_key if terms.has_secret_tokens else b"",
        )
