"""Streamed responses over a real socket: pieces, credit, and every way one can end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from actorfaas.http.budget import Budget
from actorfaas.http.calls import MAX_PIECES, Event, StreamCall
from actorfaas.http.problems import Problem
from actorfaas.messages import CancelRequest, ChunkCredit, InvocationChunk
from tests.actors_kit import PATIENCE_S, Kit
from tests.frontend_kit import STREAM, Node, Published, frontend

PATH = "/v1/invoke/count"


@asynccontextmanager
async def streaming(node: Node) -> AsyncIterator[tuple[httpx.Response, Published]]:
    """A response under way, after its first piece `1`."""
    request = node.client.build_request("POST", PATH, content=b"3")
    sending = asyncio.create_task(node.client.send(request, stream=True))
    published = await node.published()
    published.piece(b"1")
    response = await sending
    try:
        yield response, published
    finally:
        await response.aclose()


async def test_pieces_arrive_one_by_one_as_lines(kit: Kit) -> None:
    async with frontend(kit) as node, streaming(node) as (response, published):
        assert published.message.stream is True
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/x-ndjson"
        assert response.headers["server-timing"].startswith("first;dur=")
        assert response.headers["x-request-id"] == published.message.request_id
        lines = response.aiter_lines()
        assert await anext(lines) == "1"
        published.piece(b'{"two": 2}')
        assert await anext(lines) == '{"two": 2}'
        published.answer(b"null", chunks=2)
        assert [line async for line in lines] == []


@pytest.mark.parametrize(
    ("content", "content_type"), [("bytes", "application/octet-stream"), ("text", "text/plain; charset=utf-8")]
)
async def test_pieces_that_are_not_json_are_sent_as_they_are(kit: Kit, content: str, content_type: str) -> None:
    async with frontend(kit) as node:
        call = node.post(PATH, b"3")
        published = await node.published()
        for piece in (b"ab", b"", b"c\n"):
            published.piece(piece, content)
        published.answer(b"null", chunks=3)
        response = await call
    assert response.headers["content-type"] == content_type
    assert response.content == b"abc\n"


async def test_every_piece_is_credited_once(kit: Kit) -> None:
    async with frontend(kit) as node, streaming(node) as (response, published):
        lines = response.aiter_lines()
        await anext(lines)
        credited = (await node.queue.expect(ChunkCredit)).chunks
        for number in range(5):
            published.piece(b"%d" % number)
        while credited < 6:
            credited += (await node.queue.expect(ChunkCredit)).chunks
        assert credited == 6
        published.answer(b"null", chunks=6)
        assert len([line async for line in lines]) == 5


async def test_generator_without_items_is_an_empty_body(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post(PATH)
        (await node.published()).answer(b"null")
        response = await call
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/x-ndjson"


async def test_failure_before_the_first_piece_is_an_ordinary_problem(kit: Kit) -> None:
    async with frontend(kit) as node:
        call = node.post(PATH)
        (await node.published()).fail("handler_error", error_type="ValueError", error_message="no")
        response = await call
    assert response.status_code == 500
    assert response.json()["error_type"] == "ValueError"


async def test_failure_after_the_first_piece_cuts_the_body(kit: Kit) -> None:
    async with frontend(kit) as node, streaming(node) as (response, published):
        published.fail("handler_error", error_type="ValueError")
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()
        assert node.frontend.invoker.in_flight == 0


async def test_pieces_before_a_failure_are_still_delivered(kit: Kit) -> None:
    async with frontend(kit) as node, streaming(node) as (response, published):
        published.piece(b"2")
        published.fail("worker_lost")
        lines = response.aiter_lines()
        assert [await anext(lines), await anext(lines)] == ["1", "2"]
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(lines)


async def test_caller_that_hangs_up_ends_the_handler(kit: Kit) -> None:
    async with frontend(kit) as node:
        async with streaming(node) as (response, published):
            await response.aclose()
            cancelled = await node.queue.expect(CancelRequest)
        assert cancelled == CancelRequest(request_id=published.message.request_id, kill=True)


async def test_pieces_of_mixed_content_end_the_stream(kit: Kit) -> None:
    async with frontend(kit) as node, streaming(node) as (response, published):
        published.piece(b"raw", "bytes")
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()
        assert (await node.queue.expect(CancelRequest)).kill is True


async def test_slow_reader_gets_no_further_credit(kit: Kit) -> None:
    """The client reads nothing: what the socket does not take is not credited."""
    piece = b'"' + b"x" * 1_000_000 + b'"'
    async with frontend(kit) as node:
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        reader.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(reader, ("127.0.0.1", node.port))
        await loop.sock_sendall(
            reader, b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" % PATH.encode()
        )
        published = await node.published()
        credited = 0
        for _ in range(3):  # the first fills the socket's buffers, the second the server's
            published.piece(piece)
        credited += (await node.queue.expect(ChunkCredit)).chunks
        for _ in range(20):
            published.piece(piece)
            await node.get("/healthz")  # the Frontend has had its turn
        credited += sum(credit.chunks for credit in node.queue.received(ChunkCredit))
        assert credited < 20
        reader.close()
        assert (await node.queue.expect(CancelRequest)).kill is True


async def test_flood_of_pieces_beyond_any_credit_ends_the_call() -> None:
    async def receive() -> Event:
        raise AssertionError("not read")

    call = StreamCall("r", 0, 0, receive, Budget(0).share())
    for _ in range(MAX_PIECES):
        call.add(InvocationChunk("r", "json", b"1"))
    assert not call.future.done()
    call.add(InvocationChunk("r", "json", b"1"))
    assert isinstance(call.future.result(), Problem)
    call.add(InvocationChunk("r", "json", b"1"))
    assert len(call.pieces) == MAX_PIECES


async def test_reader_that_never_reads_is_given_up_after_the_deadline(kit: Kit) -> None:
    quick = replace(STREAM, timeout_s=0.1)
    kit.configure(ask_timeout_s=PATIENCE_S)
    async with frontend(kit, routes=(quick,), ask_timeout_s=0.1) as node:
        call = node.post(PATH)
        published = await node.published()
        published.piece(b"1")
        with pytest.raises(httpx.RemoteProtocolError):
            await call
        assert (await node.queue.expect(CancelRequest)).kill is True
