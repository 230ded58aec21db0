"""The Frontend as an actor: parts that come and go, the inherited socket, and a graceful stop."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import httpx
import pytest

from actorfaas.actors.frontend import Frontend
from actorfaas.http.server import FD_VARIABLE
from actorfaas.messages import (
    DescribeQueue,
    Done,
    ExecutionAccepted,
    GetRoutes,
    Publish,
    Refused,
    RoutesChanged,
    StartExecution,
    WaitExecution,
)
from tests.actors_kit import PATIENCE_S, Kit
from tests.frontend_kit import HELLO, ROUTES, Published, frontend


async def test_calls_under_way_fail_at_once_when_the_local_queue_goes(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        await node.published()
        await kit.stop(node.queue)
        response = await call
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json()["retryable"] is True
    assert response.json()["type"].endswith(":restarting")


async def test_streams_under_way_are_cut_when_the_local_queue_goes(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/count", b"1")
        (await node.published()).piece(b"1")
        await node.queue.until(lambda: node.frontend.metrics.streamed_pieces or None, "the first piece")
        await kit.stop(node.queue)
        with pytest.raises(httpx.RemoteProtocolError):
            await call


async def test_new_call_waits_for_a_part_that_restarts(kit: Kit) -> None:
    async with frontend(kit) as node:
        await kit.stop(node.queue)
        async with asyncio.timeout(PATIENCE_S):
            while node.frontend.is_connected("local_queue"):
                await node.get("/healthz")
        call = node.post("/v1/invoke/hello", b"1")
        queue = await kit.fake("local_queue")
        published = Published(*await queue.expect_ask(Publish))
        published.answer(b"2")
        assert (await call).content == b"2"


async def test_new_call_is_refused_when_the_part_stays_away(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with frontend(kit) as node:
        await kit.stop(node.queue)
        async with asyncio.timeout(PATIENCE_S):
            while node.frontend.is_connected("local_queue"):
                await node.get("/healthz")
        response = await node.post("/v1/invoke/hello", b"1")
    assert response.status_code == 503
    assert "local_queue" in response.json()["detail"]


async def test_plain_calls_go_on_without_the_execution_manager_and_data_layer(kit: Kit) -> None:
    async with frontend(kit) as node:
        await kit.stop(node.manager)
        await kit.stop(node.data)
        call = node.post("/v1/invoke/hello", b"1")
        (await node.published()).answer(b"2")
        assert (await call).content == b"2"


async def test_routes_are_asked_again_after_a_restart(kit: Kit) -> None:
    async with frontend(kit) as node:
        await kit.stop(node.manager)
        manager = await kit.fake("execution_manager")
        _, sender = await manager.expect_ask(GetRoutes)
        sender.reply(RoutesChanged((replace(HELLO, name="other"),)))
        async with asyncio.timeout(PATIENCE_S):
            while node.frontend.directory.get("other") is None:
                await node.get("/healthz")
        assert (await node.post("/v1/invoke/hello", b"1")).status_code == 404


async def test_refused_routes_are_asked_again(kit: Kit) -> None:
    kit.configure(port=0)
    manager = await kit.fake("execution_manager")
    refusals = iter([Refused("unavailable", "still recovering", True)])
    manager.answer(GetRoutes, lambda _: next(refusals, RoutesChanged(ROUTES)))
    actor = await kit.start(Frontend(kit.settings))
    async with asyncio.timeout(PATIENCE_S):
        await actor.directory.known.wait()


async def test_call_before_the_routes_are_known_waits_for_them(kit: Kit) -> None:
    kit.configure(port=0)
    queue = await kit.fake("local_queue")
    manager = await kit.fake("execution_manager")
    actor = await kit.start(Frontend(kit.settings))
    _, sender = await manager.expect_ask(GetRoutes)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{actor.address[1]}") as client:
        call = asyncio.create_task(client.post("/v1/invoke/hello", content=b"1"))
        async with asyncio.timeout(PATIENCE_S):
            await client.get("/healthz")
        sender.reply(RoutesChanged(ROUTES))
        Published(*await queue.expect_ask(Publish)).answer(b"2")
        assert (await call).content == b"2"


async def test_message_that_is_not_for_it_is_refused(kit: Kit) -> None:
    async with frontend(kit) as node:
        stranger = await kit.fake("stranger", peers=("frontend",))
        with pytest.raises(Exception, match="does not take DescribeQueue"):
            await stranger.ask("frontend", DescribeQueue(), Done)
        assert (await node.get("/healthz")).status_code == 200


async def test_listening_socket_of_the_node_outlives_the_frontend(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv(FD_VARIABLE, str(listener.fileno()))
    try:
        async with frontend(kit) as node:
            assert node.port == listener.getsockname()[1]
            await kit.stop(node.frontend, deadline_s=5)
            loop = asyncio.get_running_loop()
            client = socket.socket()
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", node.port))  # waits in the backlog instead of being refused
            await loop.sock_sendall(client, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            again = await kit.start(Frontend(kit.settings))
            assert again.address[1] == node.port
            async with asyncio.timeout(PATIENCE_S):
                assert (await loop.sock_recv(client, 4096)).startswith(b"HTTP/1.1 200")
            client.close()
    finally:
        listener.close()


# --- a graceful stop -------------------------------------------------------------------------------------------------


async def test_stop_lets_calls_finish(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        stopping = asyncio.create_task(kit.stop(node.frontend, deadline_s=PATIENCE_S))
        await asyncio.sleep(0)  # the task has begun: it waits for the call now
        assert node.frontend.invoker.is_stopping
        published.answer(b"done")
        assert (await call).content == b"done"
        await stopping


async def test_stopping_frontend_takes_no_new_calls(kit: Kit) -> None:
    async with frontend(kit) as node:
        node.frontend.invoker.is_stopping = True
        response = await node.post("/v1/invoke/hello", b"2")
        assert response.status_code == 503
        assert response.json()["type"].endswith(":stopping")
        assert response.headers["connection"] == "close"
        assert not node.queue.received(Publish)


async def test_stop_answers_what_does_not_finish_in_time(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        await node.published()
        node.manager.answer(StartExecution, lambda message: ExecutionAccepted(message.execution_id, 1))
        workflow = node.post("/v1/invoke/pipeline", b"1")
        question = await node.data.expect(WaitExecution)
        await kit.stop(node.frontend, deadline_s=1.0)
        for response in (await call, await workflow):
            assert response.status_code == 503
            assert response.json()["type"].endswith(":stopping")
        assert (await workflow).json()["execution_id"] == question.execution_id


async def test_stop_ends_long_polls(kit: Kit) -> None:
    async with frontend(kit) as node:
        poll = asyncio.create_task(node.get("/v1/executions/exe_1?wait=30"))
        await node.data.expect(WaitExecution)
        await kit.stop(node.frontend, deadline_s=2.0)
        assert (await poll).status_code == 503


async def test_stop_of_an_idle_frontend_closes_its_port(kit: Kit) -> None:
    async with frontend(kit) as node:
        await node.get("/healthz")
        await kit.stop(node.frontend, deadline_s=5)
        with pytest.raises(httpx.ConnectError):
            await node.get("/healthz")
