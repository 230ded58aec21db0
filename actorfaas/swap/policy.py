"""Which idle workers leave memory, and which come back before they are called. Pure: events and `now_ns` go in,
instructions come out; the caller carries them out and tells what came of them.

- `immediate`: out as soon as idle. `pressure`: out only when memory is short. `predictive`: a function keeps what its
  window (`arrivals`) expects, the rest goes after `linger_ns`; what is missing is brought in when the window begins;
  a function of which nothing is predicted is left to pressure.
- In every mode: above the budget's high mark the cheapest victims (`greedy_dual`) go until the low mark is reached:
  idle workers, and the templates of functions of which nothing else is in memory.
- Never moved out: what is busy, reserved, being moved, or resting. A worker rests after a page-in until it has served a
  call or `rest_ns` have passed, and after a failed page-out for `retry_ns`. Guesses are brought in only below the low
  mark. So the same memory cannot go out and in without either a call or a rest between.
- Page-outs and guesses share a cap on bytes per second. What a call needs passes it, and so do page-outs while memory
  is above the limit itself. Idle workers that must wait for the cap go in order of their functions' asking.

Every event takes O(log n) for n workers, amortised over the instructions it causes.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Literal

from actorfaas.swap.budget import SECOND_NS, BudgetRules
from actorfaas.swap.paging_events import (
    Cause,
    Event,
    FunctionGone,
    Instruction,
    PagedIn,
    PagedOut,
    PageInFailed,
    PageOutFailed,
    PressureMeasured,
    TemplateBusy,
    TemplateIdle,
    TemplatePagedOut,
    TemplatePageOutFailed,
    Tick,
    UsageMeasured,
    WindowPredicted,
    WorkerBusy,
    WorkerGone,
    WorkerIdle,
)
from actorfaas.swap.paging_ledger import Ledger
from actorfaas.swap.paging_state import Function, Instance, Place, TemplatePlace

Mode = Literal["immediate", "pressure", "predictive"]


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """The numbers of the policy. `traffic_bytes_per_s` 0: no cap."""

    mode: Mode = "predictive"
    linger_ns: int = 2 * SECOND_NS
    rest_ns: int = 2 * SECOND_NS
    retry_ns: int = 5 * SECOND_NS
    half_life_ns: int = 600 * SECOND_NS
    traffic_bytes_per_s: int = 400_000_000
    traffic_burst_bytes: int = 400_000_000


class Policy(Ledger):
    """Every worker of the node that can be paged."""

    def __init__(self, budget: BudgetRules, rules: PolicyRules | None = None) -> None:
        self._rules = rules or PolicyRules()
        super().__init__(budget, self._rules.traffic_bytes_per_s, self._rules.traffic_burst_bytes)
        self._deferred: dict[str, None] = {}
        self._timers: list[tuple[int, int, str, Instance | None]] = []
        self._numbers = count()
        self._is_reclaiming = False

    def handle(self, event: Event, now_ns: int) -> list[Instruction]:
        """What to do after an event. Facts about workers and functions that are not known (any more) are ignored."""
        self._apply(event, now_ns)
        self._run_due(now_ns)
        self._free(now_ns)
        while self._deferred and self.traffic.has_room(now_ns):
            name = next(iter(self._deferred))
            del self._deferred[name]
            self._review(self._functions[name], now_ns)
        instructions, self._instructions = self._instructions, []
        return instructions

    def next_due_ns(self, now_ns: int) -> int | None:
        """When to send a `Tick` at the latest; None when only events matter."""
        due = [self._timers[0][0]] if self._timers else []
        if self._deferred or (self._is_reclaiming and self._victims.first()):
            due.append(self.traffic.room_at_ns(now_ns))
        return min(due, default=None)

    def _apply(self, event: Event, now_ns: int) -> None:
        match event:
            case WorkerIdle() | WorkerBusy() | WorkerGone():
                self._worker_changed(event, now_ns)
            case PagedOut() | PageOutFailed() | PagedIn() | PageInFailed():
                self._moved(event, now_ns)
            case TemplateIdle() | TemplateBusy() | TemplatePagedOut() | TemplatePageOutFailed() | FunctionGone():
                self._template_changed(event, now_ns)
            case WindowPredicted():
                function = self._functions.get(event.function)
                if function is not None:
                    function.has_window, function.is_window_begun = True, False
                    function.window_start_ns, function.window_end_ns = event.start_ns, event.end_ns
                    function.instances = event.instances
                    self._review(function, now_ns)
            case UsageMeasured(usage_bytes):
                self.budget.measured(usage_bytes)
            case PressureMeasured(percent):
                self.budget.pressed(percent)
            case Tick():
                pass

    # --- facts ---------------------------------------------------------------------------------------------------

    def _worker_changed(self, event: WorkerIdle | WorkerBusy | WorkerGone, now_ns: int) -> None:
        worker = self._workers.get(event.worker)
        match event:
            case WorkerGone():
                if worker is not None:
                    self._forget(worker)
                    self._review(worker.function, now_ns)
            case WorkerBusy():
                self._busy(worker or self._add(event.worker, event.function), event.page_in, now_ns)
            case WorkerIdle():
                worker = worker or self._add(event.worker, event.function)
                worker.size_bytes = max(1, event.size_bytes)
                worker.working_set_bytes = max(1, event.working_set_bytes)
                worker.cost_ns = event.cost_ns
                worker.used(event.uses, self._rules.half_life_ns, now_ns)
                worker.wanted = worker.page_in_next = False
                if event.uses:
                    worker.resting_until_ns = 0
                if worker.place in (Place.BUSY, Place.IDLE):
                    self._idle(worker, now_ns, since_ns=now_ns)

    def _busy(self, worker: Instance, page_in: bool, now_ns: int) -> None:
        if worker.place in (Place.PAGING_IN, Place.PAGING_OUT):
            worker.wanted = True
            worker.page_in_next = page_in and worker.place is Place.PAGING_OUT
        elif worker.place is Place.SWAPPED and page_in:
            self._page_in(worker, Cause.WANTED, now_ns)
            worker.wanted = True
        else:
            self._put(worker, Place.BUSY)

    def _moved(self, event: PagedOut | PageOutFailed | PagedIn | PageInFailed, now_ns: int) -> None:
        worker = self._workers.get(event.worker)
        if isinstance(event, PagedOut) and worker is not None:
            self._measured_template(worker.function, event.shared_bytes)
        if isinstance(event, PagedOut) and worker is not None and worker.place in (Place.BUSY, Place.IDLE):
            self.budget.moved(-event.freed_bytes)
            self._put(worker, Place.SWAPPED)  # its strategy wanted it out, or a reservation of it was given up
            self._review(worker.function, now_ns)
            return
        expected = Place.PAGING_OUT if isinstance(event, PagedOut | PageOutFailed) else Place.PAGING_IN
        if worker is None or worker.place is not expected:
            return
        wanted, page_in_next = worker.wanted, worker.page_in_next
        worker.wanted = worker.page_in_next = False
        self._settle_move(worker)
        match event:
            case PagedOut(freed_bytes=freed_bytes):
                self.budget.moved(-freed_bytes)
                self._put(worker, Place.SWAPPED)
                if wanted:
                    self._busy(worker, page_in_next, now_ns)
            case PageInFailed() if not wanted:
                self._put(worker, Place.SWAPPED)
            case _:
                if isinstance(event, PagedIn):
                    self.budget.moved(event.read_bytes)
                if not isinstance(event, PageInFailed):
                    pause_ns = self._rules.rest_ns if isinstance(event, PagedIn) else self._rules.retry_ns
                    worker.resting_until_ns = now_ns + pause_ns
                if wanted:
                    self._put(worker, Place.BUSY)
                else:
                    since_ns = now_ns if isinstance(event, PagedIn) else worker.idle_since_ns
                    self._idle(worker, now_ns, since_ns=since_ns)
        self._review(worker.function, now_ns)

    def _template_changed(
        self,
        event: TemplateIdle | TemplateBusy | TemplatePagedOut | TemplatePageOutFailed | FunctionGone,
        now_ns: int,
    ) -> None:
        function = self._functions.get(event.function)
        if function is None and isinstance(event, TemplateIdle | TemplateBusy):
            function = self._function(event.function)
        if function is None:
            return
        match event:
            case TemplateIdle(size_bytes=size_bytes):
                self._end_template_move(function)
                function.template, function.template_bytes = TemplatePlace.IDLE, max(1, size_bytes)
            case TemplateBusy():
                self._end_template_move(function)
                function.template = TemplatePlace.BUSY
            case FunctionGone():
                self._end_template_move(function)
                function.template, function.gone = TemplatePlace.NONE, True
            case _ if function.template is TemplatePlace.PAGING_OUT:
                self._end_template_move(function)
                function.template = TemplatePlace.SWAPPED
                if function.present_count:
                    function.template = TemplatePlace.IDLE  # a worker woke meanwhile
                if isinstance(event, TemplatePagedOut):
                    self.budget.moved(-event.freed_bytes)
        self._review(function, now_ns)

    def _idle(self, worker: Instance, now_ns: int, since_ns: int) -> None:
        self._put(worker, Place.IDLE)
        worker.idle_since_ns = since_ns
        if worker.resting_until_ns > now_ns:
            worker.function.resting[worker.name] = None
            heappush(self._timers, (worker.resting_until_ns, next(self._numbers), worker.function.name, worker))
        else:
            self._offer(worker)
        self._review(worker.function, now_ns)

    # --- decisions -----------------------------------------------------------------------------------------------

    def _review(self, function: Function, now_ns: int) -> None:
        """Everything that is decided for one function alone, and when to look again."""
        self._note_wholly_idle(function)
        if function.gone and not function.workers:
            self._drop(function)
            return
        mode = self._rules.mode
        if mode == "pressure" or (mode == "predictive" and not function.has_window):
            return
        if mode == "predictive":
            self._begin_window(function, now_ns)
        expected = mode == "predictive" and function.is_expected(now_ns)
        self._let_go(function, function.instances if expected else 0, now_ns)
        if not expected and self._is_wholly_idle(function) and self._may_move(function, now_ns):
            self._page_out_template(function, Cause.IDLE, now_ns)

    def _begin_window(self, function: Function, now_ns: int) -> None:
        if now_ns < function.window_start_ns:
            self._schedule(function, function.window_start_ns)
            return
        if now_ns < function.window_end_ns:
            self._schedule(function, function.window_end_ns)
        if function.is_window_begun:
            return
        function.is_window_begun = True
        missing = function.instances - function.present_count if now_ns < function.window_end_ns else 0
        while missing > 0 and function.swapped:
            worker = self._workers[next(reversed(function.swapped))]
            if not self.budget.has_room_for(worker.working_set_bytes) or not self.traffic.has_room(now_ns):
                return  # a guess is not worth waiting for
            self._page_in(worker, Cause.PREDICTED, now_ns)
            missing -= 1

    def _let_go(self, function: Function, kept: int, now_ns: int) -> None:
        """Idle workers beyond `kept` go, the longest idle first: the last used are reused first."""
        linger_ns = self._rules.linger_ns if self._rules.mode == "predictive" else 0
        while function.evictable and function.idle_count > kept:
            worker = self._workers[next(iter(function.evictable))]
            if worker.idle_since_ns + linger_ns > now_ns:
                self._schedule(function, worker.idle_since_ns + linger_ns)
                return
            if not self._may_move(function, now_ns):
                return
            self._page_out(worker, Cause.IDLE, now_ns)

    def _may_move(self, function: Function, now_ns: int) -> bool:
        if self.traffic.has_room(now_ns):
            return True
        self._deferred[function.name] = None
        return False

    def _free(self, now_ns: int) -> None:
        """Back under the budget: from above the high mark down to the low one."""
        self._is_reclaiming = self.budget.is_above_high or (self._is_reclaiming and self.budget.is_above_low)
        while self._is_reclaiming and (self.budget.is_above_limit or self.traffic.has_room(now_ns)):
            victim = self._victims.first()
            if victim is None:
                return
            self._victims.evict(victim)
            if victim in self._wholly_idle:
                self._page_out_template(self._wholly_idle[victim], Cause.BUDGET, now_ns)
            else:
                self._page_out(self._workers[victim], Cause.BUDGET, now_ns)
            self._is_reclaiming = self.budget.is_above_low

    def _drop(self, function: Function) -> None:
        self._deferred.pop(function.name, None)
        del self._functions[function.name]

    # --- time ----------------------------------------------------------------------------------------------------

    def _schedule(self, function: Function, at_ns: int) -> None:
        if function.review_at_ns is None or at_ns < function.review_at_ns:
            function.review_at_ns = at_ns
            heappush(self._timers, (at_ns, next(self._numbers), function.name, None))

    def _run_due(self, now_ns: int) -> None:
        while self._timers and self._timers[0][0] <= now_ns:
            due_ns, _, name, worker = heappop(self._timers)
            function = self._functions.get(name)
            if function is None:
                continue
            if worker is None:
                if function.review_at_ns != due_ns:
                    continue
                function.review_at_ns = None
            elif worker.name in function.resting and worker.resting_until_ns == due_ns:
                self._offer(worker)
            self._review(function, now_ns)
