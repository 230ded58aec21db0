"""Running declared functions in this process, one after the other, for unit tests; no node, no worker.

Owns how a handler of each kind is called to its end here. The platform's own way of calling handlers is in `worker`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from actorfaas.context import Context, KeyValue, MemoryKeyValue
from actorfaas.declarations import Chain
from actorfaas.ids import new_id

if TYPE_CHECKING:
    from actorfaas.declarations import AnyFunction

Json = Any  # a decoded JSON document: the caller's business


def run_chain(chain: Chain, value: Json, kv: KeyValue | None = None) -> Json:
    """Give `value` to the first function, each result to the next one; returns the last result."""
    execution_id = new_id("exe")
    kv = MemoryKeyValue() if kv is None else kv
    for state, step in zip(chain.state_names(), chain.steps, strict=True):
        context = Context(
            request_id=new_id("req"),
            execution_id=execution_id,
            function_name=step.name,
            state=state,
            kv=kv,
        )
        value = _through_json(state, call(step, _through_json(state, value), context))
    return value


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


def _through_json(state: str, value: Json) -> Json:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise TypeError(f"state {state!r}: the value is not JSON: {error}") from error
