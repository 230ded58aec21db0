"""Small actors in real processes, for testing the node without the platform's own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

from actorfaas.messages import (
    CancelRequest,
    DescribeQueue,
    DescribeSupervisor,
    Done,
    KvGet,
    KvValue,
    Message,
)
from actorfaas.node import HTTP_FD
from actorfaas.runtime.actor import Actor, Sender

WASTED_BYTES = 96 * 1024 * 1024
"""What `Wasteful` has freed by the time it is ready; an actor without functions needs far less."""


class Store(Actor):
    """Answers `KvGet`; does what it is told with `CancelRequest`."""

    name = "store"

    def receive(self, message: Message, sender: Sender) -> None:
        match message:
            case KvGet(key=key):
                sender.reply(KvValue(version=os.getpid(), payload=key.encode()))
            case CancelRequest(request_id="crash"):
                self.spawn(self._crash(), "crash")
            case CancelRequest(request_id="block"):
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
                signal.pause()  # blocks the loop: neither a request nor SIGTERM is heard
            case _:
                raise ValueError(f"unexpected {message}")

    async def _crash(self) -> None:
        raise RuntimeError("asked to crash")


class Web(Actor):
    """Writes one line to whoever connects to the HTTP socket: its pid, and the store's."""

    name = "frontend"
    peers = ("store",)

    async def set_up(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=socket.socket(fileno=int(os.environ[HTTP_FD])))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.wait_for_peer("store")
        if (command := (await reader.readline()).decode().strip()) in ("crash", "block"):
            self.tell("store", CancelRequest(request_id=command, kill=False))
            writer.write(b"told\n")
        else:
            found = await self.ask("store", KvGet(namespace="", key="k"), KvValue)
            writer.write(f"{os.getpid()} {found.version}\n".encode())
        writer.close()

    def receive(self, message: Message, sender: Sender) -> None:
        match message:
            case DescribeQueue() | DescribeSupervisor():
                sender.reply(Done())
            case _:
                raise ValueError(f"unexpected {message}")

    async def tear_down(self) -> None:
        self._server.close()


class Broken(Actor):
    """Cannot be set up."""

    name = "frontend"

    async def set_up(self) -> None:
        raise RuntimeError("nothing works")

    def receive(self, message: Message, sender: Sender) -> None:
        raise NotImplementedError


class Wasteful(Actor):
    """Leaves holes in the heap as it starts, as imports do."""

    name = "frontend"

    async def set_up(self) -> None:
        blocks = [b"x" * 96 * 1024 for _ in range(WASTED_BYTES // (96 * 1024))]
        self._last = blocks.pop()  # keeps the heap from being shortened at its end
