"""Paging as the ExecutionManager sees it: between the pools (`core.dispatch`) and the policy, costs and arrivals here.

Pure: what the pools tell is noted; `run` lets the policy decide and tells the pools what is wanted; orders leave as
effects; the Swapper's and the LocalQueue's facts come back and are answered to both sides. Two kinds of page-out meet
here: the policy's, and those of strategies in which idle workers go out at once; of the latter the policy is only told
that these workers are not idle.
"""

from __future__ import annotations

from actorfaas.core import lifecycle
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.executions import Executions
from actorfaas.core.paging import PREFETCHED, SWAPPED
from actorfaas.core.worker import PageIn, Worker
from actorfaas.errors import InvariantViolation
from actorfaas.messages import (
    CallMeasured,
    MemoryMeasured,
    PageOutTemplate,
    PageOutWorker,
    PagingMode,
    TemplatePagedOut,
    WorkerPagedIn,
    WorkerPagedOut,
    WorkerTended,
)
from actorfaas.swap import paging_events as policy_events
from actorfaas.swap.budget import BudgetRules
from actorfaas.swap.costs import Way
from actorfaas.swap.paging_state import Place
from actorfaas.swap.policy import Mode, Policy
from actorfaas.swap.pool_side import KIND_OF, PoolSide
from actorfaas.swap.pool_view import forks, places, waits

PagingFact = (
    WorkerTended | WorkerPagedOut | WorkerPagedIn | CallMeasured | MemoryMeasured | TemplatePagedOut | PagingMode
)

MOST_SWAP_USED = 0.85
MOST_DROPPED = 8
"""When more than that share of swap is in use, so many workers are ended at each measurement, if there is a surplus."""

_MOST_ROUNDS = 8
"""How often in a row the policy is asked again because of what its own instructions changed."""


def steer(steering: Steering, executions: Executions, now_ns: int) -> None:
    """After every event, before its effects are carried out: executions act on what the pools did, paging on both."""
    executions.settle(now_ns)
    steering.run(now_ns)
    for _ in range(_MOST_ROUNDS):
        if not executions.dispatch.outcomes:
            return
        executions.settle(now_ns)
        steering.run(now_ns)


class Steering(PoolSide):
    """One node's paging."""

    def __init__(self, dispatch: Dispatch, policy: Mode) -> None:
        super().__init__(dispatch, policy)
        self._is_squeezed = False

    # --- deciding ----------------------------------------------------------------------------------------------------

    def run(self, now_ns: int) -> None:
        """Let the policy act on what has changed, and begin the page-ins that are due."""
        for worker_topic in self._times.due(now_ns):
            self._dispatch.want_in(worker_topic, now_ns)
        if self._admission.pass_time(now_ns):
            self._dispatch.start_waiting(now_ns)
        if not self.is_active:
            self._untold.clear()
            return
        due_ns = self._policy.next_due_ns(now_ns)
        if due_ns is not None and due_ns <= now_ns:
            self._tell_policy(policy_events.Tick(), now_ns)
        for _ in range(_MOST_ROUNDS):
            self._tell_changes(now_ns)
            todo, self._todo = self._todo, []
            if not todo:
                return
            for instruction in todo:
                self._carry_out(instruction, now_ns)

    def next_due_ns(self, now_ns: int) -> int | None:
        """When `run` must be called at the latest."""
        if self.is_active and (self._todo or self._changed or self._untold):
            return now_ns
        due = [self._times.next_due_ns(), self._admission.next_due_ns()]
        if self.is_active:
            due.append(self._policy.next_due_ns(now_ns))
        return min((ns for ns in due if ns is not None), default=None)

    def _tell_changes(self, now_ns: int) -> None:
        self._policy.budget.starting_bytes = self._admission.bytes + self._wanted_bytes
        untold, self._untold = self._untold, []
        for event in untold:
            self._tell_policy(event, now_ns)
        changed, self._changed = self._changed, {}
        for worker in changed.values():
            self._tell_worker(worker, now_ns)
        templates, self._templates = self._templates, {}
        for topic in templates:
            self._tell_template(topic, now_ns)

    def _tell_worker(self, worker: Worker, now_ns: int) -> None:
        topic = worker.function_topic
        if worker.phase == lifecycle.PAGING_OUT and self._leaving.get(worker.topic):
            return  # it wanted that itself
        if not waits(worker):
            self._tell_policy(policy_events.WorkerBusy(worker.topic, topic), now_ns)
            return
        if worker.phase == lifecycle.SWAPPED:
            if self._policy.place_of(worker.topic) is None:
                self._tell_policy(policy_events.WorkerBusy(worker.topic, topic), now_ns)
            self._tell_policy(policy_events.PagedOut(worker.topic, 0), now_ns)
            return
        if self._policy.place_of(worker.topic) is Place.SWAPPED:  # it was lent at once, and is brought in meanwhile
            self._tell_policy(policy_events.WorkerBusy(worker.topic, topic), now_ns)
        known = self.learning.of(topic)
        uses, worker.uses = worker.uses, 0
        event = policy_events.WorkerIdle(
            worker.topic,
            topic,
            size_bytes=self.learning.worker_bytes(topic),
            working_set_bytes=int(known.costs.working_set_bytes.value),
            cost_ns=known.costs.bring_back_ns(can_fork=True),
            uses=uses,
        )
        self._tell_policy(event, now_ns)

    def _tell_template(self, topic: str, now_ns: int) -> None:
        """Shared pages of a function whose workers always stay are not the policy's business either."""
        pool = self._dispatch.pools.get(topic)
        if pool is None or pool.stays_in:
            return
        if forks(pool):
            self._tell_policy(policy_events.TemplateBusy(topic), now_ns)
        elif pool.ready:
            size_bytes = int(self.learning.of(topic).template_bytes.value)
            self._tell_policy(policy_events.TemplateIdle(topic, size_bytes), now_ns)

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

    # --- what the Swapper and workers say ----------------------------------------------------------------------------

    def take_in(self, fact: PagingFact, now_ns: int) -> None:
        """One fact; what follows is decided by the next `run`."""
        match fact:
            case WorkerTended():
                self._tended(fact, now_ns)
            case WorkerPagedOut(error=error):
                self._paged_out(fact.worker_topic, fact.freed_bytes, now_ns, is_out=not error, shared=fact.shared_bytes)
            case WorkerPagedIn():
                kind = SWAPPED if fact.error else KIND_OF[fact.did]
                self._paged_in(fact.worker_topic, kind, fact.read_bytes, fact.took_ns, now_ns)
            case CallMeasured():
                self._measured(fact)
            case MemoryMeasured(usage_bytes=usage_bytes, pressure_percent=percent):
                self._admission.grown(usage_bytes - self._policy.budget.usage_bytes)
                self._tell_policy(policy_events.UsageMeasured(usage_bytes), now_ns)
                if percent >= 0:
                    self._tell_policy(policy_events.PressureMeasured(percent), now_ns)
                self._protect(fact, now_ns)
            case TemplatePagedOut():
                self._template_paged_out(fact, now_ns)
            case PagingMode():
                self._set_mode(fact, now_ns)

    def _measured(self, call: CallMeasured) -> None:
        if call.function_topic:
            self.learning.recorded(call.function_topic, call.working_set_bytes)
        if self._measuring.pop(call.worker_topic, False) and self._is_on_its_way_out(call.worker_topic):
            self._send_out(call.worker_topic)

    def _protect(self, measured: MemoryMeasured, now_ns: int) -> None:
        """From thrash: no more instances while memory is above the budget; fewer when they no longer fit in swap."""
        budget = self._policy.budget
        self._is_squeezed = budget.is_limited and (
            budget.usage_bytes > (budget.high_bytes if self._is_squeezed else budget.limit_bytes)
        )
        self._wanted_bytes = 0
        self._dispatch.squeeze(now_ns, is_on=self._is_squeezed)
        if measured.swap_used_bytes > MOST_SWAP_USED * measured.swap_total_bytes:
            self._dispatch.drop_surplus(MOST_DROPPED)

    def _template_paged_out(self, done: TemplatePagedOut, now_ns: int) -> None:
        topic = done.function_topic
        if done.error:
            self._tell_policy(policy_events.TemplatePageOutFailed(topic), now_ns)
            return
        if done.freed_bytes > 0:
            self.learning.template_paged_out(topic, done.freed_bytes)
        self._tell_policy(policy_events.TemplatePagedOut(topic, done.freed_bytes), now_ns)
        self._dispatch.start_waiting(now_ns)

    def _tended(self, done: WorkerTended, now_ns: int) -> None:
        worker = self._dispatch.worker(done.worker_topic)
        if worker is None:
            return
        if done.action == "page_in":
            self._paged_in(worker.topic, PREFETCHED if done.done else SWAPPED, done.size_bytes, done.took_ns, now_ns)
        elif done.action == "trim" and done.done and worker.phase == lifecycle.PAGING_OUT:
            if worker.topic not in self._ordered:
                self._ordered.add(worker.topic)
                self._tell("swapper", PageOutWorker(worker.topic, worker.function_topic, worker.pid))
        elif worker.topic not in self._ordered:
            is_out = done.done and done.action == "page_out"
            self._paged_out(worker.topic, done.size_bytes, now_ns, is_out=is_out)

    def _paged_out(self, worker_topic: str, freed_bytes: int, now_ns: int, *, is_out: bool, shared: int = 0) -> None:
        self._ordered.discard(worker_topic)
        worker = self._dispatch.worker(worker_topic)
        if worker is None or worker.phase != lifecycle.PAGING_OUT:
            return  # an answer to an order of which paging has let go since
        by_policy = self._leaving.pop(worker_topic, False)
        if is_out and freed_bytes > 0:
            most_bytes = self._most_bytes.get(worker_topic, 0)
            self._most_bytes[worker_topic] = max(most_bytes, freed_bytes)
            self.learning.paged_out(worker.function_topic, freed_bytes, is_whole=freed_bytes > most_bytes)
        if shared > 0:
            self.learning.template_paged_out(worker.function_topic, shared)
        if is_out:
            self._tell_policy(policy_events.PagedOut(worker_topic, freed_bytes, shared), now_ns)
        elif by_policy:
            self._tell_policy(policy_events.PageOutFailed(worker_topic), now_ns)
        self._dispatch.paged_out(worker_topic, is_out=is_out, now_ns=now_ns)

    def _paged_in(self, worker_topic: str, kind: str, read_bytes: int, took_ns: int, now_ns: int) -> None:
        worker = self._dispatch.worker(worker_topic)
        if worker is None:
            return
        if kind == PREFETCHED:
            self.learning.observe(worker.function_topic, Way.SWAP_IN, took_ns)
        self._tell_policy(policy_events.PagedIn(worker_topic, read_bytes), now_ns)
        self._dispatch.paged_in(worker_topic, kind, PageIn(took_ns, now_ns, read_bytes), now_ns)

    def _set_mode(self, mode: PagingMode, now_ns: int) -> None:
        before, self.mode = self.mode, mode
        was_active, self.is_active = self.is_active, mode.mode != "none"
        if was_active and not self.is_active:
            self._stop(now_ns)
        elif self.is_active and (not was_active or mode.budget_bytes != before.budget_bytes):
            self._begin()
            self._dispatch.start_waiting(now_ns)

    def lost(self, now_ns: int) -> None:
        """The Swapper has gone."""
        self._set_mode(PagingMode("none", "the Swapper is not connected", 0), now_ns)

    def _stop(self, now_ns: int) -> None:
        """Memory can no longer be moved: what was on its way counts as out, and is called as it is."""
        self._leaving.clear()
        self._ordered.clear()
        self._open.clear()
        self._measuring.clear()
        self._times.clear()
        self._begin()
        self._dispatch.pager_lost(now_ns)

    def _begin(self) -> None:
        """A new policy, which is to be told of everything there is."""
        self._policy = Policy(BudgetRules(self.mode.budget_bytes), self._rules)
        self._todo.clear()
        self._changed.clear()
        self._templates.clear()
        self._untold.clear()
        for topic, pool in self._dispatch.pools.items():
            self.template_changed(topic)
            for worker in pool.workers.values():
                if not worker.leaving and worker.phase != lifecycle.REPORTING:
                    self.changed(worker)
        moving = (topic for topic in self._leaving if self._is_on_its_way_out(topic))
        self._leaving = dict.fromkeys(moving, False)  # not by this policy

    def _is_on_its_way_out(self, worker_topic: str) -> bool:
        worker = self._dispatch.worker(worker_topic)
        return worker is not None and worker.phase == lifecycle.PAGING_OUT

    def check_invariants(self) -> None:
        """The policy's books are in order, and agree with the pools about where every worker is."""
        self._policy.check_invariants()
        if not self.is_active or self._changed or self._untold or self._todo:
            return
        for pool in self._dispatch.pools.values():
            for worker in pool.workers.values():
                place = self._policy.place_of(worker.topic)
                if not worker.leaving and place not in places(worker, leaving=self._leaving.get(worker.topic, False)):
                    raise InvariantViolation(f"the policy has {worker.topic} as {place}: {worker}")
