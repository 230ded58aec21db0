"""The graph of what calls what."""

from __future__ import annotations

import pytest

from actorfaas.flow.graph import CALLS, CLIENT, FOLLOWS, RUNS, Edge, Graph, Place, graph_of, overview, percentile
from actorfaas.flow.report import edge_rows, mermaid
from actorfaas.flow.tree import Forest
from tests.flow.kit import MS
from tests.flow.shapes import Traced, mapped


def edges(graph: Graph) -> dict[tuple[str, str, str], Edge]:
    return {(edge.kind, str(edge.source), str(edge.target)): edge for edge in graph.edges}


def test_clients_workflows_states_functions_and_what_these_call() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 30))
    traced.state("A", (0, 5), (5, 10), flow, function="f")
    run = traced.state("B", (12, 12), (12, 30), flow, function="g")
    traced.request("h", (15, 20), run)
    inner = traced.execution("inner", (20, 25), run)
    traced.state("C", (20, 20), (20, 25), inner, function="f")
    found = edges(graph_of(Forest(traced.spans)))
    assert set(found) == {
        *((CALLS, CLIENT, "flow"), (CALLS, "g", "h"), (CALLS, "g", "inner")),
        *((RUNS, "flow.A", "f"), (RUNS, "flow.B", "g"), (RUNS, "inner.C", "f"), (FOLLOWS, "flow.A", "flow.B")),
    }
    assert found[FOLLOWS, "flow.A", "flow.B"].took_ns == [2 * MS]
    assert found[RUNS, "flow.A", "f"].waited_share == 0.5


def test_items_of_a_map_state_do_not_follow_each_other() -> None:
    found = edges(graph_of(Forest(mapped(8, 2, 20).spans)))
    assert found[RUNS, "flow.work", "work"].calls == 8
    assert {key for key in found if key[0] == FOLLOWS} == {
        (FOLLOWS, "flow.first", "flow.each"),
        (FOLLOWS, "flow.each", "flow.last"),
    }


def test_rates_latencies_and_errors_are_on_edges() -> None:
    traced = Traced()
    for number in range(1, 11):
        traced.add("request", "f", (number * 1000, number * 1000 + number), None, "KeyError" if number > 8 else "")
    graph = graph_of(Forest(traced.spans))
    (edge,) = graph.edges
    assert (edge.calls, edge.errors) == (10, 2)
    assert (edge.percentile_ns(50), edge.percentile_ns(99)) == (5 * MS, 10 * MS)
    assert graph.per_minute(edge) == pytest.approx(10 * 60 / 9.01)
    row = edge_rows(graph)[0]
    assert (row[:4], row[-3:]) == (("client", "calls", "f", "10"), ("0%", "2", "100%"))


def test_percentiles_are_by_nearest_rank() -> None:
    assert [percentile([3, 1, 2], percent) for percent in (0, 33, 34, 99)] == [1, 1, 2, 3]
    assert percentile([], 50) == 0


def test_mermaid_has_a_box_for_each_workflow() -> None:
    lines = list(mermaid(graph_of(Forest(mapped(2, 2, 20).spans))))
    assert lines[:2] == ["flowchart LR", '  p1(["client"])']
    box = lines.index('  subgraph p2["flow"]')
    inside = ['    p3["work"]', '    p5["first"]', '    p7["last"]', '    p9["each"]', "  end"]
    assert lines[box + 1 : box + 6] == inside
    assert '  p4("work")' in lines[:box]
    assert any(line.startswith("  p1 -->|") and line.endswith("| p2") for line in lines)
    assert any(line.startswith("  p3 -.->|") and line.endswith("| p4") for line in lines)
    assert "  p5 ==> p9" in lines


def test_states_are_told_apart_in_mermaid_whatever_they_are_called() -> None:
    names = ("a b", "a_b", 'x"]; click p1 "https://other.example"', "\u00e9", "\u00fc", "end")
    traced = Traced()
    flow = traced.execution("flow", (0, 30))
    for at, name in enumerate(names):
        traced.state(name, (at, at), (at, at + 1), flow, function="f")
    lines = list(mermaid(graph_of(Forest(traced.spans))))
    states = [line for line in lines if line.startswith("    ")]
    assert len({line.partition("[")[0] for line in states}) == len(names)
    assert not any('click p1 "' in line for line in lines)
    assert any('["a_b"]' in line for line in states)


def test_nothing_observed_is_an_empty_graph() -> None:
    assert graph_of(Forest([])) == Graph((), 0.0)
    assert Place("state", "A", "flow") != Place("state", "A", "other")


def test_a_state_that_starts_an_execution_calls_it_itself() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 10))
    state = traced.add("state", "Child", (0, 10), flow)
    run = traced.add("run", "Child", (0, 10), state)
    traced.execution("inner", (1, 9), run)
    assert (CALLS, "flow.Child", "inner") in edges(graph_of(Forest(traced.spans)))


def test_what_of_the_critical_path_is_behind_an_edge() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 10))
    both = traced.add("state", "both", (0, 10), flow)
    traced.state("quick", (0, 0), (0, 9), both, index="0")
    run = traced.state("slow", (0, 2), (2, 10), both, index="1")
    traced.request("inner", (5, 9), run)
    graph = graph_of(Forest(traced.spans))
    shares = {(str(edge.source), str(edge.target)): graph.critical_share(edge) for edge in graph.edges}
    assert shares == {
        (CLIENT, "flow"): 1.0,
        ("flow.quick", "quick"): 0.0,
        ("flow.slow", "slow"): 1.0,
        ("slow", "inner"): 0.4,
    }


def test_only_what_is_below_a_name() -> None:
    traced = Traced()
    run = traced.request("outer", (0, 10))
    inner = traced.execution("flow", (2, 8), run)
    traced.state("A", (2, 2), (2, 8), inner, function="f")
    graph = graph_of(Forest(traced.spans), "flow")
    found = edges(graph)
    assert set(found) == {(CALLS, "outer", "flow"), (RUNS, "flow.A", "f")}
    assert [graph.critical_share(edge) for edge in graph.edges] == [1.0, 1.0]
    assert graph.seconds == 0.006


def test_the_overview_has_workflows_instead_of_states() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 30))
    traced.state("A", (0, 5), (5, 10), flow, function="f")
    traced.state("B", (10, 10), (10, 30), flow, function="f")
    whole = overview(graph_of(Forest(traced.spans)))
    assert set(edges(whole)) == {(CALLS, CLIENT, "flow"), (RUNS, "flow", "f")}
    assert sorted(edges(whole)[RUNS, "flow", "f"].took_ns) == [10 * MS, 20 * MS]
    assert [whole.critical_share(edge) for edge in whole.edges] == [1.0, 1.0]
