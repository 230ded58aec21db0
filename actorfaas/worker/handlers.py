"""Calling a handler whatever its kind: plain, `async def`, generator, async generator.

The way of calling is chosen once, when the worker starts. What becomes of a result or of a stream's items is decided
in `worker`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING

from actorfaas.context import Context
from actorfaas.worker.encoding import BadResult, Json, dumps

if TYPE_CHECKING:
    import asyncio

    from actorfaas.declarations import AnyFunction

STREAMING_KINDS = frozenset({"generator", "async_generator"})
ASYNC_KINDS = frozenset({"async", "async_generator"})

Call = Callable[[Json, Context | None], Json]
"""Calls a handler; for the streaming kinds the result is an iterator of items."""

_END = object()


def call_of(function: AnyFunction) -> Call:
    """How to call the handler of `function` with an event and a context (None when it takes none)."""
    handler = function.handler
    if function.takes_context:
        plain: Call = handler
    else:

        def plain(event: Json, context: Context | None) -> Json:
            return handler(event)

    if function.kind == "async":
        loop = _Loop()
        return lambda event, context: loop.run(plain(event, context))
    if function.kind == "async_generator":
        loop = _Loop()
        return lambda event, context: loop.iterate(plain(event, context))
    return plain


def encode_chunk(item: Json, content: str) -> tuple[str, bytes]:
    """One item of a stream as (content, bytes). `content` is that of the items before, "" for the first, which
    decides: bytes, text (a str) or json (anything else). Raises BadResult."""
    is_bytes = isinstance(item, bytes | bytearray | memoryview)
    if not content:
        content = "bytes" if is_bytes else "text" if isinstance(item, str) else "json"
    if content == "bytes" and is_bytes:
        return content, bytes(item)
    if content == "text" and isinstance(item, str):
        return content, item.encode("utf-8", "replace")
    if content == "json":
        return content, dumps(item, "yielded value")
    raise BadResult(
        f"a {type(item).__name__} was yielded after {content}; the first item decides what a stream is made of"
    )


class _Loop:
    """The event loop of a worker's coroutines, made at the first call, so always after the fork.

    It stays for the worker's life, so that what user code keeps (clients, locks) stays usable; between calls it
    stands still.
    """

    __slots__ = ("_loop",)

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Json, Json, Json]) -> Json:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(coroutine)

    def iterate(self, items: AsyncGenerator[Json, None]) -> Iterator[Json]:
        try:
            while (item := self.run(_next(items))) is not _END:
                yield item
        finally:
            self.run(items.aclose())


async def _next(items: AsyncGenerator[Json, None]) -> Json:
    return await anext(items, _END)
