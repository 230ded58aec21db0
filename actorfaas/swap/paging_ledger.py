"""The books of the paging policy: who is where, what is under way, who is a victim. Pure; `policy` decides.

Every change of place goes through here, together with what it means for the budget and the cap.
"""

from __future__ import annotations

from collections import Counter

from actorfaas.errors import InvariantViolation
from actorfaas.swap.budget import BudgetRules, MemoryBudget, TrafficCap
from actorfaas.swap.greedy_dual import GreedyDual
from actorfaas.swap.paging_events import Cause, Instruction, PageIn, PageOut, PageOutTemplate
from actorfaas.swap.paging_state import Function, Instance, Place, TemplatePlace


class Ledger:
    """Workers, functions and their memory."""

    def __init__(self, budget: BudgetRules, traffic_bytes_per_s: int, traffic_burst_bytes: int) -> None:
        self.budget = MemoryBudget(budget)
        self.traffic = TrafficCap(traffic_bytes_per_s, traffic_burst_bytes)
        self.counts: Counter[tuple[str, Cause]] = Counter()
        """How many instructions of each kind were given, and why."""
        self._functions: dict[str, Function] = {}
        self._workers: dict[str, Instance] = {}
        self._victims = GreedyDual()
        self._wholly_idle: dict[str, Function] = {}  # by the name their templates have among the victims
        self._instructions: list[Instruction] = []

    def _page_out(self, worker: Instance, cause: Cause, now_ns: int) -> None:
        self._put(worker, Place.PAGING_OUT)
        worker.moving_bytes = worker.size_bytes
        self.budget.leaving_bytes += worker.moving_bytes
        self._instruct(PageOut(worker.name, cause), worker.moving_bytes, now_ns)

    def _page_in(self, worker: Instance, cause: Cause, now_ns: int) -> None:
        self._put(worker, Place.PAGING_IN)
        worker.moving_bytes = worker.working_set_bytes
        self.budget.coming_bytes += worker.moving_bytes
        self._instruct(PageIn(worker.name, cause), worker.moving_bytes, now_ns)

    def _page_out_template(self, function: Function, cause: Cause, now_ns: int) -> None:
        function.template = TemplatePlace.PAGING_OUT
        self.budget.leaving_bytes += function.template_bytes
        self._note_wholly_idle(function)
        self._instruct(PageOutTemplate(function.name, cause), function.template_bytes, now_ns)

    def _instruct(self, instruction: Instruction, size_bytes: int, now_ns: int) -> None:
        self.traffic.charge(size_bytes, now_ns)
        self.counts[type(instruction).__name__, instruction.cause] += 1
        self._instructions.append(instruction)

    def _function(self, name: str) -> Function:
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = Function(name)
        return function

    def _add(self, name: str, function_name: str) -> Instance:
        function = self._function(function_name)
        worker = Instance(name, function)
        self._workers[name] = function.workers[name] = worker
        return worker

    def _forget(self, worker: Instance) -> None:
        self._settle_move(worker)
        self._take_out(worker)
        del self._workers[worker.name]
        del worker.function.workers[worker.name]

    def _settle_move(self, worker: Instance) -> None:
        if worker.place is Place.PAGING_IN:
            self.budget.coming_bytes -= worker.moving_bytes
        elif worker.place is Place.PAGING_OUT:
            self.budget.leaving_bytes -= worker.moving_bytes
        worker.moving_bytes = 0

    def _end_template_move(self, function: Function) -> None:
        if function.template is TemplatePlace.PAGING_OUT:
            self.budget.leaving_bytes -= function.template_bytes

    def _put(self, worker: Instance, place: Place) -> None:
        """The one way to another place. An idle worker must then be offered or rest."""
        self._take_out(worker)
        function = worker.function
        worker.place = place
        if place is Place.PAGING_OUT:
            function.paging_out += 1
        elif place is Place.SWAPPED:
            function.swapped[worker.name] = None
        elif function.template is TemplatePlace.SWAPPED:
            function.template = TemplatePlace.IDLE  # a worker that comes back brings some of the shared pages in
        self._note_wholly_idle(function)

    def _take_out(self, worker: Instance) -> None:
        """Out of the sets of the place it has."""
        function = worker.function
        self._victims.withdraw(worker.name)
        function.evictable.pop(worker.name, None)
        function.resting.pop(worker.name, None)
        function.swapped.pop(worker.name, None)
        function.paging_out -= worker.place is Place.PAGING_OUT

    def _offer(self, worker: Instance) -> None:
        worker.resting_until_ns = 0
        worker.function.resting.pop(worker.name, None)
        worker.function.evictable[worker.name] = None
        self._victims.offer(
            worker.name,
            frequency=worker.frequency,
            cost_ns=worker.cost_ns,
            size_bytes=worker.size_bytes,
            idle_since_ns=worker.idle_since_ns,
        )

    def _note_wholly_idle(self, function: Function) -> None:
        """The template of a function that is out is a victim beside other functions' workers, worth what these were."""
        victim = _template_of(function)
        if not function.is_wholly_idle:
            self._wholly_idle.pop(victim, None)
            self._victims.withdraw(victim)
        elif function.name in self._functions and victim not in self._wholly_idle:
            self._wholly_idle[victim] = function
            workers = function.workers.values()
            self._victims.offer(
                victim,
                frequency=sum(worker.frequency for worker in workers),
                cost_ns=max((worker.cost_ns for worker in workers), default=0.0),
                size_bytes=function.template_bytes,
                idle_since_ns=max((worker.idle_since_ns for worker in workers), default=0),
            )

    def _measured_template(self, function: Function, size_bytes: int) -> None:
        """Before it is a victim; while it is on its way out, its size is in the books."""
        if size_bytes and function.template in (TemplatePlace.IDLE, TemplatePlace.BUSY):
            function.template_bytes = size_bytes

    def _is_wholly_idle(self, function: Function) -> bool:
        return _template_of(function) in self._wholly_idle

    def place_of(self, worker: str) -> Place | None:
        """Where a worker is believed to be; None: it is not known."""
        known = self._workers.get(worker)
        return None if known is None else known.place

    def is_template_out(self, function: str) -> bool:
        """Whether a fork of this function would have to read its template back first."""
        known = self._functions.get(function)
        return known is not None and known.template in (TemplatePlace.SWAPPED, TemplatePlace.PAGING_OUT)

    def check_invariants(self) -> None:
        """Sets, sums and victims agree with the workers. Raises InvariantViolation."""
        _check(self._functions, self._workers, self.budget)
        self._victims.check_invariants()
        for name, worker in self._workers.items():
            if (name in self._victims) != (name in worker.function.evictable):
                raise InvariantViolation(f"{name} is {worker.place} and wrongly (not) a victim")
        wholly_idle = {_template_of(one) for one in self._functions.values() if one.is_wholly_idle}
        if wholly_idle != self._wholly_idle.keys() or not all(one in self._victims for one in wholly_idle):
            raise InvariantViolation(f"wholly idle functions: {wholly_idle} and {set(self._wholly_idle)}")


def _template_of(function: Function) -> str:
    """Its name among the victims, which no worker has."""
    return f"{function.name}/template"


def _check(functions: dict[str, Function], workers: dict[str, Instance], budget: MemoryBudget) -> None:
    together: dict[str, Instance] = {}
    leaving_bytes = coming_bytes = 0
    for function in functions.values():
        function.check_invariants()
        together |= function.workers
        leaving_bytes += function.template_bytes * (function.template is TemplatePlace.PAGING_OUT)
    for worker in workers.values():
        leaving_bytes += worker.moving_bytes * (worker.place is Place.PAGING_OUT)
        coming_bytes += worker.moving_bytes * (worker.place is Place.PAGING_IN)
    if together != workers:
        raise InvariantViolation("functions and workers do not agree")
    if (leaving_bytes, coming_bytes) != (budget.leaving_bytes, budget.coming_bytes):
        raise InvariantViolation(f"{leaving_bytes} bytes leave and {coming_bytes} come, but the budget has {budget}")
