"""Executions and logs over a real socket: what is asked, answered, and refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actorfaas.http.calls import now_ns
from actorfaas.http.records import MAX_READS
from actorfaas.messages import (
    CancelExecution,
    Done,
    ExecutionInput,
    ExecutionRedriven,
    Executions,
    ExecutionSummary,
    GetExecution,
    GetExecutionInput,
    ListExecutions,
    LogLine,
    Logs,
    ReadLogs,
    RedriveExecution,
    Refused,
    WaitExecution,
)
from tests.frontend_kit import Node, execution_state
from tests.http.shapes import check


async def test_executions_are_listed_by_page(node: Node) -> None:
    asked: list[ListExecutions] = []
    summary = ExecutionSummary("exe_1", "pipeline", 1, "workflow", "running", 1_700_000_000_000, 0)

    def answer(message: ListExecutions) -> Executions:
        asked.append(message)
        return Executions((summary,), "more")

    node.data.answer(ListExecutions, answer)
    page = (await node.get("/v1/executions?name=pipeline&status=running&limit=1&cursor=c")).json()
    assert asked == [ListExecutions("pipeline", "running", 1, "c")]
    check(page, "Executions")
    assert page["next_cursor"] == "more"
    assert page["executions"][0]["ended_at_ms"] is None


@pytest.mark.parametrize(
    "query", ["status=odd", "limit=0", "limit=1001", "limit=x", "limit=-1", "limit=99999999999999999999"]
)
async def test_listing_with_a_bad_parameter_is_refused(node: Node, query: str) -> None:
    assert (await node.get(f"/v1/executions?{query}")).status_code == 400


@pytest.mark.parametrize(("payload", "shown"), [(b'{"n": 1}', b'{"n": 1}'), (b"", b"null")])
async def test_what_an_execution_was_started_with(node: Node, payload: bytes, shown: bytes) -> None:
    node.data.answer(GetExecutionInput, ExecutionInput(payload))
    response = await node.get("/v1/executions/exe_1/input")
    assert response.headers["content-type"] == "application/json"
    assert response.content == shown
    node.data.answer(GetExecutionInput, Refused("not_found", "there is no execution exe_9"))
    assert (await node.get("/v1/executions/exe_9/input")).status_code == 404


async def test_one_execution(node: Node) -> None:
    node.data.answer(GetExecution, lambda message: execution_state(message.execution_id))
    found = (await node.get("/v1/executions/exe_1")).json()
    check(found, "Execution")
    assert (found["output"], found["duration_ms"], found["error"]) == ({"done": 1}, 250, None)
    assert [state["name"] for state in found["states"]] == ["first", "second"]
    history = (await node.get("/v1/executions/exe_1/history")).json()
    check(history, "History")
    assert history["events"][0]["payload"] == {"state": True}


async def test_waiting_for_an_execution_is_bounded(node: Node) -> None:
    call = node.client.get("/v1/executions/exe_1?wait=1e6")

    asked = asyncio.create_task(call)
    question, asker = await node.data.expect_ask(WaitExecution)
    assert question.must_exist is True
    assert question.event_payloads is False
    assert 0 < question.deadline_ns - now_ns() <= 60_000_000_000
    asker.reply(Refused("not_found", "no such execution"))
    assert (await asked).status_code == 404


async def test_few_executions_are_read_with_what_their_events_carry_at_once(node: Node) -> None:
    calls = [asyncio.create_task(node.client.get(f"/v1/executions/exe_{n}/history")) for n in range(MAX_READS + 1)]
    askers = [(await node.data.expect_ask(GetExecution))[1] for _ in range(MAX_READS)]
    await node.get("/v1/executions?limit=x")  # the last one has had its turn
    assert not node.data.received(GetExecution)
    askers.pop().reply(execution_state("exe_1"))
    askers.append((await node.data.expect_ask(GetExecution))[1])
    for asker in askers:
        asker.reply(execution_state("exe_1"))
    assert {(await call).status_code for call in calls} == {200}


@pytest.mark.parametrize("wait", ["-1", "nan", "inf", "x"])
async def test_senseless_wait_is_refused(node: Node, wait: str) -> None:
    assert (await node.get(f"/v1/executions/exe_1?wait={wait}")).status_code == 400


async def test_cancel(node: Node) -> None:
    node.manager.answer(CancelExecution, Done())
    assert (await node.post("/v1/executions/exe_1/cancel")).status_code == 204
    node.manager.answer(CancelExecution, Refused("not_found", "not running"))
    node.data.answer(GetExecution, execution_state("exe_1"))
    ended = await node.post("/v1/executions/exe_1/cancel")
    assert ended.status_code == 409
    assert "succeeded" in ended.json()["detail"]
    node.data.answer(GetExecution, Refused("not_found", "no such execution"))
    assert (await node.post("/v1/executions/exe_2/cancel")).status_code == 404


async def test_redrive(node: Node) -> None:
    node.manager.answer(RedriveExecution, ExecutionRedriven("exe_1", 2))
    answer = await node.post("/v1/executions/exe_1/redrive")
    assert (answer.status_code, answer.headers["location"]) == (202, "/v1/executions/exe_1")
    check(answer.json(), "Redriven")
    assert answer.json() == {"execution_id": "exe_1", "status": "running", "redrive_count": 2}
    node.manager.answer(RedriveExecution, Refused("conflict", "execution exe_1 has succeeded"))
    refused = await node.post("/v1/executions/exe_1/redrive")
    assert (refused.status_code, refused.json()["detail"]) == (409, "execution exe_1 has succeeded")


async def test_what_can_be_redriven_is_told(node: Node) -> None:
    for changes, status in (
        ({"status": "failed", "redrive_count": 3, "redriven_at_ms": 7}, "redrivable"),
        ({"status": "cancelled"}, "redrivable"),
        ({"status": "failed", "durability": "express"}, "not_redrivable"),
        ({"status": "succeeded"}, "not_redrivable"),
    ):
        node.data.answer(GetExecution, replace(execution_state("exe_1"), **changes))
        shown = (await node.get("/v1/executions/exe_1")).json()
        assert shown["redrive_status"] == status
        assert (shown["redrive_count"], shown["redriven_at_ms"]) in ((3, 7), (0, None))


async def test_logs(node: Node) -> None:
    asked: list[ReadLogs] = []
    line = LogLine(7, 1_700_000_000_000, "hello", 1, "req_1", "", 4711, "log", "INFO", "hi")

    def answer(message: ReadLogs) -> Logs:
        asked.append(message)
        return Logs((line,), 7)

    node.data.answer(ReadLogs, answer)
    before_ns = now_ns()
    found = await node.get("/v1/logs?function=hello&request=req_1&execution=e&after=3&limit=5&tail=true&wait=2")
    check(found.json(), "Logs")
    assert found.json()["after"] == 7
    question = asked[0]
    assert question.wait_until_ns >= before_ns + 2_000_000_000
    assert replace(question, wait_until_ns=0) == ReadLogs("hello", "req_1", "e", 3, 5, True, 0)
    await node.get("/v1/logs")
    assert asked[1] == ReadLogs("", "", "", 0, 1000, False, 0)
    assert (await node.get("/v1/logs?tail=maybe")).status_code == 400
