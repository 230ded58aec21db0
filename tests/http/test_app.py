"""What uvicorn's callable answers when a request cannot be finished."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import orjson
import pytest

from actorfaas import logs
from actorfaas.config import Settings
from actorfaas.http.app import App
from actorfaas.http.calls import Event
from actorfaas.http.guard import Guard

SCOPE: Event = {"type": "http", "method": "POST", "path": "/v1/invoke/f", "headers": [(b"x-request-id", b"r1")]}


class Invoker:
    """Stands in for the one that calls functions: never done, after beginning a response or not."""

    def __init__(self, begins: bool) -> None:
        self.begins = begins
        self.entered = asyncio.Event()

    async def __call__(self, scope: Event, receive: Any, send: Any) -> None:
        if self.begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        self.entered.set()
        await asyncio.Event().wait()


async def cancelled(begins: bool) -> list[Event]:
    """What was sent for a request whose task is cancelled, by a server that takes one response."""
    sent: list[Event] = []

    async def send(event: Event) -> None:
        if event["type"] == "http.response.start" and sent:
            raise RuntimeError("the response has begun")
        sent.append(event)

    async def receive() -> Event:
        return {"type": "http.disconnect"}

    invoker = Invoker(begins)
    endpoints: Any = defaultdict(lambda: None)  # none of them is called
    app = App(invoker, endpoints, Guard(Settings()), logs.get("test"))  # type: ignore[arg-type]  # a stand-in
    task = asyncio.create_task(app(SCOPE, receive, send))
    await invoker.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return sent


async def test_a_request_cut_off_by_the_end_of_the_process_is_answered_503() -> None:
    start, body, end = await cancelled(begins=False)
    assert start["status"] == 503
    problem = orjson.loads(body["body"])
    assert (problem["type"], problem["request_id"]) == ("urn:actorfaas:problem:stopping", "r1")
    assert problem["retryable"]
    assert not end.get("more_body", False)


async def test_a_response_that_had_begun_is_left_to_break_off() -> None:
    assert [event["type"] for event in await cancelled(begins=True)] == ["http.response.start"]
