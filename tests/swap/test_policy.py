"""The paging policy by scenario; tests/properties/test_swap_policy.py has its random lives."""

from __future__ import annotations

from actorfaas.swap.budget import SECOND_NS as S
from actorfaas.swap.budget import BudgetRules
from actorfaas.swap.paging_events import (
    Cause,
    Event,
    FunctionGone,
    Instruction,
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
    Tick,
    UsageMeasured,
    WindowPredicted,
    WorkerBusy,
    WorkerGone,
    WorkerIdle,
)
from actorfaas.swap.policy import Mode, Policy, PolicyRules

MB = 1_000_000
LIMIT = BudgetRules(100 * MB)


class Rig:
    """A policy whose invariants are checked after every event."""

    def __init__(self, mode: Mode, cap: int = 0, budget: BudgetRules = LIMIT) -> None:
        self.policy = Policy(budget, PolicyRules(mode=mode, traffic_bytes_per_s=cap, traffic_burst_bytes=cap))
        self.now_ns = 0

    def send(self, *events: Event) -> list[Instruction]:
        found: list[Instruction] = []
        for event in events:
            found += self.policy.handle(event, self.now_ns)
            self.policy.check_invariants()
        return found

    def wait(self, seconds: float) -> list[Instruction]:
        self.now_ns += int(seconds * S)
        return self.send(Tick())


def idle(worker: str, cost_ms: float = 10, size: int = 10 * MB, uses: int = 1) -> WorkerIdle:
    return WorkerIdle(worker, worker[0], size, size // 2, cost_ms * 1e6, uses)


def swapped(rig: Rig, *workers: str) -> None:
    for worker in workers:
        rig.send(WorkerBusy(worker, worker[0]), idle(worker), PagedOut(worker, 10 * MB))


def test_immediate_sends_out_what_is_idle_and_its_template_after_it() -> None:
    rig = Rig("immediate")
    assert rig.send(TemplateIdle("f", 50 * MB)) == [PageOutTemplate("f", Cause.IDLE)]
    assert rig.send(TemplateBusy("f"), WorkerBusy("f1", "f"), TemplateIdle("f", 50 * MB)) == []
    assert rig.send(idle("f1")) == [PageOut("f1", Cause.IDLE)]
    assert rig.send(PagedOut("f1", 9 * MB)) == [PageOutTemplate("f", Cause.IDLE)]
    assert rig.send(TemplatePagedOut("f", 50 * MB)) == []
    assert rig.send(WorkerBusy("f1", "f", page_in=True)) == [PageIn("f1", Cause.WANTED)]
    assert rig.send(PagedIn("f1", 5 * MB), idle("f1")) == [PageOut("f1", Cause.IDLE)]
    assert rig.send(PagedOut("f1", 9 * MB)) == [PageOutTemplate("f", Cause.IDLE)]


def test_pressure_frees_from_the_high_mark_to_the_low_one_the_cheapest_first() -> None:
    rig = Rig("pressure")
    assert rig.send(*(idle(f"f{number}", cost_ms=50 - number) for number in range(9))) == []
    assert rig.send(WorkerBusy("f8", "f"), UsageMeasured(89 * MB)) == []
    assert rig.send(UsageMeasured(91 * MB)) == [PageOut("f7", Cause.BUDGET), PageOut("f6", Cause.BUDGET)]
    assert rig.send(UsageMeasured(91 * MB)) == []
    assert rig.send(PagedOut("f7", 10 * MB), PagedOut("f6", 0), UsageMeasured(81 * MB)) == []


def test_templates_of_functions_that_are_out_go_before_workers_that_are_worth_more() -> None:
    rig = Rig("pressure")
    rig.send(TemplateIdle("g", 20 * MB), TemplateIdle("f", 20 * MB), TemplateIdle("h", 20 * MB), idle("h1"))
    out = rig.send(UsageMeasured(131 * MB))
    assert out == [
        PageOutTemplate("g", Cause.BUDGET),
        PageOutTemplate("f", Cause.BUDGET),
        PageOut("h1", Cause.BUDGET),
    ]
    rig.send(TemplatePagedOut("g", 20 * MB), TemplatePagedOut("f", 20 * MB))
    assert rig.send(PagedOut("h1", 0)) == [PageOutTemplate("h", Cause.BUDGET)]


def test_a_template_is_worth_what_its_workers_were() -> None:
    rig = Rig("pressure")
    rig.send(TemplateIdle("f", 10 * MB), TemplateIdle("g", 10 * MB), idle("f1", uses=1), idle("g1", uses=9))
    rig.send(WorkerBusy("f1", "f"), WorkerBusy("g1", "g"), WorkerBusy("h1", "h"))
    rig.send(idle("f1", uses=0), PagedOut("f1", 0), idle("g1", uses=0), PagedOut("g1", 0), idle("h1", uses=4))
    assert rig.send(UsageMeasured(119 * MB)) == [
        PageOutTemplate("f", Cause.BUDGET),
        PageOut("h1", Cause.BUDGET),
        PageOutTemplate("g", Cause.BUDGET),
    ]


def test_what_a_template_has_is_learned_when_a_worker_goes() -> None:
    rig = Rig("pressure")
    rig.send(TemplateIdle("f", 90 * MB), idle("f1"), UsageMeasured(95 * MB))
    rig.send(PagedOut("f1", 10 * MB, shared_bytes=3 * MB), UsageMeasured(95 * MB))
    assert rig.policy.budget.leaving_bytes == 3 * MB


def test_stalls_for_memory_tighten_the_budget() -> None:
    rig = Rig("pressure")
    assert rig.send(idle("f1"), UsageMeasured(80 * MB)) == []
    assert rig.send(*(PressureMeasured(50.0) for _ in range(3))) == [PageOut("f1", Cause.BUDGET)]


def test_a_worker_brought_in_rests_until_it_was_called_or_time_has_passed() -> None:
    rig = Rig("immediate")
    swapped(rig, "f1", "f2")
    rig.send(*(WorkerBusy(worker, "f", page_in=True) for worker in ("f1", "f2")))
    rig.send(PagedIn("f1", MB), PagedIn("f2", MB))
    assert rig.send(idle("f1", uses=0)) == []
    assert rig.send(idle("f2", uses=1)) == [PageOut("f2", Cause.IDLE)]
    assert rig.policy.next_due_ns(rig.now_ns) == 2 * S
    assert rig.wait(1.9) == []
    assert rig.wait(0.1) == [PageOut("f1", Cause.IDLE)]


def test_a_failed_page_out_is_tried_again_later() -> None:
    rig = Rig("immediate")
    rig.send(idle("f1"))
    assert rig.send(PageOutFailed("f1")) == []
    assert rig.wait(4.9) == []
    assert rig.wait(0.2) == [PageOut("f1", Cause.IDLE)]


def test_a_worker_called_while_it_is_paged_out_comes_back_at_once() -> None:
    rig = Rig("immediate")
    rig.send(idle("f1"), WorkerBusy("f1", "f", page_in=True))
    assert rig.send(PagedOut("f1", MB)) == [PageIn("f1", Cause.WANTED)]
    assert rig.send(PageInFailed("f1")) == []
    assert rig.send(idle("f1")) == [PageOut("f1", Cause.IDLE)]


def test_the_window_of_a_function_keeps_what_it_needs_and_brings_in_what_is_missing() -> None:
    rig = Rig("predictive")
    rig.send(idle("f1"), idle("f2"), idle("f3"), UsageMeasured(20 * MB))
    rig.send(WindowPredicted("f", 10 * S, 20 * S, instances=2))
    assert rig.policy.next_due_ns(0) == 2 * S
    assert rig.wait(2) == [PageOut(f"f{number}", Cause.IDLE) for number in (1, 2, 3)]
    rig.send(*(PagedOut(f"f{number}", 10 * MB) for number in (1, 2, 3)))
    assert rig.policy.next_due_ns(rig.now_ns) == 10 * S
    assert rig.wait(8) == [PageIn("f3", Cause.PREDICTED), PageIn("f2", Cause.PREDICTED)]
    assert rig.send(PagedIn("f3", MB), PageInFailed("f2")) == []
    assert rig.wait(9.9) == []
    assert rig.wait(0.2) == [PageOut("f3", Cause.IDLE)]


def test_guesses_are_not_brought_in_when_memory_is_short() -> None:
    rig = Rig("predictive")
    rig.send(idle("f1"), WindowPredicted("f", 10 * S, 20 * S))
    rig.wait(2)
    rig.send(PagedOut("f1", 10 * MB), UsageMeasured(79 * MB))
    assert rig.wait(8) == []
    assert rig.send(WorkerBusy("f1", "f", page_in=True)) == [PageIn("f1", Cause.WANTED)]


def test_what_nothing_is_predicted_of_is_left_to_pressure() -> None:
    rig = Rig("predictive")
    rig.send(idle("f1"))
    assert rig.wait(1000) == []
    assert rig.send(UsageMeasured(95 * MB)) == [PageOut("f1", Cause.BUDGET)]


def test_the_cap_delays_page_outs_but_neither_calls_nor_the_limit() -> None:
    rig = Rig("immediate", cap=10 * MB)
    assert rig.send(idle("f1", size=15 * MB), idle("g1"), idle("h1")) == [PageOut("f1", Cause.IDLE)]
    due_ns = rig.policy.next_due_ns(0)
    assert due_ns is not None
    assert 0.5 * S <= due_ns <= 0.51 * S
    assert rig.wait(0.51) == [PageOut("g1", Cause.IDLE)]
    rig.send(PagedOut("f1", MB))
    assert rig.send(WorkerBusy("f1", "f", page_in=True)) == [PageIn("f1", Cause.WANTED)]
    assert rig.send(UsageMeasured(200 * MB)) == [PageOut("h1", Cause.BUDGET)]


def test_what_is_gone_leaves_nothing_behind() -> None:
    rig = Rig("predictive")
    rig.send(TemplateIdle("f", MB), idle("f1"), WindowPredicted("f", 5 * S, 9 * S), idle("f2"))
    rig.send(UsageMeasured(95 * MB), WorkerGone("f1"), FunctionGone("f"), WorkerGone("f2"), PagedOut("f2", MB))
    assert rig.policy.budget.leaving_bytes == 0
    assert rig.wait(100) == []
    assert not rig.policy._functions
    assert not rig.policy._workers
    assert rig.policy.next_due_ns(rig.now_ns) is None


def test_thousands_of_workers_do_not_make_an_event_slow() -> None:
    rig = Rig("pressure")
    for number in range(3000):
        rig.policy.handle(idle(f"f{number}", cost_ms=number % 97), number)
    for number in range(3000):
        rig.policy.handle(WorkerBusy(f"f{number}", "f"), 3000)
        rig.policy.handle(idle(f"f{number}"), 3000)
    assert len(rig.policy._victims._heap) < 3 * 3000
    rig.policy.check_invariants()
    assert len(rig.policy.handle(UsageMeasured(10**12), 3000)) == 3000
    assert rig.policy.counts["PageOut", Cause.BUDGET] == 3000
