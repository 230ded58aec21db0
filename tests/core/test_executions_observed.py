"""What executions leave for those who watch: figures, and tasks that can be found in a trace."""

from __future__ import annotations

from actorfaas import trace_context
from actorfaas.core.spans import span_of
from actorfaas.core.tally import billed_ms
from tests.core.executions_rig import make, the_busy
from tests.core.world import World

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CONTEXT = f"00-{TRACE}-00f067aa0ba902b7-01 vendor=value"


def spans(world: World, execution_id: str) -> list[str]:
    """Those of the tasks in a history."""
    events = world.store[execution_id].events.values()
    return [event.span_id for event in events if event.type in ("TaskSucceeded", "TaskFailed")]


def test_every_task_is_a_span_of_its_own_in_the_trace_of_its_execution() -> None:
    world = make()
    world.start("abc", "e1", traceparent=CONTEXT)
    world.run()
    given = {task.task_id: task.traceparent for task in world.assigned}
    assert len(given) == 3
    for task_id, context in given.items():
        assert context == trace_context.child(CONTEXT, span_of(task_id))
    assert sorted(spans(world, "e1")) == sorted(trace_context.span_id(context) for context in given.values())


def test_an_attempt_that_failed_is_a_span_too() -> None:
    world = make()
    world.start("retry", "e1", traceparent=CONTEXT)
    world.settle()
    world.finish(the_busy(world))
    world.settle()
    world.fail(the_busy(world))
    world.run()
    world.advance(2.1)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"2")
    assert len(set(spans(world, "e1"))) == 3
    figures = [one for one in world.executions.tally.figures() if one.function == "b"]
    assert (sum(one.calls for one in figures), sum(one.failed for one in figures)) == (2, 1)


def test_an_execution_outside_of_a_trace_has_no_spans() -> None:
    world = make()
    world.start("abc", "e1")
    world.run()
    assert {task.traceparent for task in world.assigned} == {""}
    assert spans(world, "e1") == [""] * 3


def test_tasks_are_counted_with_what_they_are_billed() -> None:
    world = make(memory_mb=256)
    world.start("abc", "e1")
    world.run()
    results = [event for event in world.store["e1"].events.values() if event.type == "TaskSucceeded"]
    assert [event.memory_mb for event in results] == [256] * 3
    figures = {one.function: one for one in world.executions.tally.figures()}
    assert sorted(figures) == ["a", "b", "c"]
    for event in results:
        assert figures[event.state].calls == 1
        assert figures[event.state].billed_mb_ms == billed_ms(event.run_ns) * 256


def test_reservations_that_were_used_are_counted() -> None:
    world = make()
    world.start("abc", "e1")
    world.run()
    guesses = world.executions.guesses
    assert (guesses.reservations, guesses.used, guesses.wrong) == (2, 2, 0)
