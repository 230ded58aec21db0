"""Calling declared functions in this process, for unit tests; no node, no worker.

Owns how a handler of each kind is called to its end here. The platform's own way of calling handlers is in `worker`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorfaas.context import Context
    from actorfaas.declarations import AnyFunction

Json = Any  # a decoded JSON document: the caller's business


def call(declared: AnyFunction, event: Json, context: Context) -> Json:
    """Call a declared function to its end, whatever its kind; a generator's items become a list."""
    arguments = (event, context) if declared.takes_context else (event,)
    result = declared.handler(*arguments)
    if declared.kind == "async":
        return asyncio.run(result)
    if declared.kind == "async_generator":
        return asyncio.run(_collected(result))
    return list(result) if isinstance(result, Iterator) else result


async def _collected(items: AsyncIterator[Json]) -> list[Json]:
    return [item async for item in items]
