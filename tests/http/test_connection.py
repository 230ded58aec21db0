"""Bounds on a request's head, over bare sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from unittest.mock import Mock

import pytest
import uvicorn
from uvicorn.server import ServerState

from actorfaas.config import Settings
from actorfaas.http import connection
from actorfaas.http.connection import BoundedProtocol
from actorfaas.http.deployments import MAX_UPLOADS
from tests.actors_kit import PATIENCE_S, Kit
from tests.frontend_kit import Node, frontend

LARGE_BYTES = 32 * 1024 * 1024
"""More than a socket's buffers hold."""

GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"


@asynccontextmanager
async def client(node: Node) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield reader, writer
    finally:
        writer.close()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What still comes before the connection ends, in whatever way."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("endless", [b"x: " + b"y" * 1000 + b"\r\n", b"y" * 1000, b"\r\n" * 500])
async def test_a_head_without_end_is_refused(kit: Kit, endless: bytes) -> None:
    async with frontend(kit) as node, client(node) as (reader, writer):
        writer.write(b"" if endless.startswith(b"\r") else GET + b"a: ")
        refused = asyncio.create_task(until_closed(reader))
        sent = 0
        while not refused.done() and sent < 64 * connection.MAX_HEAD_BYTES:
            writer.write(endless * 16)
            sent += 16 * len(endless)
            await asyncio.wait({refused}, timeout=0)
        answer = await refused
    assert sent < 64 * connection.MAX_HEAD_BYTES
    if answer:  # unread input turns the close into a reset, which may overtake the answer
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 ")
        assert json.loads(body)["type"] == "urn:actorfaas:problem:head_too_large"


async def test_a_head_of_the_usual_size_in_pieces_is_answered(kit: Kit) -> None:
    async with frontend(kit) as node, client(node) as (reader, writer):
        for _ in range(2):
            for piece in (GET, b"x: " + b"y" * 8000 + b"\r\n", b"\r\n"):
                writer.write(piece)
                await writer.drain()
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readuntil(b"}")


async def test_a_client_that_asks_for_nothing_is_disconnected(kit: Kit) -> None:
    async with frontend(kit, head_timeout_s=0.05) as node, client(node) as (reader, _):
        assert await until_closed(reader) == b""


async def test_a_head_that_is_not_completed_is_408(kit: Kit) -> None:
    async with frontend(kit, head_timeout_s=0.05) as node, client(node) as (reader, writer):
        writer.write(b"GET /hea")
        head, _, body = (await until_closed(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["type"] == "urn:actorfaas:problem:head_timeout"


async def test_the_next_head_has_a_time_limit_too(kit: Kit) -> None:
    async with frontend(kit, head_timeout_s=2.0) as node, client(node) as (reader, writer):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"}")
        writer.write(b"GET /hea")
        assert (await until_closed(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_call_may_take_longer_than_a_head(kit: Kit) -> None:
    async with frontend(kit, head_timeout_s=0.05) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        async with client(node) as (reader, _):
            await until_closed(reader)  # another connection's head has timed out meanwhile
        published.answer(b"2")
        assert (await call).content == b"2"


@pytest.mark.parametrize("path", [b"POST /v1/invoke/hello", b"PUT /v1/deployments/app"])
async def test_a_body_that_is_not_completed_is_408(kit: Kit, path: bytes) -> None:
    async with (
        frontend(kit, body_timeout_s=0.05, upload_timeout_s=0.05) as node,
        client(node) as (reader, writer),
    ):
        writer.write(path + b" HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n1")
        head, _, body = (await until_closed(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["type"] == "urn:actorfaas:problem:body_timeout"


async def test_the_rest_of_a_body_that_nobody_reads_has_a_time_limit(kit: Kit) -> None:
    async with frontend(kit, body_timeout_s=0.2) as node, client(node) as (reader, writer):
        writer.write(GET + b"content-length: 1000000\r\n\r\n")
        await reader.readuntil(b"}")
        closed = asyncio.create_task(until_closed(reader))
        while not closed.done():  # without end, were it not cut off
            writer.write(b"x")
            await asyncio.wait({closed}, timeout=0.01)
        assert await closed == b""


async def test_a_client_that_takes_nothing_of_a_result_is_cut_off(kit: Kit) -> None:
    async with frontend(kit, stall_timeout_s=0.1) as node, client(node) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can
        writer.write(b"POST /v1/invoke/hello HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n1")
        published = await node.published()
        published.answer(b"1" * LARGE_BYTES)
        await node.frontend.invoker.idle.wait()
        assert node.frontend.invoker.budget.used_bytes == 0
        writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
        assert len(await until_closed(reader)) < LARGE_BYTES


async def test_a_slow_reader_is_waited_for_while_it_takes_something(kit: Kit) -> None:
    async with frontend(kit, stall_timeout_s=5.0) as node, client(node) as (reader, writer):
        writer.write(b"POST /v1/invoke/hello HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n1")
        (await node.published()).answer(b"1" * LARGE_BYTES)
        await reader.readuntil(b"\r\n\r\n")
        assert node.frontend.invoker.in_flight == 1  # what the client has not taken is still the call's
        assert node.frontend.invoker.budget.used_bytes == LARGE_BYTES + 1
        await reader.readexactly(LARGE_BYTES)
        await node.frontend.invoker.idle.wait()
        assert node.frontend.invoker.budget.used_bytes == 0


async def test_uploads_at_once_are_bounded(kit: Kit) -> None:
    head = b"PUT /v1/deployments/app HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n1"
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(frontend(kit))
        for _ in range(MAX_UPLOADS):
            _, writer = await stack.enter_async_context(client(node))
            writer.write(head)
        async with asyncio.timeout(PATIENCE_S):
            while len(list((kit.settings.data_dir / "archives").iterdir())) < MAX_UPLOADS:
                await node.get("/healthz")
        assert (await node.client.put("/v1/deployments/app", content=b"PK")).status_code == 503


async def test_a_time_limit_of_many_years_is_no_fault(kit: Kit) -> None:
    async with frontend(kit, stall_timeout_s=1e9) as node:
        assert (await node.get("/healthz")).status_code == 200


class Slow:
    """A connection whose transport and timers the test plays."""

    def __init__(self) -> None:
        self.unsent_bytes = 0
        self.timers: list[Callable[[], None]] = []
        self.transport = Mock(get_write_buffer_size=lambda: self.unsent_bytes)
        settings = Settings(stall_timeout_s=1.0)
        config = uvicorn.Config(Mock(), log_config=None, lifespan="off")
        config.load()
        loop = Mock(call_later=self.call_later, create_task=self.create_task)
        self.protocol = BoundedProtocol.bounded_by(settings)(config, ServerState(), {}, loop)
        self.protocol.connection_made(self.transport)
        self.timers.clear()

    def call_later(self, _delay_s: float, callback: Callable[..., None], *arguments: object) -> Mock:
        def fire() -> None:
            callback(*arguments)

        self.timers.append(fire)
        return Mock(cancel=lambda: self.timers.remove(fire) if fire in self.timers else None)

    def create_task(self, work: Coroutine[object, object, None]) -> Mock:
        work.close()
        return Mock()

    def time_is_up(self) -> None:
        self.timers.pop()()


def test_a_client_that_takes_a_little_at_a_time_is_not_stalled() -> None:
    slow = Slow()
    slow.unsent_bytes = 100_000
    slow.protocol.pause_writing()
    slow.unsent_bytes = 0
    slow.protocol.resume_writing()
    assert not slow.timers
    slow.unsent_bytes = 500_000  # more than before, but other bytes
    slow.protocol.pause_writing()
    slow.unsent_bytes = 400_000
    slow.time_is_up()
    slow.transport.abort.assert_not_called()
    slow.time_is_up()
    slow.transport.abort.assert_called_once()


def test_a_client_that_took_its_response_before_the_next_one_is_not_stalled() -> None:
    slow = Slow()
    slow.unsent_bytes = 1_000
    slow.protocol.on_response_complete()
    slow.unsent_bytes = 0
    slow.protocol.data_received(GET + b"\r\n")
    slow.unsent_bytes = 60_000  # of the next response, which is still being made
    assert not slow.timers
