"""The ordinary endpoints over a real socket: what they ask, what they answer, what they refuse."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas import __version__
from actorfaas.http.calls import now_ns
from actorfaas.http.records import MAX_READS
from actorfaas.messages import (
    BundleRef,
    CancelExecution,
    ConnectedWorker,
    Deploy,
    Deployed,
    DeploymentRecord,
    Deployments,
    DescribePool,
    DescribeQueue,
    DescribeSupervisor,
    Done,
    ExecutionInput,
    ExecutionRedriven,
    Executions,
    ExecutionSummary,
    FunctionMemory,
    FunctionSpec,
    GetExecution,
    GetExecutionInput,
    ListDeployments,
    ListExecutions,
    LogLine,
    Logs,
    MeasureMemory,
    MeasurePool,
    MeasureTopics,
    MemoryFigures,
    PoolDescription,
    PoolFigures,
    QueueDescription,
    ReadLogs,
    RedriveExecution,
    Refused,
    RemoveApp,
    Rollback,
    StateCount,
    SupervisorDescription,
    TemplateState,
    TopicFigures,
    TopicState,
    WaitExecution,
    WorkerState,
    WorkflowSpec,
)
from tests.actors_kit import Kit
from tests.frontend_kit import Node, execution_state, frontend
from tests.http.shapes import check

SPEC = FunctionSpec(
    name="hello",
    module="app",
    kind="sync",
    strategy="auto",
    timeout_s=0.0,
    memory_mb=512,
    concurrency=16,
    queue_limit=1000,
    warm=1,
    idle_timeout_s=60.0,
    retries=0,
    retry_delay_s=0.1,
    init="",
    env={"PASSWORD": "hunter2"},
    description="says hello",
)
FLOW = WorkflowSpec("pipeline", b'{"StartAt":"hello"}', "standard", 60.0, "")
RECORD = DeploymentRecord(
    "app", 1, True, 1_700_000_000_000, BundleRef("app", "ab", "/x", "app.py", "/py"), (SPEC,), (FLOW,)
)
DEPLOYED = Deployed("app", 2, ("hello",), ("pipeline",), ())


@pytest.fixture
async def node(kit: Kit) -> AsyncIterator[Node]:
    async with frontend(kit) as made:
        yield made


# --- deployments -------------------------------------------------------------------------------------------------


def archives(node: Node) -> list[str]:
    """The names of what is stored."""
    return sorted(path.name for path in (node.kit.settings.data_dir / "archives").iterdir())


async def test_upload_is_stored_by_its_content_and_deployed(node: Node) -> None:
    asked: list[tuple[Deploy, bytes]] = []

    def deploy(message: Deploy) -> Deployed:
        asked.append((message, Path(message.archive).read_bytes()))
        return DEPLOYED

    node.manager.answer(Deploy, deploy)
    body = b"PK" + bytes(300_000)
    response = await node.client.put("/v1/deployments/app?entry=src/main.py", content=body)
    sha256 = hashlib.sha256(body).hexdigest()
    message, stored = asked[0]
    assert (message.app, message.entry, message.sha256) == ("app", "src/main.py", sha256)
    assert stored == body
    assert archives(node) == [f"{sha256}.zip"]
    assert response.status_code == 201
    check(response.json(), "Deployed")


async def test_failed_deployment_names_the_cause_and_forgets_the_upload(node: Node) -> None:
    text = "Traceback (most recent call last):\n  File app.py\nModuleNotFoundError: No module named 'x'"
    node.manager.answer(Deploy, Refused("deploy_failed", text))
    response = await node.client.put("/v1/deployments/app", content=b"PK1")
    assert response.status_code == 422
    problem = response.json()
    check(problem, "Problem")
    assert problem["detail"] == "ModuleNotFoundError: No module named 'x'"
    assert problem["traceback"] == text
    assert archives(node) == []


async def test_failed_deployment_of_what_was_there_before_keeps_it(node: Node) -> None:
    node.manager.answer(Deploy, DEPLOYED)
    await node.client.put("/v1/deployments/app", content=b"PK1")
    before = archives(node)
    node.manager.answer(Deploy, Refused("conflict", "hello belongs to another application"))
    assert (await node.client.put("/v1/deployments/other", content=b"PK1")).status_code == 409
    assert archives(node) == before


@pytest.mark.parametrize(
    "path",
    ["/v1/deployments/-bad", "/v1/deployments/a%20b", "/v1/deployments/a?entry=../x.py", "/v1/deployments/a?entry=/x"],
)
async def test_deployment_with_a_bad_name_or_entry_is_refused(node: Node, path: str) -> None:
    assert (await node.client.put(path, content=b"PK")).status_code == 400
    assert not node.manager.received(Deploy)


async def test_empty_and_oversized_uploads_are_refused_and_leave_nothing(kit: Kit) -> None:
    async with frontend(kit, max_bundle_bytes=1000) as node:
        assert (await node.client.put("/v1/deployments/app", content=b"")).status_code == 400
        assert (await node.client.put("/v1/deployments/app", content=b"x" * 1001)).status_code == 413
        assert archives(node) == []


async def test_deploy_is_not_repeated_when_the_execution_manager_restarts(node: Node) -> None:
    sending = node.client.put("/v1/deployments/app", content=b"PK")

    call = asyncio.create_task(sending)
    await node.manager.expect(Deploy)
    node.manager.callers["frontend"].close()
    assert (await call).status_code == 503
    assert not node.manager.received(Deploy)


async def test_that_a_deployment_changed_nothing_is_said(node: Node) -> None:
    node.manager.answer(Deploy, DEPLOYED)
    assert (await node.client.put("/v1/deployments/app", content=b"PK1")).json()["unchanged"] is False
    node.manager.answer(Deploy, replace(DEPLOYED, unchanged=True))
    assert (await node.client.put("/v1/deployments/app", content=b"PK1")).json()["unchanged"] is True


async def test_rollback_and_remove(node: Node) -> None:
    asked: list[Rollback] = []
    node.manager.answer(Rollback, lambda message: asked.append(message) or DEPLOYED)  # type: ignore[func-returns-value]
    node.manager.answer(RemoveApp, lambda message: Done() if message.app == "app" else Refused("not_found", "no"))
    for body, version in ((b"", 0), (b'{"version": 3}', 3)):
        response = await node.post("/v1/deployments/app/rollback", body)
        assert response.status_code == 200
        check(response.json(), "Deployed")
        assert asked[-1] == Rollback("app", version)
    assert (await node.client.delete("/v1/deployments/app")).status_code == 204
    assert (await node.client.delete("/v1/deployments/other")).status_code == 404


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"version": "1"}', b'{"version": -1}', b'{"version": true}'])
async def test_rollback_to_nonsense_is_refused(node: Node, body: bytes) -> None:
    assert (await node.post("/v1/deployments/app/rollback", body)).status_code == 400


async def test_deployments_are_listed(node: Node) -> None:
    asked: list[ListDeployments] = []

    def answer(message: ListDeployments) -> Deployments:
        asked.append(message)
        return Deployments((RECORD,) if message.app in ("", "app") else ())

    node.data.answer(ListDeployments, answer)
    for path, question in (
        ("/v1/deployments", ListDeployments("", True)),
        ("/v1/deployments/app", ListDeployments("app", False)),
    ):
        response = await node.get(path)
        check(response.json(), "Deployments")
        assert asked[-1] == question
    assert (await node.get("/v1/deployments/other")).status_code == 404


async def test_functions_and_workflows_are_listed_without_secrets(node: Node) -> None:
    node.data.answer(ListDeployments, Deployments((RECORD,)))
    functions = (await node.get("/v1/functions")).json()
    check(functions, "Functions")
    one = (await node.get("/v1/functions/hello")).json()
    assert functions["functions"] == [one]
    assert (one["topic"], one["serving"], one["timeout_s"]) == ("hello@1", True, 30.0)
    assert one["env"] == ["PASSWORD"]
    workflows = (await node.get("/v1/workflows")).json()
    check(workflows, "Workflows")
    assert (await node.get("/v1/workflows/pipeline")).json()["definition"] == {"StartAt": "hello"}
    for path in ("/v1/functions/pipeline", "/v1/workflows/hello"):
        assert (await node.get(path)).status_code == 404


async def test_function_of_a_version_that_does_not_serve_says_so(node: Node) -> None:
    node.data.answer(ListDeployments, Deployments((replace(RECORD, version=7),)))
    one = (await node.get("/v1/functions/hello")).json()
    assert (one["serving"], one["topic"]) == (False, "")


# --- executions and logs -----------------------------------------------------------------------------------------


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


# --- the node itself ---------------------------------------------------------------------------------------------


async def test_workers_are_what_both_sides_know(node: Node) -> None:
    pool = PoolDescription((WorkerState("hello@1_7", "hello", 1, 7, "busy", "fork", "hello@1", 5_000_000, 1),), 1, 2, 0)
    seven = ConnectedWorker("hello@1_7", "hello@1", 7, "fork", "hello@1", "busy", "req_1", "", 3, 0)
    eight = replace(seven, worker_topic="hello@1_8", pid=8, activity="idle", request_id="")
    queue = QueueDescription((TopicState("hello@1", 0, 1000, 2, 1),), (seven, eight))
    node.manager.answer(DescribePool, pool)
    node.queue.answer(DescribeQueue, queue)
    found = (await node.get("/v1/workers")).json()
    check(found, "Workers")
    known, stranger = found["workers"]
    assert (known["state"], known["activity"], known["request_id"], known["connected"]) == (
        "busy",
        "busy",
        "req_1",
        True,
    )
    assert known["tasks"] == 3, "plain calls are counted too, and only the LocalQueue sees them"
    assert (stranger["worker"], stranger["function"], stranger["version"], stranger["state"]) == (
        "hello@1_8",
        "hello",
        1,
        "",
    )


POOL = PoolDescription((), 0, 0, 0, "outside", "process_madvise, then reclaim of control groups", 7, 20, 40, 3)


async def test_workers_tell_their_memory(node: Node) -> None:
    one = WorkerState(
        "hello@1_7", "hello", 1, 7, "swapped", "fork", "", 0, 1, 300_000, 80_000_000, 8_000_000, 12_800_000
    )
    unknown = WorkerState("hello@1_8", "hello", 1, 8, "resident", "fork", "hello@1", 0, 1)
    stranger = ConnectedWorker("hello@1_9", "hello@1", 9, "fork", "hello@1", "idle", "", "", 0, 0)
    node.manager.answer(DescribePool, replace(POOL, workers=(one, unknown)))
    node.queue.answer(DescribeQueue, QueueDescription((), (stranger,)))
    found = (await node.get("/v1/workers")).json()
    check(found, "Workers")
    names = ("usage_bytes", "swap_bytes", "working_set_bytes", "last_page_in_ms")
    memory = [tuple(worker[name] for name in names) for worker in found["workers"]]
    assert memory == [(300_000, 80_000_000, 8_000_000, 12.8), (None,) * 4, (None,) * 4]
    assert (found["paging_mode"], found["paging_sentence"]) == (POOL.paging_mode, POOL.paging_sentence)
    assert (found["memory_usage_bytes"], found["memory_budget_bytes"]) == (7, 20)
    assert (found["swap_total_bytes"], found["swap_used_bytes"]) == (40, 3)


async def test_node_and_metrics_tell_of_paging(node: Node) -> None:
    node.manager.answer(DescribePool, POOL)
    mechanisms = (await node.get("/v1/node")).json()["mechanisms"]
    assert (mechanisms["paging_mode"], mechanisms["paging_sentence"]) == (POOL.paging_mode, POOL.paging_sentence)
    swapper = await node.kit.fake("swapper")
    node.manager.answer(MeasurePool, PoolFigures((StateCount("resident", 2),), 0, 0, 0, 0, ()))
    node.queue.answer(MeasureTopics, TopicFigures((TopicState("hello@1", 4, 1000, 2, 1),)))
    swapper.answer(MeasureMemory, MemoryFigures(7, 20, 40, 3, 1, 1, 100, 50, (FunctionMemory("hello@1", 5, 2),)))
    await node.frontend.wait_for_peer("swapper")
    text = (await node.get("/metrics")).text
    assert "actorfaas_swap_used_bytes 3\n" in text
    assert 'actorfaas_function_memory_bytes{topic="hello@1"} 5\n' in text
    assert 'actorfaas_workers{state="resident"} 2\n' in text
    assert 'actorfaas_topic_waiting{topic="hello@1"} 4\n' in text


async def test_node_shows_settings_without_the_token(kit: Kit) -> None:
    async with frontend(kit, api_token="secret") as node:
        supervisor = await kit.fake("fw_supervisor")
        supervisor.answer(DescribeSupervisor, SupervisorDescription((TemplateState("hello@1", 9, True, 1, 2, 0),)))
        await kit.fake("swapper")
        for peer in ("fw_supervisor", "swapper"):
            await node.frontend.wait_for_peer(peer)
        response = await node.get("/v1/node", Authorization="Bearer secret")
    found = response.json()
    check(found, "Node")
    assert "secret" not in response.text
    assert (found["version"], found["ready"], found["settings"]["api_token"]) == (__version__, True, "***")
    assert found["settings"]["run_dir"] == str(kit.settings.run_path)
    connected = {actor["actor"]: actor["connected"] for actor in found["actors"]}
    assert connected == dict.fromkeys(
        ("data_layer", "swapper", "local_queue", "fw_supervisor", "execution_manager", "frontend"), True
    )
    assert found["mechanisms"]["templates"][0]["pid"] == 9


async def test_actor_that_is_away_is_shown_as_such(node: Node) -> None:
    found = (await node.get("/v1/node")).json()
    check(found, "Node")
    assert {actor["actor"] for actor in found["actors"] if not actor["connected"]} == {"fw_supervisor", "swapper"}
    assert found["mechanisms"]["templates"] == []


async def test_health_and_readiness(kit: Kit) -> None:
    async with frontend(kit) as node:
        check((await node.get("/healthz")).json(), "Health")
        ready = await node.get("/readyz")
        assert ready.status_code == 200
        check(ready.json(), "Readiness")
        await kit.stop(node.data)
        async with asyncio.timeout(10):
            while node.frontend.is_connected("data_layer"):
                await node.get("/healthz")
        away = await node.get("/readyz")
        assert away.status_code == 503
        assert away.json() == {"ready": False, "waiting_for": ["data_layer"]}
        assert (await node.get("/healthz")).status_code == 200


async def test_openapi_is_served(node: Node) -> None:
    document = (await node.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    assert "/v1/invoke/{name}" in document["paths"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("OPTIONS", "/v1/deployments/app", 204, "PUT, GET, DELETE, HEAD, OPTIONS"),
        ("POST", "/v1/node", 405, "GET, HEAD, OPTIONS"),
        ("PUT", "/healthz", 405, "GET, HEAD, OPTIONS"),
        ("HEAD", "/healthz", 200, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/v1/node/", 404, None),
        ("GET", "/v1/invoke", 404, None),
    ],
)
async def test_methods_and_paths(node: Node, method: str, path: str, status: int, allow: str | None) -> None:
    response = await node.client.request(method, path)
    assert response.status_code == status
    assert response.headers.get("allow") == allow
    assert response.headers["x-request-id"].startswith("req_")
    if status >= 400:
        check(response.json(), "Problem")
    if method == "HEAD":
        assert response.content == b""


async def test_pages_of_other_sites_cannot_read_or_write(node: Node) -> None:
    for path in ("/v1/node", "/metrics", "/openapi.json"):
        assert (await node.get(path, Origin="https://evil.example")).status_code == 403
        assert (await node.get(path, Host="evil.example")).status_code == 403
    assert (await node.get("/healthz", Host="10.0.0.7")).status_code == 200


async def test_the_run_folder_is_shown_as_it_is_found_from_anywhere(kit: Kit) -> None:
    kit.configure(run_dir=Path())  # as most nodes have it: below the data folder
    async with frontend(kit) as node:
        assert (await node.get("/v1/node")).json()["settings"]["run_dir"] == str(kit.settings.data_dir / "run")
