"""One trace through functions that call functions and workflows, on a real node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actorfaas.flow.documents import spans_of
from actorfaas.flow.spans import EXECUTION, PARTS, REQUEST, RUN, STATE, Span
from actorfaas.flow.tree import Forest
from tests.system.kit import Node, eventually, node_with

pytestmark = pytest.mark.system

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

CLOCKS_NS = 100_000
"""Calls have their beginning by the wall clock and their parts by another one."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "calling") as running:
        yield running


def trace_of(node: Node, trace_id: str) -> Forest:
    return Forest(spans_of(node.get(f"/v1/traces/{trace_id}")["spans"]))


def calls_below(forest: Forest, root: Span) -> list[tuple[int, str, str]]:
    """Calls, executions and states with their depth, and those handlers that called something."""
    return [
        (depth, span.kind, span.name)
        for depth, span in forest.walk(root)
        if span.kind not in PARTS or (span.kind == RUN and forest.below(span))
    ]


@pytest.mark.parametrize("name", ["by_client", "by_http"])
def test_a_function_that_calls_another_is_above_it(node: Node, name: str) -> None:
    answer = node.call(name, 1)
    assert answer.json() == 1
    forest = trace_of(node, answer.headers["traceresponse"][3:35])
    (root,) = forest.roots
    assert root.span_id == answer.headers["traceresponse"][36:52]
    assert calls_below(forest, root) == [(0, REQUEST, name), (1, RUN, name), (2, REQUEST, "leaf")]
    for _, span in forest.walk(root):
        above = forest.above(span) or root
        assert above.began_ns - CLOCKS_NS <= span.began_ns <= span.ended_ns
        if span.kind in PARTS:
            assert span.ended_ns <= above.ended_ns + CLOCKS_NS


def test_a_workflow_is_above_what_its_states_call_in_turn(node: Node) -> None:
    answer = node.call("calls", 1, traceparent=f"00-{TRACE}-{SPAN}-00")
    forest = trace_of(node, TRACE)
    (root,) = forest.roots
    assert root.parent_id == SPAN
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{root.span_id}-01"
    assert calls_below(forest, root) == [
        *((0, EXECUTION, "calls"), (1, STATE, "leaf"), (1, STATE, "by_client"), (2, RUN, "by_client")),
        *((3, REQUEST, "leaf"), (1, STATE, "starts"), (2, RUN, "starts"), (3, EXECUTION, "plain"), (4, STATE, "leaf")),
    ]


def test_what_a_trace_wrote_is_found_by_it(node: Node) -> None:
    trace_id = node.call("calls", 1).headers["traceresponse"][3:35]
    lines = eventually(
        lambda: (found := node.get("/v1/logs", trace=trace_id)["lines"]) and len(found) == 3 and found, "three lines"
    )
    assert {(line["text"], line["trace_id"]) for line in lines} == {("leaf at work", trace_id)}
    assert len({line["request_id"] for line in lines}) == 3


def test_traces_are_found_by_function(node: Node) -> None:
    trace_id = node.call("by_client", 1).headers["traceresponse"][3:35]
    for name in ("by_client", "leaf"):
        found = node.get("/v1/traces", function=name, limit="5")["traces"]
        assert trace_id in {one["trace_id"] for one in found}
        assert {one["name"] for one in found} == {name}


def test_an_execution_that_a_state_starts_is_below_that_state(node: Node) -> None:
    answer = node.call("nested", 1)
    assert answer.status_code == 200
    forest = trace_of(node, answer.headers["traceresponse"][3:35])
    (root,) = forest.roots
    assert calls_below(forest, root) == [
        *((0, EXECUTION, "nested"), (1, STATE, "Child"), (2, RUN, "Child"), (3, EXECUTION, "plain")),
        (4, STATE, "leaf"),
    ]
