"""A Frontend on a real port, with scriptable actors behind it.

async with frontend(kit) as node:
    call = node.post("/v1/invoke/hello", b"1")        # a task
    published = await node.published()
    published.answer(b"2")
    assert (await call).content == b"2"
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx

from actorfaas.actors.frontend import Frontend
from actorfaas.messages import (
    ExecutionState,
    GetRoutes,
    HistoryEvent,
    InvocationChunk,
    InvocationFailed,
    InvocationResult,
    Publish,
    Route,
    RoutesChanged,
)
from actorfaas.runtime.actor import Sender
from tests.actors_kit import FakePeer, Kit

HELLO = Route(
    name="hello",
    kind="function",
    app="app",
    version=1,
    topic="hello@1",
    strategy="auto",
    timeout_s=30.0,
    max_attempts=3,
    retry_delay_s=0.1,
    durability="express",
    streams=False,
    description="says hello",
    memory_mb=512,
)
STREAM = replace(HELLO, name="count", topic="count@1", streams=True)
PIPELINE = replace(HELLO, name="pipeline", kind="workflow", topic="", durability="standard", max_attempts=1)
QUICK = replace(PIPELINE, name="quick", durability="express")
ROUTES = (HELLO, STREAM, PIPELINE, QUICK)
WORKER = "hello@1_4711"


def result(request_id: str, payload: bytes, start_kind: str = "resident", chunks: int = 0) -> InvocationResult:
    """A result with durations of 1, 2 and 3 ms."""
    return InvocationResult(
        request_id=request_id,
        worker_topic=WORKER,
        attempt=1,
        start_kind=start_kind,
        queue_ns=1_000_000,
        start_ns=2_000_000,
        run_ns=3_000_000,
        page_in_ns=0,
        chunks=chunks,
        started_ns=0,
        payload=payload,
    )


def failure(request_id: str, reason: str, **changes: object) -> InvocationFailed:
    """A failure for a reason."""
    failed = InvocationFailed(
        request_id=request_id,
        worker_topic=WORKER,
        attempt=1,
        start_kind="resident",
        queue_ns=1_000_000,
        start_ns=2_000_000,
        run_ns=3_000_000,
        reason=reason,
        error_type="",
        error_message="",
        traceback="",
        retryable=False,
        retry_after_s=0.0,
    )
    return replace(failed, **changes)  # type: ignore[arg-type]  # names are checked by replace


def task_event(seq: int, state: str, kind: str = "TaskSucceeded", **changes: object) -> HistoryEvent:
    """A task's outcome with durations of 1, 2, 3 and 4 ms."""
    event = HistoryEvent(
        seq=seq,
        at_ms=1_700_000_000_000 + seq,
        type=kind,
        state=state,
        attempt=1,
        worker_topic=f"{state}@1_7",
        start_kind="resident",
        queue_ns=1_000_000,
        start_ns=2_000_000,
        run_ns=3_000_000,
        gap_ns=4_000_000,
        error_type="",
        error_message="",
        payload=b'{"state":true}',
    )
    return replace(event, **changes)  # type: ignore[arg-type]  # names are checked by replace


def execution_state(execution_id: str, status: str = "succeeded", **changes: object) -> ExecutionState:
    """The state of an execution of `pipeline` with two states."""
    state = ExecutionState(
        execution_id=execution_id,
        name="pipeline",
        app="app",
        version=1,
        kind="workflow",
        durability="standard",
        status=status,
        error_type="",
        error_message="",
        started_at_ms=1_700_000_000_000,
        ended_at_ms=0 if status == "running" else 1_700_000_000_250,
        redrive_count=0,
        redriven_at_ms=0,
        execution_name="",
        events=(task_event(1, "first"), task_event(2, "second")),
        payload=b'{"done":1}' if status == "succeeded" else b"",
    )
    return replace(state, **changes)  # type: ignore[arg-type]  # names are checked by replace


@dataclass(slots=True)
class Published:
    """A request as the LocalQueue got it."""

    message: Publish
    sender: Sender

    def answer(self, payload: bytes, **changes: object) -> None:
        """The handler returned."""
        outcome = replace(result(self.message.request_id, payload), **changes)  # type: ignore[arg-type]  # as above
        self.sender.connection.tell(outcome)

    def fail(self, reason: str, **changes: object) -> None:
        """No result will come."""
        self.sender.connection.tell(failure(self.message.request_id, reason, **changes))

    def piece(self, payload: bytes, content: str = "json") -> None:
        """A piece of a streamed response."""
        self.sender.connection.tell(InvocationChunk(self.message.request_id, content, payload))


class Node:
    """A Frontend and everything around it."""

    def __init__(self, kit: Kit, queue: FakePeer, manager: FakePeer, data: FakePeer, frontend: Frontend) -> None:
        self.kit = kit
        self.queue = queue
        self.manager = manager
        self.data = data
        self.frontend = frontend
        self.port = frontend.address[1]
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """A GET; header names with underscores."""
        return await self.client.get(path, headers=_names(headers))

    def post(self, path: str, body: bytes = b"", **headers: str) -> asyncio.Task[httpx.Response]:
        """A POST under way."""
        return asyncio.create_task(self.client.post(path, content=body, headers=_names(headers)))

    async def published(self) -> Published:
        """The next request that reached the LocalQueue."""
        message, sender = await self.queue.expect_ask(Publish)
        return Published(message, sender)

    async def routes_known(self) -> None:
        """Wait until the Frontend can serve."""
        async with asyncio.timeout(10):
            await self.frontend.directory.known.wait()


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def frontend(kit: Kit, routes: tuple[Route, ...] = ROUTES, **settings: object) -> AsyncIterator[Node]:
    """A Frontend on a free port of 127.0.0.1 that knows `routes`, with fake actors behind it."""
    kit.configure(port=0, **settings)
    queue = await kit.fake("local_queue")
    manager = await kit.fake("execution_manager")
    data = await kit.fake("data_layer")
    manager.answer(GetRoutes, RoutesChanged(routes=routes))
    node = Node(kit, queue, manager, data, await kit.start(Frontend(kit.settings)))
    await node.routes_known()
    try:
        yield node
    finally:
        await node.client.aclose()
