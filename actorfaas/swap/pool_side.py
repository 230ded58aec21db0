"""Paging as the pools see it (`core.paging.Pager`): what they tell is noted, what they ask is answered at once.

Base of `swap.steering`, which lets the policy act on what was noted.
"""

from __future__ import annotations

from collections.abc import Sequence

from actorfaas.core import lifecycle
from actorfaas.core.dispatch import Dispatch
from actorfaas.core.effects import Tell
from actorfaas.core.paging import CONCURRENT, DEMAND, FAASNAP, PREFETCHED, REAP, SWAPPED, UNLIMITED
from actorfaas.core.worker import Worker
from actorfaas.messages import CallEnded, ForgetWorker, Message, PageInWorker, PagingMode, TendWorker
from actorfaas.swap import paging_events as policy_events
from actorfaas.swap.admission import Admission
from actorfaas.swap.budget import BudgetRules
from actorfaas.swap.costs import Way
from actorfaas.swap.learning import Learning
from actorfaas.swap.paging_state import Place
from actorfaas.swap.policy import Mode, Policy, PolicyRules
from actorfaas.swap.prefetch_times import PrefetchTimes

RECORDED = "recorded"
KIND_OF = {REAP: PREFETCHED, FAASNAP: CONCURRENT, DEMAND: SWAPPED, "record": RECORDED}
"""The start kind of a call, by what was done to bring its worker in."""

_HOW_OF_WAY = {Way.FORK: "", Way.SWAP_IN: REAP, Way.CONCURRENT: FAASNAP, Way.DEMAND: REAP}


class PoolSide:
    """One node's paging, up to where the policy decides. Implements `core.paging.Pager`."""

    def __init__(self, dispatch: Dispatch, policy: Mode) -> None:
        self._dispatch = dispatch
        self._rules = PolicyRules(mode=policy)
        self._policy = Policy(BudgetRules(0), self._rules)
        self.learning = Learning()
        self._admission = Admission(self.learning)
        self._wanted_bytes = 0  # of the largest instance that waits for room
        self._times = PrefetchTimes()
        self._todo: list[policy_events.Instruction] = []
        self._changed: dict[str, Worker] = {}  # of these the policy is to be told, of templates, and other events
        self._templates: dict[str, None] = {}
        self._untold: list[policy_events.Event] = []
        self._leaving: dict[str, bool] = {}  # page-outs under way or asked for: whether the policy wanted it
        self._ordered: set[str] = set()  # those of which the Swapper has been told
        self._open: set[str] = set()  # workers whose first call since their page-in has not ended
        self._measuring: dict[str, bool] = {}  # workers whose call is being measured: whether they go out after it
        self._most_bytes: dict[str, int] = {}  # that a page-out of a worker freed
        self.mode = PagingMode("none", "the Swapper is not connected", 0)
        self.is_active = False
        dispatch.pager = self

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
        self._measuring.pop(topic, None)
        self._most_bytes.pop(topic, None)
        self._count_coming(worker.function_topic)
        if self.is_active:
            self._untold.append(policy_events.WorkerGone(topic))
            self._tell("swapper", ForgetWorker(topic))

    def page_out(self, worker: Worker, now_ns: int) -> None:
        """See Pager. The worker gives back what it can first; without privileges it brings itself out.

        To do so it touches memory, which must not be taken for what its call touched.
        """
        self._open.discard(worker.topic)
        self._leaving.setdefault(worker.topic, False)
        self.changed(worker)
        if worker.topic in self._measuring:
            self._measuring[worker.topic] = True
        else:
            self._send_out(worker.topic)

    def page_in(self, worker: Worker, how: str, now_ns: int) -> str:
        """See Pager."""
        self._times.forget(worker.topic)
        topic = worker.function_topic
        if self._policy.place_of(worker.topic) is not Place.PAGING_IN:  # the policy counts those that it wants itself
            self._admission.waking(topic, now_ns)
        self.changed(worker)
        if self.mode.mode == "outside":
            self._open.add(worker.topic)
            self._tell("swapper", PageInWorker(worker.topic, topic, worker.pid, how))
            return KIND_OF[how] if self.learning.is_recorded(topic) else RECORDED
        if how == DEMAND or (worker.claim is not None and worker.phase == lifecycle.SWAPPED):
            return SWAPPED  # it has its call already, and is not free to read anything first
        self._tell("local_queue", TendWorker(worker.topic, "page_in"))
        return KIND_OF[how]

    def call_ended(self, worker: Worker) -> None:
        """See Pager."""
        if worker.topic in self._open:
            self._open.remove(worker.topic)
            self._measuring[worker.topic] = False
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
        elif self.learning.is_recorded(topic):
            offered += [Way.SWAP_IN, Way.CONCURRENT]
        else:
            offered += [Way.DEMAND]
        return _HOW_OF_WAY[self.learning.cheapest(topic, offered)]

    def gains(self, topic: str, share: float, *, can_start: bool) -> bool:
        """See Pager."""
        return self.learning.guess_gains(topic, share, can_fork=can_start and not self._policy.is_template_out(topic))

    def template_changed(self, topic: str) -> None:
        """See Pager."""
        self._count_coming(topic)
        if self.is_active:
            self._templates[topic] = None

    def room(self, topic: str) -> int:
        """See Pager."""
        budget = self._policy.budget
        return self._admission.room(topic, budget) if self.is_active and budget.is_limited else UNLIMITED

    def make_room(self, topic: str) -> None:
        """See Pager. Until the next measurement, when whoever still waits asks again."""
        self._wanted_bytes = max(self._wanted_bytes, self.learning.new_bytes(topic))
        self._untold.append(policy_events.Tick())

    def born(self, topic: str, took_ns: int) -> None:
        """See Pager."""
        self.learning.observe(topic, Way.FORK, took_ns)

    def served(self, topic: str, now_ns: int) -> None:
        """See Pager."""
        window = self.learning.arrived(topic, now_ns)
        if self.is_active and window is not None and self._rules.mode == "predictive":
            self._untold.append(policy_events.WindowPredicted(topic, window.start_ns, window.end_ns))

    def ran(self, topic: str, run_ns: int) -> None:
        """See Pager."""
        self.learning.ran(topic, run_ns)

    def returned(self, topic: str, start_kind: str, took_ns: int) -> None:
        """See Pager."""
        self.learning.returned(topic, start_kind, took_ns)

    def expect(self, worker: Worker, before: Sequence[str], began_ns: int, now_ns: int) -> None:
        """See Pager. Just in time: what runs before should end when the worker is in."""
        self._times.forget(worker.topic)
        at_ns = self.learning.page_in_at_ns(worker.function_topic, before, began_ns, now_ns, len(self._times))
        self._times.set(worker.topic, at_ns)

    def function_gone(self, topic: str) -> None:
        """See Pager."""
        self._count_coming(topic)
        self._untold.append(policy_events.FunctionGone(topic))
        self._templates.pop(topic, None)
        self.learning.forget(topic)

    def _send_out(self, worker_topic: str) -> None:
        action = "trim" if self.mode.mode == "outside" else "page_out"
        self._tell("local_queue", TendWorker(worker_topic, action))

    def _count_coming(self, topic: str) -> None:
        pool = self._dispatch.pools.get(topic)
        self._admission.coming(topic, pool.arriving() if pool is not None else 0)

    def _tell_policy(self, event: policy_events.Event, now_ns: int) -> None:
        self._todo += self._policy.handle(event, now_ns)

    def _tell(self, peer: str, message: Message) -> None:
        self._dispatch.effects.append(Tell(peer, message))
