"""Random lives of workers that can be paged: the policy never moves what it must not, and always moves what it can.

The model knows what an outsider knows: who is busy or reserved, whose memory is where, and what is under way.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actorfaas.swap.budget import SECOND_NS, BudgetRules
from actorfaas.swap.paging_events import (
    Cause,
    Event,
    FunctionGone,
    PagedIn,
    PagedOut,
    PageIn,
    PageInFailed,
    PageOut,
    PageOutFailed,
    PageOutTemplate,
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
from actorfaas.swap.policy import Mode, Policy, PolicyRules

FUNCTIONS = ("f@1", "g@1", "h@2")
MB = 1_000_000
LIMIT_BYTES = 100 * MB
RULES = {"linger_ns": SECOND_NS, "rest_ns": 2 * SECOND_NS, "retry_ns": 3 * SECOND_NS}

sizes = st.integers(1, 20).map(lambda size: size * MB)
modes: st.SearchStrategy[Mode] = st.sampled_from(["immediate", "pressure", "predictive"])


class Outside:
    """One worker as the outside sees it. `rests_until_ns`: no victim before, unless it serves a call."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.place = "busy"
        self.called = False
        self.rests_until_ns = 0


class PagingMachine(RuleBasedStateMachine):
    @initialize(mode=modes, cap=st.sampled_from([0, MB, 500 * MB]))
    def begin(self, mode: Mode, cap: int) -> None:
        rules = PolicyRules(mode=mode, traffic_bytes_per_s=cap, traffic_burst_bytes=cap, **RULES)
        self.mode = mode
        self.cap = cap
        self.policy = Policy(BudgetRules(LIMIT_BYTES), rules)
        self.twin = Policy(BudgetRules(LIMIT_BYTES), rules)
        self.now_ns = 0
        self.workers: dict[str, Outside] = {}
        self.templates_out: set[str] = set()
        self.number = 0

    def send(self, event: Event) -> None:
        instructions = self.policy.handle(event, self.now_ns)
        assert self.twin.handle(event, self.now_ns) == instructions, "the same events, other instructions"
        for instruction in instructions:
            match instruction:
                case PageOut(worker=name):
                    worker = self.workers[name]
                    assert worker.place == "idle", f"{name} is {worker.place} and was sent out"
                    assert worker.rests_until_ns <= self.now_ns, f"{name} was to rest"
                    worker.place = "paging_out"
                case PageIn(worker=name, cause=cause):
                    worker = self.workers[name]
                    assert worker.place == "swapped"
                    assert not worker.called or cause is Cause.WANTED
                    worker.place = "paging_in"
                case PageOutTemplate(function=function):
                    theirs = [worker.place for worker in self.workers.values() if worker.function == function]
                    assert set(theirs) <= {"swapped"}, "shared pages left a function that is not wholly idle"
                    assert function not in self.templates_out
                    self.templates_out.add(function)

    def some(self, data: st.DataObject, *places: str) -> str | None:
        names = sorted(name for name, worker in self.workers.items() if worker.place in places)
        return data.draw(st.sampled_from(names)) if names else None

    def idle_event(self, name: str, size_bytes: int, cost_ns: int, uses: int) -> WorkerIdle:
        return WorkerIdle(name, self.workers[name].function, size_bytes, size_bytes // 2, float(cost_ns), uses)

    @rule(function=st.sampled_from(FUNCTIONS), size=sizes, cost=st.integers(0, 10**8))
    def start(self, function: str, size: int, cost: int) -> None:
        self.number += 1
        name = f"{function}_{self.number}"
        self.workers[name] = Outside(function)
        self.workers[name].place = "idle"
        self.send(self.idle_event(name, size, cost, 0))

    @rule(data=st.data(), page_in=st.booleans())
    def take(self, data: st.DataObject, page_in: bool) -> None:
        name = self.some(data, "idle", "swapped", "paging_in", "paging_out")
        if name is None:
            return
        worker = self.workers[name]
        worker.called = True
        if worker.place == "idle" or (worker.place == "swapped" and not page_in):
            worker.place = "busy"
        self.send(WorkerBusy(name, worker.function, page_in))

    @rule(data=st.data(), size=sizes, uses=st.integers(0, 3))
    def finish(self, data: st.DataObject, size: int, uses: int) -> None:
        name = self.some(data, "busy")
        if name is None:
            return
        worker = self.workers[name]
        worker.place, worker.called = "idle", False
        if uses:
            worker.rests_until_ns = 0
        self.send(self.idle_event(name, size, 10**7, uses))

    @rule(data=st.data(), succeeded=st.booleans(), share=st.floats(0.0, 1.5))
    def move_ends(self, data: st.DataObject, succeeded: bool, share: float) -> None:
        name = self.some(data, "paging_in", "paging_out")
        if name is None:
            return
        worker = self.workers[name]
        moved = int(share * 10 * MB)
        if worker.place == "paging_out":
            if succeeded:
                worker.place = "swapped"
                self.send(PagedOut(name, moved))
                if worker.called and worker.place == "swapped":  # not asked to come in first: it faults its pages in
                    worker.place = "busy"
                return
            worker.place = "busy" if worker.called else "idle"
            worker.rests_until_ns = self.now_ns + RULES["retry_ns"]
            self.send(PageOutFailed(name))
        elif succeeded:
            worker.place = "busy" if worker.called else "idle"
            worker.rests_until_ns = self.now_ns + RULES["rest_ns"]
            self.send(PagedIn(name, moved))
        else:
            worker.place = "busy" if worker.called else "swapped"
            self.send(PageInFailed(name))

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.workers:
            name = data.draw(st.sampled_from(sorted(self.workers)))
            del self.workers[name]
            self.send(WorkerGone(name))

    @rule(function=st.sampled_from(FUNCTIONS), size=sizes, busy=st.booleans())
    def template(self, function: str, size: int, busy: bool) -> None:
        self.templates_out.discard(function)
        self.send(TemplateBusy(function) if busy else TemplateIdle(function, size))

    @rule(function=st.sampled_from(FUNCTIONS), failed=st.booleans())
    def template_out(self, function: str, failed: bool) -> None:
        if function in self.templates_out:
            self.send(TemplatePageOutFailed(function) if failed else TemplatePagedOut(function, MB))
            self.templates_out.discard(function)

    @rule(function=st.sampled_from(FUNCTIONS))
    def remove(self, function: str) -> None:
        for name in [name for name, worker in self.workers.items() if worker.function == function]:
            del self.workers[name]
            self.send(WorkerGone(name))
        self.templates_out.discard(function)
        self.send(FunctionGone(function))

    @rule(
        function=st.sampled_from(FUNCTIONS), ahead=st.integers(0, 5), length=st.integers(0, 5), many=st.integers(1, 3)
    )
    def predict(self, function: str, ahead: int, length: int, many: int) -> None:
        start_ns = self.now_ns + ahead * SECOND_NS
        self.send(WindowPredicted(function, start_ns, start_ns + length * SECOND_NS, many))

    @rule(usage=st.integers(0, 150).map(lambda usage: usage * MB))
    def measure(self, usage: int) -> None:
        self.send(UsageMeasured(usage))

    @rule(percent=st.sampled_from([0.0, 50.0]))
    def press(self, percent: float) -> None:
        self.send(PressureMeasured(percent))

    @rule(elapsed_ms=st.integers(0, 6000))
    def wait(self, elapsed_ms: int) -> None:
        self.now_ns += elapsed_ms * 1_000_000
        self.send(Tick())

    @precondition(lambda self: self.mode == "immediate" and not self.cap)
    @rule()
    def nobody_idles_in_memory_in_immediate_mode(self) -> None:
        for name, worker in self.workers.items():
            assert worker.place != "idle" or worker.rests_until_ns > self.now_ns, f"{name} idles in memory"

    @invariant()
    def consistent(self) -> None:
        if hasattr(self, "policy"):
            self.policy.check_invariants()

    @invariant()
    def within_the_limit_if_anyone_can_go(self) -> None:
        if not hasattr(self, "policy") or not self.policy.budget.is_above_limit:
            return
        for name, worker in self.workers.items():
            if worker.place == "idle" and worker.rests_until_ns < self.now_ns:
                raise AssertionError(f"memory is above the limit and {name} stays")

    def teardown(self) -> None:
        if hasattr(self, "policy"):
            self.come_to_rest()

    def come_to_rest(self) -> None:
        """Left alone, with every move a success, nothing goes out and in for ever."""
        for _ in range(20 * len(self.workers) + 50):
            for name, worker in sorted(self.workers.items()):
                if worker.place == "paging_out":
                    worker.place = "swapped"
                    self.send(PagedOut(name, MB))
                    if worker.called and worker.place == "swapped":
                        worker.place = "busy"
                elif worker.place == "paging_in":
                    worker.place = "busy" if worker.called else "idle"
                    worker.rests_until_ns = self.now_ns + RULES["rest_ns"]
                    self.send(PagedIn(name, MB))
            for function in sorted(self.templates_out):
                self.send(TemplatePagedOut(function, MB))
            self.templates_out.clear()
            due_ns = self.policy.next_due_ns(self.now_ns)
            if due_ns is None and not {"paging_in", "paging_out"} & {worker.place for worker in self.workers.values()}:
                return
            self.now_ns = max(self.now_ns, due_ns or 0)
            self.send(Tick())
        raise AssertionError("the policy never comes to rest")


TestPaging = PagingMachine.TestCase
TestPaging.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
