"""A trace as text, and back from the API's JSON."""

from __future__ import annotations

from actorfaas.flow.documents import spans_of, waits_of
from actorfaas.flow.executions import of_execution
from actorfaas.flow.spans import of_call
from actorfaas.flow.tree import Forest
from actorfaas.flow.waterfall import waterfall
from actorfaas.http.render import span
from tests.flow.kit import History, traced_call


def test_lines_are_indented_and_bars_are_where_the_time_was() -> None:
    lines = list(waterfall(of_call(traced_call()), width=10))
    assert lines == [
        "request f (resident)      10.000 ms  ██████████",
        "  queue                    1.000 ms   ▒",
        "  start                    2.000 ms    ▒▒",
        "  run                      5.000 ms      ▒▒▒▒▒",
    ]


def test_what_a_handler_calls_is_below_it() -> None:
    history = History(parent="d" * 16)
    history.task(3, "a", run=3)
    spans = [*of_call(traced_call()), *of_execution(history.ended("failed", "KeyError"))]
    lines = [line.split("  █")[0].rstrip() for line in waterfall(spans)]
    assert [line[: len(line) - len(line.lstrip())] + line.split()[0] for line in lines] == [
        *("request", "  queue", "  start", "  run"),
        *("    execution", "      state", "        run"),
    ]
    assert "KeyError" in next(line for line in waterfall(spans) if "execution" in line)


def test_page_ins_say_how_much_was_read() -> None:
    history = History()
    history.task(50, "a", queue=10, run=40, page_in=8, lead=1)
    history.task(56, "b", gap=1, run=5, page_in=10, lead=6)
    shown = [" ".join(line.partition(" ms")[0].split()) for line in waterfall(of_execution(history.ended()))]
    assert "page-in (3.0 MiB) 8.000" in shown
    assert "prefetch b (3.0 MiB) 10.000" in shown


def test_what_nothing_waited_for_is_not_worked_with() -> None:
    history = History()
    history.task(50, "a", run=50)
    history.task(56, "b", gap=1, run=5, page_in=10, lead=6)
    forest = waits_of([span(one) for one in of_execution(history.ended())])
    assert [one.kind for one in forest.below(forest.roots[0])] == ["state", "state"]


def test_what_is_short_has_a_bar_and_nothing_is_wider_than_asked() -> None:
    spans = of_call(traced_call(queue_ns=1, start_ns=1, run_ns=1, took_ns=10_000_000_000))
    assert all(line[-1] in "█▒" and len(line) < 60 for line in waterfall(spans, width=20))


def test_nothing_is_no_line() -> None:
    assert list(waterfall([])) == []


def test_a_span_without_its_parent_is_a_root() -> None:
    spans = of_call(traced_call(parent_id="f" * 16))
    forest = Forest(spans)
    assert [root.span_id for root in forest.roots] == ["c" * 16]
    assert [one.kind for one in forest.below(forest.roots[0])] == ["queue", "start", "run"]
    assert forest.above(spans[1]) == spans[0]
    assert forest.above(spans[0]) is None


def test_spans_come_back_from_json() -> None:
    spans = of_call(traced_call())
    assert spans_of([span(one) for one in spans]) == spans
