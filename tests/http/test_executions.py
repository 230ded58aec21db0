"""Workflows, asynchronous calls and idempotency keys over a real socket."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from actorfaas.http.calls import now_ns
from actorfaas.ids import STRATEGIES
from actorfaas.messages import (
    ClaimExecutionName,
    ClaimIdempotencyKey,
    ExecutionAccepted,
    ExecutionNameClaim,
    ExecutionState,
    GetExecution,
    IdempotencyClaim,
    Message,
    Publish,
    Refused,
    StartExecution,
    WaitExecution,
)
from tests.actors_kit import Kit
from tests.frontend_kit import Node, execution_state, frontend


def accept(node: Node) -> list[StartExecution]:
    """Let the ExecutionManager accept every start; they are also listed."""
    started: list[StartExecution] = []

    def answer(message: StartExecution) -> Message:
        started.append(message)
        return ExecutionAccepted(execution_id=message.execution_id, version=1)

    node.manager.answer(StartExecution, answer)
    return started


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
async def test_strategy_of_a_workflow_is_handed_on(kit: Kit, strategy: str) -> None:
    async with frontend(kit) as node:
        started = accept(node)
        call = node.post("/v1/invoke/pipeline", b"1", Actorfaas_Strategy=strategy)
        _, asker = await node.data.expect_ask(WaitExecution)
        assert started[0].strategy == strategy
        asker.reply(execution_state(started[0].execution_id))
        await call


async def test_workflow_is_started_and_waited_for(kit: Kit) -> None:
    async with frontend(kit) as node:
        started = accept(node)
        call = node.post("/v1/invoke/pipeline", b'{"n": 1}', Actorfaas_Strategy="resident")
        question, asker = await node.data.expect_ask(WaitExecution)
        order = started[0]
        assert (order.name, order.durability, order.strategy) == ("pipeline", "standard", "resident")
        assert (order.wait_for_commit, order.timeout_s, order.payload) == (False, 30.0, b'{"n": 1}')
        assert question.execution_id == order.execution_id
        assert question.must_exist is False
        asker.reply(execution_state(order.execution_id))
        response = await call
    assert response.status_code == 200
    assert response.content == b'{"done":1}'
    assert response.headers["actorfaas-execution"] == order.execution_id
    assert response.headers["server-timing"].endswith('gap;dur=8.000, states;desc="2"')


async def test_wait_lasts_a_little_longer_than_the_execution_may(kit: Kit) -> None:
    async with frontend(kit) as node:
        started = accept(node)
        before_ns = now_ns()
        call = node.post("/v1/invoke/pipeline", Actorfaas_Timeout="5")
        question, asker = await node.data.expect_ask(WaitExecution)
        assert started[0].timeout_s == 5.0
        assert question.deadline_ns > before_ns + 5_000_000_000
        asker.reply(execution_state(question.execution_id, "timed_out"))
        response = await call
    assert response.status_code == 504
    assert response.json()["execution_id"] == question.execution_id
    assert response.headers["actorfaas-execution"] == question.execution_id


@pytest.mark.parametrize(("status", "http"), [("failed", 500), ("cancelled", 409), ("running", 504)])
async def test_execution_that_does_not_succeed_is_a_problem(kit: Kit, status: str, http: int) -> None:
    async with frontend(kit) as node:
        accept(node)
        call = node.post("/v1/invoke/pipeline")
        question, asker = await node.data.expect_ask(WaitExecution)
        asker.reply(execution_state(question.execution_id, status, error_type="KeyError", error_message="'x'"))
        response = await call
    assert response.status_code == http
    assert response.json()["error_type"] == "KeyError"
    assert "server-timing" in response.headers


async def test_refused_start_is_its_problem(kit: Kit) -> None:
    async with frontend(kit) as node:
        node.manager.answer(StartExecution, Refused("overloaded", "too many executions", True, 3.0))
        response = await node.post("/v1/invoke/pipeline")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "3"


@pytest.mark.parametrize("name", ["hello", "pipeline", "quick"])
async def test_respond_async_promises_that_it_survives(kit: Kit, name: str) -> None:
    async with frontend(kit) as node:
        started = accept(node)
        response = await node.post(f"/v1/invoke/{name}", b"1", Prefer="respond-async")
        order = started[0]
        assert (order.name, order.durability, order.wait_for_commit) == (name, "standard", True)
        assert not node.queue.received(Publish)
    assert response.status_code == 202
    assert response.json() == {"execution_id": order.execution_id, "status": "running"}
    assert response.headers["location"] == f"/v1/executions/{order.execution_id}"
    assert response.headers["preference-applied"] == "respond-async"


async def test_other_preferences_leave_a_call_a_call(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1", Prefer="return=minimal")
        (await node.published()).answer(b"1")
        assert (await call).status_code == 200


class Keys:
    """The DataLayer's table of idempotency keys, and of executions, played by the test."""

    def __init__(self, node: Node) -> None:
        self.claims: dict[str, ClaimIdempotencyKey] = {}
        self.states: dict[str, ExecutionState] = {}
        node.data.answer(ClaimIdempotencyKey, self.claim)
        node.data.answer(GetExecution, self.get)
        node.data.answer(WaitExecution, self.wait)

    def claim(self, message: ClaimIdempotencyKey) -> Message:
        earlier = self.claims.setdefault(message.key, message)
        if earlier.fingerprint != message.fingerprint:
            return Refused("conflict", "another request")
        return IdempotencyClaim(first=earlier is message, execution_id=earlier.execution_id)

    def get(self, message: GetExecution) -> Message:
        return self.states.get(message.execution_id, Refused("not_found", "no such execution"))

    def wait(self, message: WaitExecution) -> Message | None:
        return self.states.get(message.execution_id)


async def test_repeat_with_a_key_gets_the_first_result(kit: Kit) -> None:
    async with frontend(kit) as node:
        keys, started = Keys(node), accept(node)
        first = node.post("/v1/invoke/hello", b"1", Idempotency_Key="k")
        question, asker = await node.data.expect_ask(WaitExecution)
        done = execution_state(question.execution_id, name="hello", kind="function", payload=b'"once"')
        keys.states[question.execution_id] = done
        asker.reply(done)
        repeat = await node.post("/v1/invoke/hello", b"1", Idempotency_Key="k")
        assert len(started) == 1
        assert (started[0].durability, started[0].wait_for_commit) == ("standard", True)
        assert (await first).content == repeat.content == b'"once"'
        assert "idempotency-replayed" not in (await first).headers
        assert repeat.headers["idempotency-replayed"] == "true"
        claim = keys.claims["hello:k"]
        assert claim.fingerprint == hashlib.sha256(b"hello\x001").hexdigest()


async def test_repeat_of_a_failure_is_the_same_failure(kit: Kit) -> None:
    async with frontend(kit) as node:
        keys = Keys(node)
        accept(node)
        first = node.post("/v1/invoke/hello", b"1", Idempotency_Key="k")
        question, asker = await node.data.expect_ask(WaitExecution)
        keys.states[question.execution_id] = execution_state(question.execution_id, "failed", error_type="E")
        asker.reply(keys.states[question.execution_id])
        assert (await first).status_code == 500
        repeat = await node.post("/v1/invoke/hello", b"1", Idempotency_Key="k")
        assert repeat.status_code == 500
        assert repeat.headers["idempotency-replayed"] == "true"


async def test_key_used_for_another_body_is_refused(kit: Kit) -> None:
    async with frontend(kit) as node:
        Keys(node)
        accept(node)
        await node.post("/v1/invoke/hello", b"1", Idempotency_Key="k", Prefer="respond-async")
        response = await node.post("/v1/invoke/hello", b"2", Idempotency_Key="k")
    assert response.status_code == 422
    assert response.json()["type"].endswith(":idempotency_key_reused")


async def test_keys_of_different_functions_are_different_keys(kit: Kit) -> None:
    async with frontend(kit) as node:
        keys, started = Keys(node), accept(node)
        for name in ("hello", "pipeline"):
            response = await node.post(f"/v1/invoke/{name}", b"1", Idempotency_Key="k", Prefer="respond-async")
            assert response.status_code == 202
        assert sorted(keys.claims) == ["hello:k", "pipeline:k"]
        assert len({order.execution_id for order in started}) == 2


async def test_repeat_while_running_with_respond_async_points_to_the_same_execution(kit: Kit) -> None:
    async with frontend(kit) as node:
        keys, started = Keys(node), accept(node)
        first = await node.post("/v1/invoke/hello", b"1", Idempotency_Key="k", Prefer="respond-async")
        execution_id = first.json()["execution_id"]
        keys.states[execution_id] = execution_state(execution_id, "running")
        repeat = await node.post("/v1/invoke/hello", b"1", Idempotency_Key="k", Prefer="respond-async")
        assert repeat.json()["execution_id"] == execution_id
        assert repeat.headers["idempotency-replayed"] == "true"
        assert len(started) == 1


async def test_claimed_key_whose_execution_never_began_is_begun_by_the_repeat(kit: Kit) -> None:
    async with frontend(kit) as node:
        Keys(node)
        node.manager.answer(StartExecution, Refused("overloaded", "full", True))
        first = await node.post("/v1/invoke/hello", b"1", Idempotency_Key="k", Prefer="respond-async")
        assert first.status_code == 503
        started = accept(node)
        repeat = await node.post("/v1/invoke/hello", b"1", Idempotency_Key="k", Prefer="respond-async")
        assert repeat.status_code == 202
        assert [order.execution_id for order in started] == [repeat.json()["execution_id"]]


async def test_start_that_another_request_of_the_key_made_first_is_no_error(kit: Kit) -> None:
    async with frontend(kit) as node:
        Keys(node)
        node.manager.answer(StartExecution, Refused("conflict", "that execution exists"))
        response = await node.post("/v1/invoke/hello", b"1", Idempotency_Key="k", Prefer="respond-async")
        assert response.status_code == 202


async def test_conflict_without_a_key_is_an_error(kit: Kit) -> None:
    async with frontend(kit) as node:
        node.manager.answer(StartExecution, Refused("conflict", "that execution exists"))
        assert (await node.post("/v1/invoke/pipeline", b"1")).status_code == 409


# --- names ----------------------------------------------------------------------------------------------------------


def named(node: Node, *claims: ExecutionNameClaim) -> list[ClaimExecutionName]:
    """Let the DataLayer answer claims of names, the last one again and again; they are also listed."""
    asked: list[ClaimExecutionName] = []

    def answer(message: ClaimExecutionName) -> Message:
        asked.append(message)
        claim = claims[min(len(asked), len(claims)) - 1]
        return replace(claim, execution_id=claim.execution_id or message.execution_id)

    node.data.answer(ClaimExecutionName, answer)
    return asked


FIRST = ExecutionNameClaim(True, False, "")


async def test_a_named_execution_is_started_once(kit: Kit) -> None:
    async with frontend(kit) as node:
        asked, started = named(node, FIRST, ExecutionNameClaim(False, False, "exe_first")), accept(node)
        node.data.answer(GetExecution, execution_state("exe_first", "running"))
        headers = {"Actorfaas_Execution_Name": "order-1", "Prefer": "respond-async"}
        first = await node.post("/v1/invoke/quick", b"1", **headers)
        assert (started[0].durability, started[0].wait_for_commit) == ("standard", True)
        again = await node.post("/v1/invoke/quick", b"1", **headers)
        assert (first.status_code, again.json()["execution_id"]) == (202, "exe_first")
        assert again.headers["idempotency-replayed"] == "true"
        assert len(started) == 1
        assert {(one.workflow, one.name) for one in asked} == {("quick", "order-1")}
        assert len({one.fingerprint for one in asked}) == 1


async def test_a_name_that_is_taken_is_a_conflict(kit: Kit) -> None:
    async with frontend(kit) as node:
        named(node, ExecutionNameClaim(False, True, "exe_first"))
        started = accept(node)
        answer = await node.post("/v1/invoke/pipeline", b"1", Actorfaas_Execution_Name="order-1")
        assert answer.status_code == 409
        problem = answer.json()
        assert problem["type"].endswith(":execution_already_exists")
        assert problem["execution_id"] == "exe_first"
        assert started == []


@pytest.mark.parametrize("name", ["", "a b", "a:b", "x" * 81, "a*", "a/b", "<x>", "\u00e4\u0085"])
async def test_names_are_those_of_step_functions(kit: Kit, name: str) -> None:
    async with frontend(kit) as node:
        refused = await node.post("/v1/invoke/pipeline", b"1", Actorfaas_Execution_Name=name.encode())  # type: ignore[arg-type]
        assert (refused.status_code, "execution name" in refused.json()["detail"]) == (400, True)


async def test_a_name_may_have_any_letters(kit: Kit) -> None:
    async with frontend(kit) as node:
        asked, _ = named(node, FIRST), accept(node)
        name = "Zo\u00eb-1_2.3'()!@+=" + "x" * 60
        header = {"Actorfaas_Execution_Name": name.encode(), "Prefer": "respond-async"}
        assert (await node.post("/v1/invoke/hello", b"1", **header)).status_code == 202  # type: ignore[arg-type]
        assert asked[0].name == name


async def test_a_name_and_a_key_exclude_each_other(kit: Kit) -> None:
    async with frontend(kit) as node:
        both = await node.post("/v1/invoke/hello", b"1", Actorfaas_Execution_Name="a", Idempotency_Key="k")
        assert (both.status_code, "not both" in both.json()["detail"]) == (400, True)


# --- parts that restart in the middle ----------------------------------------------------------------------------


async def test_data_layer_that_restarts_is_asked_again(kit: Kit) -> None:
    async with frontend(kit) as node:
        accept(node)
        call = node.post("/v1/invoke/pipeline")
        question = await node.data.expect(WaitExecution)
        await kit.stop(node.data)
        restarted = await kit.fake("data_layer")
        again, asker = await restarted.expect_ask(WaitExecution)
        assert again == question
        asker.reply(execution_state(question.execution_id))
        assert (await call).status_code == 200


async def test_standard_execution_outlives_the_execution_manager(kit: Kit) -> None:
    async with frontend(kit) as node:
        started = accept(node)
        call = node.post("/v1/invoke/pipeline")
        question, asker = await node.data.expect_ask(WaitExecution)
        node.data.answer(GetExecution, execution_state(question.execution_id, "running"))
        await kit.stop(node.manager)
        await kit.fake("execution_manager")
        await node.frontend.wait_for_peer("execution_manager")
        asker.reply(execution_state(question.execution_id))
        assert (await call).content == b'{"done":1}'
        assert len(started) == 1


async def test_standard_execution_lost_before_it_was_written_is_started_again_under_its_id(kit: Kit) -> None:
    async with frontend(kit) as node:
        first = accept(node)
        call = node.post("/v1/invoke/pipeline", b"5")
        _, asker = await node.data.expect_ask(WaitExecution)
        node.data.answer(GetExecution, Refused("not_found", "no such execution"))
        await kit.stop(node.manager)
        manager = await kit.fake("execution_manager")
        again, starter = await manager.expect_ask(StartExecution)
        assert again == replace(first[0], wait_for_commit=True)
        starter.reply(ExecutionAccepted(again.execution_id, 1))
        asker.reply(execution_state(again.execution_id))
        assert (await call).status_code == 200


async def test_express_execution_dies_with_the_execution_manager(kit: Kit) -> None:
    async with frontend(kit) as node:
        started = accept(node)
        call = node.post("/v1/invoke/quick")
        await node.data.expect(WaitExecution)
        assert started[0].durability == "express"
        await kit.stop(node.manager)
        response = await call
    assert response.status_code == 503
    assert response.json()["retryable"] is True
    assert response.json()["type"].endswith(":restarting")


async def test_start_cut_off_by_a_restart_is_repeated_with_the_same_id(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/pipeline", b"5")
        first = await node.manager.expect(StartExecution)
        node.manager.callers["frontend"].close()
        again, starter = await node.manager.expect_ask(StartExecution)
        assert again == replace(first, wait_for_commit=True)
        starter.reply(Refused("conflict", "it exists: the first one got through"))
        question, asker = await node.data.expect_ask(WaitExecution)
        asker.reply(execution_state(question.execution_id))
        assert (await call).status_code == 200
