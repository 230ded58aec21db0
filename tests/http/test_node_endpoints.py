"""The node's own endpoints over a real socket: workers, figures, health, and what is refused on all paths."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from actorfaas import __version__
from actorfaas.messages import (
    ConnectedWorker,
    DescribePool,
    DescribeQueue,
    DescribeSupervisor,
    FunctionMemory,
    MeasureMemory,
    MeasurePool,
    MeasureTopics,
    MemoryFigures,
    PoolDescription,
    PoolFigures,
    QueueDescription,
    StateCount,
    SupervisorDescription,
    TemplateState,
    TopicFigures,
    TopicState,
    WorkerState,
)
from tests.actors_kit import Kit
from tests.frontend_kit import Node, frontend
from tests.http.shapes import check


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
