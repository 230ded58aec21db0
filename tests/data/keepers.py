"""Keepers of data that tests go through: the one in memory, and a worker's, with a real store behind it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from actorfaas.actors.local_queue import _in_the_name_of
from actorfaas.errors import RequestRefused
from actorfaas.messages import KvCommit, KvGet, KvList, Message, Refused, Task
from actorfaas.storage.sqlite_store import SqliteStore
from actorfaas.wire import Decoder, Kind, encode
from actorfaas.worker.channel import Channel
from actorfaas.worker.context import TaskPlatform
from actorfaas.worker.process import MemoryLimit
from tests.storage.samples import Wall, sqlite_store

APP = "shop"


class StoreThread:
    """A LocalQueue and a DataLayer in one thread: what a worker asks is asked of a store, in the name of `APP`."""

    def __init__(self, folder: Path, wall: Wall) -> None:
        self._store: SqliteStore = sqlite_store(folder, wall)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._run(self._store.open())

    def _run(self, work: object) -> Message:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type]  # a coroutine

    def serve(self, connection: socket.socket) -> None:
        """Answer everything that comes over one connection."""
        decoder = Decoder()
        while data := connection.recv(1 << 16):
            for frame in decoder.feed(data):
                connection.sendall(b"".join(encode(self._run(self._answer(frame.message)), Kind.REPLY, frame.ask_id)))
        connection.close()

    async def _answer(self, message: Message) -> Message:
        assert isinstance(message, KvGet | KvCommit | KvList)
        try:
            match _in_the_name_of(APP, message):
                case KvGet() as asked:
                    return await self._store.kv_get(asked)
                case KvList() as asked:
                    return await self._store.kv_list(asked)
                case KvCommit() as asked:
                    return await self._store.kv_commit(asked)
            raise AssertionError(message)
        except RequestRefused as refused:
            return Refused(refused.code, refused.detail)

    def close(self) -> None:
        self._run(self._store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def task(execution_id: str = "", state: str = "") -> Task:
    return Task("req_1", execution_id, state, 1, time.monotonic_ns() + 60_000_000_000, "reply", 0, "", b"")


@contextmanager
def platforms(folder: Path, wall: Wall) -> Iterator[Callable[[], TaskPlatform]]:
    """Gives platforms of tasks, all with the same store behind them."""
    store = StoreThread(folder, wall)
    opened: list[tuple[Channel, threading.Thread]] = []

    def make() -> TaskPlatform:
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        thread = threading.Thread(target=store.serve, args=(theirs,))
        thread.start()
        opened.append((channel, thread))
        return TaskPlatform(task(), channel, MemoryLimit(0))

    yield make
    for channel, thread in opened:
        channel.close()
        thread.join()
    store.close()
