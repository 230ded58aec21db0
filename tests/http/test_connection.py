"""Bounds on a request's head, over bare sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from actorfaas.http import connection
from tests.actors_kit import PATIENCE_S, Kit
from tests.frontend_kit import Node, frontend

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


@pytest.mark.parametrize("said", [b"", b"GET /hea"])
async def test_a_client_that_asks_for_nothing_is_disconnected(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.05)
    async with frontend(kit) as node, client(node) as (reader, writer):
        writer.write(said)
        assert await until_closed(reader) == b""


async def test_the_next_head_has_a_time_limit_too(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with frontend(kit) as node, client(node) as (reader, writer):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"}")
        monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.05)
        writer.write(b"GET /hea")
        await until_closed(reader)
        assert reader.at_eof()


async def test_a_call_may_take_longer_than_a_head(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.05)
    async with frontend(kit) as node:
        call = node.post("/v1/invoke/hello", b"1")
        published = await node.published()
        async with client(node) as (reader, _):
            await until_closed(reader)  # another connection's head has timed out meanwhile
        published.answer(b"2")
        assert (await call).content == b"2"
