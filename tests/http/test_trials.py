"""`POST /v1/test-state`: what is asked for, what is called, what comes back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.http import trials
from actorfaas.messages import BundleRef, DeploymentRecord, Deployments, ListDeployments, WorkflowSpec
from tests.actors_kit import Kit
from tests.frontend_kit import WORKER, Node, frontend
from tests.states.machines_kit import INVOKE, definition, task

Json = Any  # a decoded JSON document

PATH = "/v1/test-state"
HELLO = {"Type": "Task", "Resource": "hello", "ResultPath": "$.said", "Next": "b"}
RETRY = [{"ErrorEquals": ["Busy"], "MaxAttempts": 1}]
DEEP = "[" * 300 + "]" * 300
"""More than can be written as JSON, though it can be read."""


async def tried(node: Node, **body: Json) -> Json:
    """The answer to a trial that succeeds without a call."""
    answer = await node.post(PATH, orjson.dumps(body))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(node: Node, **body: Json) -> tuple[int, str]:
    answer = await node.post(PATH, orjson.dumps(body))
    problem = answer.json()
    return answer.status_code, f"{problem['type'].rpartition(':')[2]}: {problem['detail']}"


async def test_a_mocked_state(kit: Kit) -> None:
    async with frontend(kit) as node:
        found = await tried(node, definition=HELLO, input={"x": 1}, mock={"result": "hi"})
        assert found == {
            "status": "SUCCEEDED",
            "output": {"x": 1, "said": "hi"},
            "error": "",
            "cause": "",
            "next_state": "b",
        }
        failed = await tried(node, definition=HELLO, mock={"error": "E", "cause": "c"})
        assert (failed["status"], failed["output"], failed["error"], failed["cause"]) == ("FAILED", None, "E", "c")


async def test_levels_of_inspection(kit: Kit) -> None:
    async with frontend(kit) as node:
        seen = await tried(node, definition=HELLO, mock={"result": 1}, inspection_level="DEBUG")
        assert seen["inspection"]["afterResultPath"] == {"said": 1}
        assert "call" not in await tried(node, definition=HELLO, mock={"result": 1}, inspection_level="TRACE")


async def test_what_is_not_mocked_is_called(kit: Kit) -> None:
    async with frontend(kit) as node:
        body = orjson.dumps({"definition": HELLO, "input": {"x": 1}, "inspection_level": "TRACE"})
        call = node.post(PATH, body)
        published = await node.published()
        assert (published.message.topic, published.message.payload) == ("hello@1", b'{"x":1}')
        assert (published.message.max_attempts, published.message.stream) == (1, False)
        published.answer(b'"hi"')
        found = (await call).json()
        assert found["output"] == {"x": 1, "said": "hi"}
        assert found["call"] == {
            "request_id": published.message.request_id,
            "worker": WORKER,
            "start_kind": "resident",
            "queue_ms": 1.0,
            "start_ms": 2.0,
            "run_ms": 3.0,
        }


async def test_what_lambda_invoke_gives_has_more_in_it(kit: Kit) -> None:
    state = {"Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": "hello", "Payload.$": "$"}, "End": True}
    async with frontend(kit) as node:
        call = node.post(PATH, orjson.dumps({"definition": state, "input": {"x": 1}}))
        published = await node.published()
        assert published.message.payload == b'{"x":1}'
        published.answer(b'"hi"')
        assert (await call).json()["output"] == {"ExecutedVersion": "$LATEST", "Payload": "hi", "StatusCode": 200}


async def test_how_a_called_function_fails(kit: Kit) -> None:
    state = {**HELLO, "Retry": RETRY, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "c"}]}
    async with frontend(kit) as node:
        for retries, status in ((0, "RETRIABLE"), (1, "CAUGHT_ERROR")):
            call = node.post(PATH, orjson.dumps({"definition": state, "retries": retries}))
            (await node.published()).fail("handler_error", error_type="Busy", error_message="later")
            found = (await call).json()
            assert (found["status"], found["error"], found["cause"]) == (status, "Busy", "later")
        call = node.post(PATH, orjson.dumps({"definition": HELLO}))
        (await node.published()).fail("timeout")
        assert (await call).json()["error"] == "States.Timeout"


async def test_a_call_that_did_not_run_is_a_problem(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post(PATH, orjson.dumps({"definition": HELLO}))
        (await node.published()).fail("queue_full", error_message="too many")
        assert (await call).status_code == 429


async def test_a_state_of_a_deployed_workflow(kit: Kit) -> None:
    whole = orjson.dumps(definition(a=task(Next="b"), b={"Type": "Pass", "Result": 2}))
    spec = WorkflowSpec("flow", whole, "standard", 0.0, "")
    record = DeploymentRecord("app", 1, True, 0, BundleRef("app", "", "", "app.py", ""), (), (spec,))
    async with frontend(kit) as node:
        node.data.answer(ListDeployments, Deployments(deployments=(record,)))
        assert (await tried(node, workflow="flow", state="b"))["output"] == 2
        assert await refused(node, workflow="flow", state="z") == (400, "invalid: the definition has no state 'z'")
        status, says = await refused(node, workflow="other", state="b")
        assert (status, says.startswith("not_found: no workflow is called 'other'")) == (404, True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "either a definition or the name"),
        ({"definition": HELLO, "workflow": "w"}, "either a definition or the name"),
        ({"workflow": "w"}, "give the state"),
        ({"definition": []}, "definition must be an object"),
        ({"definition": HELLO, "state": 3}, "state must be text"),
        ({"definition": HELLO, "retries": True}, "retries must be a whole number"),
        ({"definition": HELLO, "retries": -1}, "count from 0"),
        ({"definition": HELLO, "inspection_level": "ALL"}, "one of INFO, DEBUG, TRACE"),
        ({"definition": HELLO, "mock": {}}, "mock must be"),
        ({"definition": HELLO, "mock": {"result": 1, "error": "E"}}, "mock must be"),
        ({"definition": HELLO, "mock": {"error": ""}}, "mock must be"),
        ({"definition": HELLO, "mock": {"error": 3}}, "mock must be"),
        ({"definition": HELLO, "mock": {"result": 1, "other": 1}}, "mock must be"),
        ({"definition": HELLO, "extra": 1}, "there is no field 'extra'"),
        ({"definition": {"Type": "Dance"}}, "Type must be one of"),
        ({"definition": {"Type": "Task", "Resource": "pipeline", "End": True}}, "pipeline is a workflow"),
        ({"definition": task(Resource="arn:aws:states:::sqs:sendMessage", End=True)}, "tested with the result"),
        (
            {"definition": {"Type": "Parallel", "Branches": [definition(a=task())], "End": True}},
            "tested with the result",
        ),
    ],
)
async def test_what_is_refused(kit: Kit, body: Json, says: str) -> None:
    async with frontend(kit) as node:
        status, found = await refused(node, **body)
        assert (status, found.startswith("invalid: ")) == (400, True)
        assert says in found


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"definition": {"Type": "Pass", "End": true}, "input": %s}', "the input cannot be written"),
        ('{"definition": {"Type": "Pass", "End": true, "Result": %s}}', "the definition cannot be written"),
        ('{"definition": {"Type": "Pass", "End": true}, "variables": {"x": %s}}', "the variables cannot be written"),
        ('{"definition": {"Type": "Pass", "End": true}, "context": %s}', "the context cannot be written"),
        (
            '{"definition": {"Type": "Task", "Resource": "hello", "End": true}, "mock": {"result": %s}}',
            "the mock's result cannot be written",
        ),
    ],
)
async def test_what_is_nested_too_deeply_is_refused(kit: Kit, body: str, says: str) -> None:
    async with frontend(kit) as node:
        answer = await node.post(PATH, (body % DEEP).encode())
        assert answer.status_code == 400
        assert says in answer.json()["detail"]


SLOW = "{% $count($map([1..900], function($i) { $count($map([1..900], function($j) { $sum([1..1000]) })) })) %}"
"""Minutes, in steps that are too few for the evaluation to give up."""
LARGE = "{% $map([1..1500], function($i) { $pad('', 1000000, 'x') }) %}"


@pytest.mark.parametrize(
    ("output", "status", "says"),
    [(SLOW, 504, "timeout: the state was still computing after 3 s"), (LARGE, 400, "more than 1024 MiB of memory")],
)
async def test_expressions_that_take_too_much_are_given_up(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, output: str, status: int, says: str
) -> None:
    monkeypatch.setattr(trials, "LIMIT_S", 3.0 if status == 504 else 100.0)
    state = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": output, "End": True}
    async with frontend(kit) as node:
        found = await refused(node, definition=state)
        assert (found[0], says in found[1]) == (status, True), found
        assert (await node.get("/healthz")).status_code == 200


async def test_a_node_that_stops_does_not_wait_for_what_is_computed(kit: Kit) -> None:
    async with frontend(kit) as node:
        node.frontend.links.stop_waiting()
        state = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": SLOW, "End": True}
        assert await refused(node, definition=state) == (503, "stopping: the node is stopping")


async def test_a_function_that_is_not_deployed(kit: Kit) -> None:
    async with frontend(kit) as node:
        status, found = await refused(node, definition=task(End=True))
        assert (status, "no function or workflow is called 'f'" in found) == (404, True)


async def test_too_many_at_once_are_refused(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MAX_TRIALS", 1)
    async with frontend(kit) as node:
        first = node.post(PATH, orjson.dumps({"definition": HELLO}))
        published = await node.published()
        assert (await refused(node, definition=HELLO)) == (503, "overloaded: 1 states are being tried already")
        published.answer(b"1")
        assert (await first).status_code == 200
        assert (await tried(node, definition=HELLO, mock={"result": 1}))["status"] == "SUCCEEDED"
