"""Spans of executions: where tasks are in time, and below what."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from actorfaas.core.spans import span_of
from actorfaas.flow.executions import of_execution
from actorfaas.flow.spans import EXECUTION, HAND_OFF, PAGE_IN, PREFETCH, QUEUE, RUN, START, STATE
from tests.flow.kit import History, ms, one


def test_tasks_follow_each_other_by_their_own_times() -> None:
    history = History(parent="e" * 16)
    history.task(10, "a", queue=1, start=0.5, run=8.25)
    history.task(14, "b", gap=0.75, queue=0.25, start=0.25, run=4)
    history.add(14, "ExecutionSucceeded", "")
    spans = of_execution(history.ended())
    root = one(spans, EXECUTION)
    assert (root.span_id, root.parent_id, root.error) == (span_of("exe_1"), "e" * 16, "")
    assert (ms(one(spans, STATE, "a")), ms(one(spans, STATE, "b"))) == ((0, 9.75), (9.75, 14.5))
    parts = [(span.kind, ms(span)) for span in spans if span.parent_id == one(spans, STATE, "b").span_id]
    assert parts == [(HAND_OFF, (9.75, 10)), (QUEUE, (10, 10.25)), (START, (10.25, 10.5)), (RUN, (10.5, 14.5))]
    assert one(spans, RUN, "b").span_id == f"{6:016x}", "as the handler was told"
    assert ms(root) == (0, 14.5)


def test_an_instant_that_a_clock_contradicts_is_not_believed() -> None:
    history = History()
    history.task(5, "a", run=5)
    history.task(2000, "b", gap=3, run=2)  # the journal lost an event, or the node stood still
    assert ms(one(of_execution(history.ended()), STATE, "b"))[1] == 2000


def test_waiting_for_memory_is_a_part_of_its_own() -> None:
    history = History()
    history.task(20, "a", queue=12, start=1, run=5, page_in=10, lead=1.5)
    spans = of_execution(history.ended())
    parts = [(span.kind, ms(span)) for span in spans if span.parent_id == one(spans, STATE, "a").span_id]
    assert parts == [(QUEUE, (0, 2)), (PAGE_IN, (2, 12)), (START, (12, 13)), (RUN, (13, 18))]
    assert one(spans, PAGE_IN).told == {"read_bytes": str(3 << 20)}
    assert PREFETCH not in {span.kind for span in spans}


def test_memory_that_was_read_ahead_is_shown_when_that_was_and_is_no_part_of_the_state() -> None:
    history = History()
    history.task(50, "a", run=50)
    history.task(56, "b", gap=1, queue=0.5, run=5, page_in=10, lead=6)
    spans = of_execution(history.ended())
    ahead = one(spans, PREFETCH, "b")
    assert (ms(ahead), ahead.parent_id, ahead.told) == (
        (35, 45),
        one(spans, EXECUTION).span_id,
        {"read_bytes": str(3 << 20)},
    )
    assert [span.kind for span in spans if span.parent_id == one(spans, STATE, "b").span_id] == [HAND_OFF, QUEUE, RUN]


def test_memory_that_was_read_before_the_execution_is_not_of_it() -> None:
    history = History()
    history.task(5, "a", run=5, page_in=10, lead=1000)
    assert [span.kind for span in of_execution(history.ended())] == [EXECUTION, STATE, RUN]


def test_what_a_wait_took_is_not_taken_for_a_hand_off() -> None:
    history = History()
    history.task(5, "a", run=5)
    history.add(5, "WaitStateEntered", "w")
    history.add(1005, "WaitStateExited", "w")
    history.task(1010, "b", gap=1002, queue=1, run=4)
    spans = of_execution(history.ended())
    assert ms(one(spans, STATE, "w")) == (5, 1005)
    assert ms(one(spans, HAND_OFF, "b")) == (1005, 1006)
    assert ms(one(spans, STATE, "b")) == (1005, 1011)


def test_states_that_take_no_time_are_left_out() -> None:
    history = History()
    for kind in ("Choice", "Pass", "Succeed"):
        history.add(1, f"{kind}StateEntered", kind)
        history.add(1, f"{kind}StateExited", kind)
    assert [span.kind for span in of_execution(history.ended())] == [EXECUTION]


def test_every_attempt_is_below_its_state() -> None:
    history = History()
    history.add(0, "TaskStateEntered", "a")
    history.add(5, "TaskFailed", "a", function="f", run=5, error="KeyError")
    history.add(1005, "TaskStateRetried", "a")
    history.add(1010, "TaskSucceeded", "a", function="f", run=4, attempt=2)
    history.add(1010, "TaskStateExited", "a")
    spans = of_execution(history.ended())
    state = one(spans, STATE, "a")
    runs = [span for span in spans if span.kind == RUN]
    assert [(span.parent_id, span.error) for span in runs] == [(state.span_id, "KeyError"), (state.span_id, "")]
    assert (state.error, state.told["attempt"], state.told["function"]) == ("", "2", "f")
    assert state.ended_ns == runs[1].ended_ns


def test_branches_are_below_their_parallel_state() -> None:
    history = History()
    history.task(4, "a", run=4)
    history.add(4, "ParallelStateEntered", "both")
    history.add(4, "ParallelStateStarted", "both")
    history.add(4, "TaskStateEntered", "x", branch=1, index=0)
    history.add(4, "TaskStateEntered", "y", branch=2, index=1)
    history.add(6, "TaskSucceeded", "y", branch=2, index=1, function="y", gap=1, run=1.5)
    history.add(9, "TaskSucceeded", "x", branch=1, index=0, function="x", gap=1, run=4.5)
    history.add(9, "ParallelStateSucceeded", "both")
    history.add(9, "ParallelStateExited", "both")
    history.task(12, "z", gap=0.5, run=2)
    spans = of_execution(history.ended())
    both = one(spans, STATE, "both")
    assert {one(spans, STATE, name).parent_id for name in "xy"} == {both.span_id}
    assert (ms(one(spans, RUN, "x")), ms(one(spans, RUN, "y"))) == ((5, 9.5), (5, 6.5))
    assert ms(both) == (4, 9.5)
    assert ms(one(spans, RUN, "z")) == (10, 12), "after the later one of both"


def test_iterations_are_below_their_map_state_also_when_there_are_two() -> None:
    history = History()
    history.add(0, "ParallelStateEntered", "p")
    history.add(0, "ParallelStateStarted", "p")
    for branch, name in ((1, "left"), (2, "right")):
        history.add(0, "MapStateEntered", name, branch=branch, index=branch - 1)
        history.add(0, "MapStateStarted", name, branch=branch, index=2)
        history.add(0, "MapIterationStarted", name, branch=branch, index=0)
        history.task(1, f"in_{name}", branch=branch + 2, index=0, run=1)
        history.add(1, "MapIterationSucceeded", name, branch=branch, index=0)
        history.add(1, "MapIterationStarted", name, branch=branch, index=1)
    for branch, name in ((1, "left"), (2, "right")):
        history.task(3, f"in_{name}", branch=branch + 4, index=1, gap=1, run=1)
        history.add(3, "MapIterationSucceeded", name, branch=branch, index=1)
        history.add(3, "MapStateSucceeded", name, branch=branch)
        history.add(3, "MapStateExited", name, branch=branch)
    spans = of_execution(history.ended())
    for name in ("left", "right"):
        for index in "01":
            assert one(spans, STATE, f"in_{name}", index).parent_id == one(spans, STATE, name).span_id
    assert one(spans, STATE, "left").parent_id == one(spans, STATE, "p").span_id


def test_one_that_failed_says_why() -> None:
    history = History()
    history.add(0, "TaskStateEntered", "a")
    history.add(5, "TaskFailed", "a", function="a", run=5, error="KeyError")
    history.add(5, "ExecutionFailed", "")
    spans = of_execution(history.ended("failed", "KeyError"))
    assert (one(spans, EXECUTION).error, one(spans, STATE).error, one(spans, RUN).error) == ("KeyError",) * 3


def test_one_that_runs_is_shown_up_to_its_last_event() -> None:
    history = History()
    history.task(5, "a", run=5)
    history.add(5, "TaskStateEntered", "b")
    spans = of_execution(history.ended("running"))
    assert one(spans, EXECUTION).told["status"] == "running"
    assert one(spans, STATE, "b").error == "not ended"


def test_what_is_answered_apart_runs_until_the_answer() -> None:
    history = History()
    history.add(0, "TaskStateEntered", "ask")
    history.add(4, "TaskSubmitted", "ask", function="asks", run=4)
    history.add(90, "TaskSucceeded", "ask")
    history.add(90, "TaskStateExited", "ask")
    history.add(90, "TaskStateEntered", "work")
    history.add(95, "ActivityScheduled", "work")
    history.add(99, "ActivityFailed", "work", error="Broken")
    spans = of_execution(history.ended("failed", "Broken"))
    assert [(span.name, ms(span)) for span in spans if span.kind == RUN] == [
        *(("asks", (0, 4)), ("ask", (4, 90)), ("work", (90, 99))),
    ]
    assert one(spans, STATE, "ask").told["function"] == "asks"
    assert one(spans, STATE, "work").error == "Broken"
    assert "function" not in one(spans, STATE, "work").told


def test_an_iteration_that_is_given_up_is_not_the_end_of_its_map_state() -> None:
    history = History()
    history.add(0, "MapStateEntered", "each")
    history.add(0, "MapStateStarted", "each", index=2)
    for index in range(2):
        history.add(0, "MapIterationStarted", "each", index=index)
        history.add(0, "TaskStateEntered", "work", branch=index + 1, index=index)
    history.add(5, "TaskFailed", "work", branch=1, index=0, function="work", run=5, error="KeyError")
    history.add(5, "MapIterationFailed", "each", index=0)
    history.add(5, "MapIterationAborted", "each", index=1)
    history.add(8, "MapStateFailed", "each", error="KeyError")
    each = one(of_execution(history.ended("failed", "KeyError")), STATE, "each")
    assert (ms(each), each.error) == ((0, 8), "KeyError")


def mapping(items: int) -> History:
    """A Map state whose iterations come one after the other, two at once."""
    history = History()
    history.add(0, "MapStateEntered", "each")
    history.add(0, "MapStateStarted", "each", index=items)
    for index in range(items):
        history.add(index, "MapIterationStarted", "each", index=index)
        history.task(index + 2, "work", branch=index + 1, index=index, run=2)
        history.add(index + 2, "MapIterationSucceeded", "each", index=index)
    return history


def steps(items: int) -> int:
    """How many instructions reading such a history takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:  # itself: its type has no end
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    traced = mapping(items).ended()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        of_execution(traced)
    finally:
        sys.settrace(before)
    return count


def test_a_map_of_twice_as_many_items_takes_twice_as_much() -> None:
    assert steps(200) < 2.2 * steps(100)
