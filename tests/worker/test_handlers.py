"""Calling handlers of every kind, and what a stream's items become."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from actorfaas.api import function
from actorfaas.context import Context
from actorfaas.worker.encoding import BadResult
from actorfaas.worker.handlers import call_of, encode_chunk

closed: list[str] = []


@function
def plain(event: int) -> int:
    return event + 1


@function
def with_context(event: int, ctx: Context) -> list[object]:
    return [event, ctx.request_id]


@function
async def coroutine(event: int) -> int:
    await asyncio.sleep(0)
    return event * 2


@function
async def same_loop(event: int) -> int:
    return id(asyncio.get_running_loop())


@function
def generator(event: int) -> Iterator[int]:
    yield from range(event)


@function
async def async_generator(event: int, ctx: Context) -> AsyncIterator[object]:
    try:
        for number in range(event):
            await asyncio.sleep(0)
            yield [number, ctx.request_id]
    finally:
        closed.append("closed")


@pytest.fixture(autouse=True)
def close_loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker never closes its loop; these tests must."""
    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def remember() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", remember)
    yield
    for loop in loops:
        loop.close()


def test_plain_handlers_with_and_without_context() -> None:
    context = Context(request_id="req_1")
    assert call_of(plain)(1, None) == 2
    assert call_of(with_context)(1, context) == [1, "req_1"]


def test_a_coroutine_runs_to_its_end_in_one_loop_for_all_calls() -> None:
    assert call_of(coroutine)(21, None) == 42
    call = call_of(same_loop)
    assert call(0, None) == call(0, None)


def test_generators_of_both_kinds_are_iterators() -> None:
    assert list(call_of(generator)(3, None)) == [0, 1, 2]
    assert list(call_of(async_generator)(2, Context(request_id="r"))) == [[0, "r"], [1, "r"]]


def test_an_async_generator_that_is_not_exhausted_is_closed() -> None:
    closed.clear()
    items = call_of(async_generator)(5, Context())
    assert next(items) == [0, ""]
    items.close()
    assert closed == ["closed"]


@pytest.mark.parametrize(
    ("first", "second", "content", "data"),
    [
        ({"a": 1}, "text", "json", [b'{"a":1}', b'"text"']),
        (b"ab", bytearray(b"c"), "bytes", [b"ab", b"c"]),
        ("é", "x", "text", ["é".encode(), b"x"]),
        (memoryview(b"ab"), b"c", "bytes", [b"ab", b"c"]),
    ],
)
def test_the_first_item_decides_what_a_stream_is_made_of(
    first: object, second: object, content: str, data: list[bytes]
) -> None:
    found, encoded = encode_chunk(first, "")
    assert (found, encoded) == (content, data[0])
    assert encode_chunk(second, found) == (content, data[1])


@pytest.mark.parametrize(
    ("item", "content"), [("x", "bytes"), (b"x", "text"), (1, "text"), (b"x", "json"), ({1}, "json")]
)
def test_an_item_of_another_kind_is_refused(item: object, content: str) -> None:
    with pytest.raises(BadResult):
        encode_chunk(item, content)
