"""A LocalQueue between scripted actors, for its tests: publishing, workers over real socket pairs, descriptions."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from actorfaas.actors.local_queue import LocalQueue
from actorfaas.messages import (
    AttachWorker,
    DeclareTopic,
    DescribeQueue,
    Done,
    NewFunctionWorker,
    Publish,
    QueueDescription,
    Subscribe,
    Task,
    TaskResult,
    WorkerReported,
)
from actorfaas.runtime.actor import Connection
from tests.actors_kit import PATIENCE_S, FakePeer, Kit

S = 1_000_000_000
TO_QUEUE = ("local_queue",)


class Node:
    """A LocalQueue with scripted actors around it and workers at the other end of real socket pairs."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.pid = 100

    async def start(self, data_layer: bool = False, manager: bool = True) -> Node:
        if data_layer:
            self.data_layer = await self.kit.fake("data_layer")
        self.queue = await self.kit.start(LocalQueue(self.kit.settings))
        self.frontend = await self.kit.fake("frontend", TO_QUEUE)
        self.supervisor = await self.kit.fake("fw_supervisor", TO_QUEUE)
        self.workers = await self.kit.fake("workers")
        if manager:
            await self.start_manager()
        return self

    async def start_manager(self) -> None:
        self.manager = await self.kit.fake("execution_manager", TO_QUEUE)

    async def worker(self, topic: str = "") -> tuple[str, Connection]:
        """A worker that has reported itself, lent to `topic` unless that is ""."""
        self.pid += 1
        name = f"f@1_{self.pid}"
        ours, theirs = socket.socketpair()
        await self.supervisor.hand_over("local_queue", AttachWorker(name, "f@1", "shop", self.pid, "fork"), theirs)
        theirs.close()
        connection = self.workers.adopt(ours, name)
        connection.tell(NewFunctionWorker(self.pid))
        if topic:
            await self.manager.expect(WorkerReported, lambda reported: reported.worker_topic == name)
            self.manager.tell("local_queue", Subscribe(name, topic))
        return name, connection

    async def topic(self, name: str = "f@1", limit: int = 10) -> None:
        await self.manager.ask("local_queue", DeclareTopic(name, limit, "stay"), Done)

    def publish(
        self, request_id: str, timeout_s: float = 60, publisher: FakePeer | None = None, stream: bool = False
    ) -> None:
        deadline_ns = time.monotonic_ns() + int(timeout_s * 1e9)
        request = Publish("f@1", request_id, deadline_ns, 1, 0, stream, "", b'"in"')
        (publisher or self.frontend).tell("local_queue", request)

    async def describe(self) -> QueueDescription:
        return await self.frontend.ask("local_queue", DescribeQueue(), QueueDescription)

    async def until_described(self, holds: Callable[[QueueDescription], bool]) -> None:
        """Ask again and again until the description is as wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(await self.describe()):
                pass

    async def running(self, request_id: str = "r") -> tuple[str, Connection]:
        """A worker that runs a request."""
        await self.topic()
        name, worker = await self.worker("f@1")
        self.publish(request_id)
        await self.workers.expect(Task)
        return name, worker


def result(request_id: str, topic: str = "reply", payload: bytes = b'"out"') -> TaskResult:
    return TaskResult(request_id, topic, 0, 0, payload)
