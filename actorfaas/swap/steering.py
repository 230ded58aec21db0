"""Paging as the ExecutionManager sees it: between the pools (`core.dispatch`) and the policy, costs and arrivals here.

Pure: what the pools tell is noted; `run` lets the policy decide and tells the pools what is wanted; orders leave as
effects; the Swapper's and the LocalQueue's facts come back and are answered to both sides. Two kinds of page-out meet
here: the policy's, and those of strategies in which idle workers go out at once; of the latter the policy is only told
that these workers are not idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actorfaas.core import lifecycle
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Tell
from actorfaas.core.paging import CONCURRENT, DEMAND, FAASNAP, PREFETCHED, REAP, SWAPPED
from actorfaas.core.pool import Worker
from actorfaas.messages import (
    CallEnded,
    CallMeasured,
    ForgetWorker,
    MemoryMeasured,
    PageInWorker,
    PageOutTemplate,
    PageOutWorker,
    PagingMode,
    TemplatePagedOut,
    TendWorker,
    WorkerPagedIn,
    WorkerPagedOut,
    WorkerTended,
)
from actorfaas.swap import paging_events as policy_events
from actorfaas.swap.budget import BudgetRules
from actorfaas.swap.costs import Way
from actorfaas.swap.learning import Learning
from actorfaas.swap.policy import Mode, Policy, PolicyRules
from actorfaas.swap.prefetch_times import PrefetchTimes

PagingFact = (
    WorkerTended | WorkerPagedOut | WorkerPagedIn | CallMeasured | MemoryMeasured | TemplatePagedOut | PagingMode
)

RECORDED = "recorded"
_KIND_OF = {REAP: PREFETCHED, FAASNAP: CONCURRENT, DEMAND: SWAPPED, "record": RECORDED}
_MOST_ROUNDS = 8
"""How often in a row the policy is asked again because of what its own instructions changed."""


@dataclass(slots=True)
class _Change:
    """What is to be told to the policy about a worker: the last state, and the calls served since."""

    worker: Worker
    is_idle: bool
    uses: int = 0


class Steering:
    """One node's paging. Implements `core.paging.Pager`."""

    def __init__(self, dispatch: Dispatch, policy: Mode) -> None:
        self._dispatch = dispatch
        self._rules = PolicyRules(mode=policy)
        self._policy = Policy(BudgetRules(0), self._rules)
        self._learning = Learning()
        self._times = PrefetchTimes()
        self._todo: list[policy_events.Instruction] = []
        self._changes: dict[str, _Change] = {}
        self._leaving: dict[str, bool] = {}  # page-outs under way or asked for: whether the policy wanted it
        self._open: dict[str, str] = {}  # workers whose first call since their page-in has not ended: function topic
        self.mode = PagingMode("none", "the Swapper is not connected", 0)
        self.is_active = False
        dispatch.pager = self

    # --- what the pools tell (core.paging.Pager) ---------------------------------------------------------------------

    def rests(self, worker: Worker, now_ns: int) -> None:
        """See Pager. Workers that always stay, and those that go out at once anyway, are not the policy's business."""
        if self.is_active and not worker.stays_in and not worker.goes_out:
            change = self._changes.setdefault(worker.topic, _Change(worker, True))
            change.is_idle = True

    def used(self, worker: Worker, now_ns: int) -> None:
        """See Pager."""
        self.rests(worker, now_ns)
        change = self._changes.get(worker.topic)
        if change is not None:
            change.uses += 1
        self.call_ended(worker)

    def taken(self, worker: Worker, now_ns: int) -> None:
        """See Pager."""
        if self.is_active and not worker.stays_in:
            change = self._changes.setdefault(worker.topic, _Change(worker, False))
            change.is_idle = False
            change.uses += 1

    def kept(self, worker: Worker, now_ns: int) -> None:
        """See Pager."""
        if self._leaving.pop(worker.topic, False):
            self._tell_policy(policy_events.PageOutFailed(worker.topic), now_ns)

    def gone(self, worker: Worker) -> None:
        """See Pager."""
        topic = worker.topic
        self._changes.pop(topic, None)
        self._leaving.pop(topic, None)
        self._times.forget(topic)
        self._open.pop(topic, None)
        if self.is_active:
            self._tell_policy(policy_events.WorkerGone(topic), worker.idle_since_ns)
            self._tell("swapper", ForgetWorker(topic))

    def page_out(self, worker: Worker, now_ns: int) -> None:
        """See Pager. The worker gives back what it can first; without privileges it brings itself out."""
        self.call_ended(worker)
        if worker.topic not in self._leaving:  # not by the policy, to which it must not look idle meanwhile
            self._leaving[worker.topic] = False
            self.taken(worker, now_ns)
        action = "trim" if self.mode.mode == "outside" else "page_out"
        self._tell("local_queue", TendWorker(worker.topic, action))

    def page_in(self, worker: Worker, how: str, now_ns: int) -> str:
        """See Pager."""
        self._times.forget(worker.topic)
        topic = worker.function_topic
        self._open[worker.topic] = topic
        self.taken(worker, now_ns)
        if self.mode.mode == "outside":
            self._tell("swapper", PageInWorker(worker.topic, topic, worker.pid, how))
            return _KIND_OF[how] if self._learning.is_recorded(topic) else RECORDED
        if how != DEMAND:
            self._tell("local_queue", TendWorker(worker.topic, "page_in"))
        return _KIND_OF[how]

    def call_ended(self, worker: Worker) -> None:
        """See Pager."""
        if self._open.pop(worker.topic, "") and self.mode.mode == "outside":
            self._tell("swapper", CallEnded(worker.topic))

    def prefers_start(self, topic: str) -> bool:
        """See Pager. A template that is out would have to come in first."""
        return not self._policy.is_template_out(topic) and self._learning.prefers_fork(topic)

    def template_used(self, topic: str) -> None:
        """See Pager."""
        if self.is_active:
            self._tell_policy(policy_events.TemplateBusy(topic), 0)

    def born(self, worker: Worker, took_ns: int, now_ns: int) -> None:
        """See Pager."""
        self._learning.observe(worker.function_topic, Way.FORK, took_ns)
        if self.is_active:
            size_bytes = self._learning.template_bytes(worker.function_topic)
            self._tell_policy(policy_events.TemplateIdle(worker.function_topic, size_bytes), now_ns)

    def served(self, topic: str, now_ns: int) -> None:
        """See Pager."""
        window = self._learning.arrived(topic, now_ns)
        if self.is_active and window is not None and self._rules.mode == "predictive":
            self._tell_policy(policy_events.WindowPredicted(topic, window.start_ns, window.end_ns), now_ns)

    def ran(self, topic: str, run_ns: int) -> None:
        """See Pager."""
        self._learning.ran(topic, run_ns)

    def expect(self, worker: Worker, before: Sequence[str], began_ns: int, now_ns: int) -> None:
        """See Pager. Just in time: what runs before should end when the worker is in."""
        self._times.set(worker.topic, self._learning.page_in_at_ns(worker.function_topic, before, began_ns, now_ns))

    def function_gone(self, topic: str) -> None:
        """See Pager."""
        self._tell_policy(policy_events.FunctionGone(topic), 0)
        self._learning.forget(topic)

    # --- deciding ----------------------------------------------------------------------------------------------------

    def run(self, now_ns: int) -> None:
        """Let the policy act on what has changed, and begin the page-ins that are due."""
        for worker_topic in self._times.due(now_ns):
            self._dispatch.want_in(worker_topic, now_ns)
        if not self.is_active:
            return
        due_ns = self._policy.next_due_ns(now_ns)
        if due_ns is not None and due_ns <= now_ns:
            self._tell_policy(policy_events.Tick(), now_ns)
        for _ in range(_MOST_ROUNDS):
            changes, self._changes = self._changes, {}
            for change in changes.values():
                self._tell_change(change, now_ns)
            todo, self._todo = self._todo, []
            if not todo:
                return
            for instruction in todo:
                self._carry_out(instruction, now_ns)

    def next_due_ns(self, now_ns: int) -> int | None:
        """When `run` must be called at the latest."""
        due = [self._times.next_due_ns(), self._policy.next_due_ns(now_ns) if self.is_active else None]
        return min((ns for ns in due if ns is not None), default=None)

    def _tell_change(self, change: _Change, now_ns: int) -> None:
        worker = change.worker
        topic = worker.function_topic
        if not change.is_idle:
            self._tell_policy(policy_events.WorkerBusy(worker.topic, topic), now_ns)
            return
        known = self._learning.of(topic)
        event = policy_events.WorkerIdle(
            worker.topic,
            topic,
            size_bytes=int(known.size_bytes.value),
            working_set_bytes=int(known.costs.working_set_bytes.value),
            cost_ns=known.costs.bring_back_ns(can_fork=True),
            uses=change.uses,
        )
        self._tell_policy(event, now_ns)

    def _carry_out(self, instruction: policy_events.Instruction, now_ns: int) -> None:
        match instruction:
            case policy_events.PageOut(worker=worker):
                self._leaving[worker] = True
                if not self._dispatch.want_out(worker, now_ns):
                    self._leaving.pop(worker, None)
            case policy_events.PageIn(worker=worker):
                if not self._dispatch.want_in(worker, now_ns):
                    self._tell_policy(policy_events.PageInFailed(worker), now_ns)
            case policy_events.PageOutTemplate(function=function):
                if self.mode.mode == "outside":
                    self._tell("swapper", PageOutTemplate(function))
                else:
                    self._tell_policy(policy_events.TemplatePageOutFailed(function), now_ns)

    def _tell_policy(self, event: policy_events.Event, now_ns: int) -> None:
        self._todo += self._policy.handle(event, now_ns)

    def _tell(self, peer: str, message: object) -> None:
        self._dispatch.effects.append(Tell(peer, message))  # type: ignore[arg-type]  # all are messages

    # --- what the Swapper and workers say ----------------------------------------------------------------------------

    def take_in(self, fact: PagingFact, now_ns: int) -> None:
        """One fact; what follows is decided by the next `run`."""
        match fact:
            case WorkerTended():
                self._tended(fact, now_ns)
            case WorkerPagedOut(worker_topic=worker, error=error, freed_bytes=freed_bytes):
                self._paged_out(worker, freed_bytes, now_ns, is_out=not error)
            case WorkerPagedIn():
                kind = SWAPPED if fact.error else _KIND_OF[fact.did]
                self._paged_in(fact.worker_topic, kind, fact.read_bytes, fact.took_ns, now_ns)
            case CallMeasured(function_topic=topic, working_set_bytes=size_bytes):
                if topic:
                    self._learning.recorded(topic, size_bytes)
            case MemoryMeasured(usage_bytes=usage_bytes, pressure_percent=percent):
                self._tell_policy(policy_events.UsageMeasured(usage_bytes), now_ns)
                if percent >= 0:
                    self._tell_policy(policy_events.PressureMeasured(percent), now_ns)
            case TemplatePagedOut(function_topic=topic, error=error, freed_bytes=freed_bytes):
                done = policy_events.TemplatePagedOut(topic, freed_bytes)
                self._tell_policy(policy_events.TemplatePageOutFailed(topic) if error else done, now_ns)
            case PagingMode():
                self._set_mode(fact, now_ns)

    def _tended(self, done: WorkerTended, now_ns: int) -> None:
        worker = self._dispatch.worker(done.worker_topic)
        if worker is None:
            return
        if done.action == "page_in":
            self._paged_in(worker.topic, PREFETCHED if done.done else SWAPPED, done.size_bytes, done.took_ns, now_ns)
        elif done.action == "trim" and done.done and worker.phase == lifecycle.PAGING_OUT:
            self._tell("swapper", PageOutWorker(worker.topic, worker.function_topic, worker.pid))
        else:
            is_out = done.done and done.action == "page_out"
            self._paged_out(worker.topic, done.size_bytes, now_ns, is_out=is_out)

    def _paged_out(self, worker_topic: str, freed_bytes: int, now_ns: int, *, is_out: bool) -> None:
        worker = self._dispatch.worker(worker_topic)
        by_policy = self._leaving.pop(worker_topic, False)
        if worker is None:
            return
        if is_out and freed_bytes > 0:
            self._learning.of(worker.function_topic).size_bytes.observe(freed_bytes)
        if by_policy:
            out = policy_events.PagedOut(worker_topic, freed_bytes)
            self._tell_policy(out if is_out else policy_events.PageOutFailed(worker_topic), now_ns)
        self._dispatch.paged_out(worker_topic, is_out=is_out, now_ns=now_ns)

    def _paged_in(self, worker_topic: str, kind: str, read_bytes: int, took_ns: int, now_ns: int) -> None:
        worker = self._dispatch.worker(worker_topic)
        if worker is None:
            return
        if kind == PREFETCHED:
            self._learning.observe(worker.function_topic, Way.SWAP_IN, took_ns)
        self._tell_policy(policy_events.PagedIn(worker_topic, read_bytes), now_ns)
        self._dispatch.paged_in(worker_topic, kind, took_ns, now_ns)

    def _set_mode(self, mode: PagingMode, now_ns: int) -> None:
        self.mode = mode
        was_active, self.is_active = self.is_active, mode.mode != "none"
        self._policy = self._policy if was_active and self.is_active else self._new_policy()
        if was_active and not self.is_active:
            self._stop(now_ns)
        elif self.is_active and not was_active:
            for pool in self._dispatch.pools.values():
                for worker in [*pool.idle.values(), *pool.lent.values()]:
                    self.rests(worker, now_ns)

    def _new_policy(self) -> Policy:
        return Policy(BudgetRules(self.mode.budget_bytes), self._rules)

    def lost(self, now_ns: int) -> None:
        """The Swapper has gone."""
        self._set_mode(PagingMode("none", "the Swapper is not connected", 0), now_ns)

    def _stop(self, now_ns: int) -> None:
        """Memory can no longer be moved: what was on its way counts as out, and is called as it is."""
        self._changes.clear()
        self._leaving.clear()
        self._open.clear()
        self._todo.clear()
        self._times.clear()
        self._dispatch.pager_lost(now_ns)
