"""Reading beside the writer: a few threads, each with a read-only connection of its own.

Every query runs in one read transaction, so that its several statements see one state of the database. In WAL mode
readers never wait for the writer, nor it for them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from actorfaas.errors import RequestRefused, StorageUnavailable
from actorfaas.storage.database import translated

T = TypeVar("T")

WAITING_LIMIT = 10_000
"""Most queries waiting or running; more are refused as overloaded."""


class Reader:
    """Runs queries in threads. Two, by default, so that a long listing does not hold up a short look-up."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection], threads: int = 2) -> None:
        self._path = path
        self._connect = connect
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._waiting = 0
        self._closed = False
        self._executor = ThreadPoolExecutor(threads, f"read {path.name}")

    def run(self, query: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run `query` in a thread; sqlite3 errors become StorageUnavailable."""
        if self._closed:
            raise StorageUnavailable(f"{self._path}: closed")
        if self._waiting >= WAITING_LIMIT:
            raise RequestRefused(
                "overloaded", f"{self._waiting} queries are waiting", retryable=True, retry_after_s=1.0
            )
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, self._query, query)
        future.add_done_callback(self._done)
        return future

    async def close(self) -> None:
        """Finish the queries under way, then close the connections."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _done(self, _future: asyncio.Future[T]) -> None:
        self._waiting -= 1

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        with translated(self._path):
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                connection.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connect()
            self._connections.append(connection)
        return connection
