"""Paging as the ExecutionManager sees it: between the pools (`core.dispatch`) and the policy, costs and arrivals here.

Pure: what the pools tell is noted; `run` lets the policy decide and tells the pools what is wanted; orders leave as
effects; the Swapper's and the LocalQueue's facts come back and are answered to both sides. Two kinds of page-out meet
here: the policy's, and those of strategies in which idle workers go out at once; of the latter the policy is only told
that these workers are not idle.
"""

from __future__ import annotations

from collections.abc import Sequence

from actorfaas.core import lifecycle
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Tell
from actorfaas.core.executions import Executions
from actorfaas.core.paging import CONCURRENT, DEMAND, FAASNAP, PREFETCHED, REAP, SWAPPED, UNLIMITED
from actorfaas.core.worker import PageIn, Worker
from actorfaas.errors import InvariantViolation
from actorfaas.messages import (
    CallEnded,
    CallMeasured,
    ForgetWorker,
    MemoryMeasured,
    Message,
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
from actorfaas.swap.admission import Admission
from actorfaas.swap.budget import BudgetRules
from actorfaas.swap.costs import Way
from actorfaas.swap.learning import Learning
from actorfaas.swap.paging_state import Place
from actorfaas.swap.policy import Mode, Policy, PolicyRules
from actorfaas.swap.pool_view import forks, places, waits
from actorfaas.swap.prefetch_times import PrefetchTimes

PagingFact = (
    WorkerTended | WorkerPagedOut | WorkerPagedIn | CallMeasured | MemoryMeasured | TemplatePagedOut | PagingMode
)

RECORDED = "recorded"
_KIND_OF = {REAP: PREFETCHED, FAASNAP: CONCURRENT, DEMAND: SWAPPED, "record": RECORDED}
_HOW_OF_WAY = {Way.FORK: "", Way.SWAP_IN: REAP, Way.CONCURRENT: FAASNAP, Way.DEMAND: REAP}
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


class Steering:
    """One node's paging. Implements `core.paging.Pager`."""

    def __init__(self, dispatch: Dispatch, policy: Mode) -> None:
        self._dispatch = dispatch
        self._rules = PolicyRules(mode=policy)
        self._policy = Policy(BudgetRules(0), self._rules)
        self._learning = Learning()
        self._admission = Admission(self._learning)
        self._wanted_bytes = 0  # of the largest instance that waits for room
        self._times = PrefetchTimes()
        self._todo: list[policy_events.Instruction] = []
        self._changed: dict[str, Worker] = {}  # of these the policy is to be told, of templates, and other events
        self._templates: dict[str, None] = {}
        self._untold: list[policy_events.Event] = []
        self._leaving: dict[str, bool] = {}  # page-outs under way or asked for: whether the policy wanted it
        self._ordered: set[str] = set()  # those of which the Swapper has been told
        self._open: set[str] = set()  # workers whose first call since their page-in has not ended
        self.mode = PagingMode("none", "the Swapper is not connected", 0)
        self.is_active = False
        self._is_squeezed = False
        dispatch.pager = self

    # --- what the pools tell (core.paging.Pager) ---------------------------------------------------------------------

    def changed(self, worker: Worker) -> None:
        """See Pager. Workers that always stay are not the policy's business."""
        if self.is_active and not worker.stays_in:
            self._changed[worker.topic] = worker

    def kept(self, worker: Worker, now_ns: int) -> None:
        """See Pager."""
        if self._leaving.pop(worker.topic, False):
            self._tell_policy(policy_events.PageOutFailed(worker.topic), now_ns)

    def gone(self, worker: Worker) -> None:
        """See Pager."""
        topic = worker.topic
        self._changed.pop(topic, None)
        self._leaving.pop(topic, None)
        self._ordered.discard(topic)
        self._times.forget(topic)
        self._open.discard(topic)
        self._count_coming(worker.function_topic)
        if self.is_active:
            self._untold.append(policy_events.WorkerGone(topic))
            self._tell("swapper", ForgetWorker(topic))

    def page_out(self, worker: Worker, now_ns: int) -> None:
        """See Pager. The worker gives back what it can first; without privileges it brings itself out."""
        self._open.discard(worker.topic)
        self._leaving.setdefault(worker.topic, False)
        self.changed(worker)
        action = "trim" if self.mode.mode == "outside" else "page_out"
        self._tell("local_queue", TendWorker(worker.topic, action))

    def page_in(self, worker: Worker, how: str, now_ns: int) -> str:
        """See Pager."""
        self._times.forget(worker.topic)
        topic = worker.function_topic
        self.changed(worker)
        if self.mode.mode == "outside":
            self._open.add(worker.topic)
            self._tell("swapper", PageInWorker(worker.topic, topic, worker.pid, how))
            return _KIND_OF[how] if self._learning.is_recorded(topic) else RECORDED
        if how == DEMAND or (worker.claim is not None and worker.phase == lifecycle.SWAPPED):
            return SWAPPED  # it has its call already, and is not free to read anything first
        self._tell("local_queue", TendWorker(worker.topic, "page_in"))
        return _KIND_OF[how]

    def call_ended(self, worker: Worker) -> None:
        """See Pager."""
        if worker.topic in self._open:
            self._open.remove(worker.topic)
            self._tell("swapper", CallEnded(worker.topic))

    def not_needed(self, worker: Worker) -> None:
        """See Pager."""
        self._times.forget(worker.topic)

    def way_in(self, topic: str, *, can_start: bool) -> str:
        """See Pager. A template that is out would have to come in first. A worker that pages itself needs no record,
        and cannot be called meanwhile."""
        outside = self.mode.mode == "outside"
        offered = [Way.FORK] if can_start and not (outside and self._policy.is_template_out(topic)) else []
        if not outside:
            offered += [Way.SWAP_IN]
        elif self._learning.is_recorded(topic):
            offered += [Way.SWAP_IN, Way.CONCURRENT]
        else:
            offered += [Way.DEMAND]
        return _HOW_OF_WAY[self._learning.cheapest(topic, offered)]

    def gains(self, topic: str, share: float, *, can_start: bool) -> bool:
        """See Pager."""
        return self._learning.guess_gains(topic, share, can_fork=can_start and not self._policy.is_template_out(topic))

    def template_changed(self, topic: str) -> None:
        """See Pager."""
        self._count_coming(topic)
        if self.is_active:
            self._templates[topic] = None

    def _count_coming(self, topic: str) -> None:
        pool = self._dispatch.pools.get(topic)
        self._admission.coming(topic, pool.arriving() if pool is not None else 0)

    def room(self, topic: str) -> int:
        """See Pager."""
        budget = self._policy.budget
        return self._admission.room(topic, budget) if self.is_active and budget.is_limited else UNLIMITED

    def make_room(self, topic: str) -> None:
        """See Pager. Until the next measurement, when whoever still waits asks again."""
        self._wanted_bytes = max(self._wanted_bytes, self._learning.worker_bytes(topic))
        self._untold.append(policy_events.Tick())

    def born(self, topic: str, took_ns: int) -> None:
        """See Pager."""
        self._learning.observe(topic, Way.FORK, took_ns)

    def served(self, topic: str, now_ns: int) -> None:
        """See Pager."""
        window = self._learning.arrived(topic, now_ns)
        if self.is_active and window is not None and self._rules.mode == "predictive":
            self._untold.append(policy_events.WindowPredicted(topic, window.start_ns, window.end_ns))

    def ran(self, topic: str, run_ns: int) -> None:
        """See Pager."""
        self._learning.ran(topic, run_ns)

    def returned(self, topic: str, start_kind: str, took_ns: int) -> None:
        """See Pager."""
        self._learning.returned(topic, start_kind, took_ns)

    def expect(self, worker: Worker, before: Sequence[str], began_ns: int, now_ns: int) -> None:
        """See Pager. Just in time: what runs before should end when the worker is in."""
        self._times.set(worker.topic, self._learning.page_in_at_ns(worker.function_topic, before, began_ns, now_ns))

    def function_gone(self, topic: str) -> None:
        """See Pager."""
        self._untold.append(policy_events.FunctionGone(topic))
        self._templates.pop(topic, None)
        self._learning.forget(topic)

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
        known = self._learning.of(topic)
        uses, worker.uses = worker.uses, 0
        event = policy_events.WorkerIdle(
            worker.topic,
            topic,
            size_bytes=self._learning.worker_bytes(topic),
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
            size_bytes = int(self._learning.of(topic).template_bytes.value)
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

    def _tell_policy(self, event: policy_events.Event, now_ns: int) -> None:
        self._todo += self._policy.handle(event, now_ns)

    def _tell(self, peer: str, message: Message) -> None:
        self._dispatch.effects.append(Tell(peer, message))

    # --- what the Swapper and workers say ----------------------------------------------------------------------------

    def take_in(self, fact: PagingFact, now_ns: int) -> None:
        """One fact; what follows is decided by the next `run`."""
        match fact:
            case WorkerTended():
                self._tended(fact, now_ns)
            case WorkerPagedOut(error=error):
                self._paged_out(fact.worker_topic, fact.freed_bytes, now_ns, is_out=not error, shared=fact.shared_bytes)
            case WorkerPagedIn():
                kind = SWAPPED if fact.error else _KIND_OF[fact.did]
                self._paged_in(fact.worker_topic, kind, fact.read_bytes, fact.took_ns, now_ns)
            case CallMeasured(function_topic=topic, working_set_bytes=size_bytes):
                if topic:
                    self._learning.recorded(topic, size_bytes)
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
            self._learning.of(topic).template_bytes.observe(done.freed_bytes)
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
            self._learning.paged_out(worker.function_topic, freed_bytes)
        if shared > 0:
            self._learning.of(worker.function_topic).template_bytes.observe(shared)
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
            self._learning.observe(worker.function_topic, Way.SWAP_IN, took_ns)
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
