"""The endpoints about traces, over a real socket."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actorfaas.core.spans import span_of
from actorfaas.messages import GetTrace, ReadTraces, Trace, TracedCall, TracedExecution
from tests.frontend_kit import Node, execution_state
from tests.http.shapes import check

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALL = TracedCall(
    *(TRACE, "c" * 16, "", "d" * 16, "req_1", "hello", 1, "hello@1_7", "resident", 1, 200, ""),
    *(1_700_000_000_000_000, 9_000_000, 4_000_000, 1_000_000, 0, 2_000_000, 3_000_000),
)
RUN = TracedExecution(f"00-{TRACE}-{'d' * 16}-01", execution_state("exe_1"))


async def test_a_trace_has_all_its_spans_each_below_its_own(node: Node) -> None:
    node.data.answer(GetTrace, Trace((CALL,), (RUN,)))
    found = (await node.get(f"/v1/traces/{TRACE}")).json()
    check(found, "Trace")
    spans = {one["span_id"]: one for one in found["spans"]}
    execution = spans[span_of("exe_1")]
    assert (execution["kind"], execution["name"]) == ("execution", "pipeline")
    handler = spans[execution["parent_id"]]
    assert (handler["kind"], handler["parent_id"]) == ("run", "c" * 16)
    request = spans["c" * 16]
    assert (request["kind"], request["parent_id"], request["took_us"]) == ("request", "", 9000.0)
    assert request["told"]["start_kind"] == "resident"


async def test_what_is_not_kept_is_not_found(node: Node) -> None:
    node.data.answer(GetTrace, Trace((), ()))
    assert (await node.get(f"/v1/traces/{TRACE}")).status_code == 404


@pytest.mark.parametrize("trace_id", ["1", "X" * 32, "exe_1"])
async def test_an_id_must_be_one(node: Node, trace_id: str) -> None:
    assert (await node.get(f"/v1/traces/{trace_id}")).status_code == 400


async def test_traces_are_listed_once_each_newest_first(node: Node) -> None:
    other = "1" * 32
    late = replace(CALL, trace_id=other, began_at_us=1_800_000_000_000_000)
    asked: list[ReadTraces] = []

    def answer(question: ReadTraces) -> Trace:
        asked.append(question)
        return Trace((CALL, late), (RUN,))

    node.data.answer(ReadTraces, answer)
    found = (await node.get("/v1/traces?function=hello&since=60&limit=7")).json()
    check(found, "Traces")
    assert [(one["trace_id"], one["kind"]) for one in found["traces"]] == [(other, "request"), (TRACE, "request")]
    assert (asked[0].name, asked[0].limit, asked[0].since_at_ms > 1_700_000_000_000) == ("hello", 7, True)


async def test_spans_of_many_traces(node: Node) -> None:
    node.data.answer(ReadTraces, Trace((CALL,), (RUN,)))
    found = (await node.get("/v1/spans")).json()
    check(found, "Spans")
    assert {one["kind"] for one in found["spans"]} >= {"request", "execution", "run", "queue", "start"}
