"""Group commit: one thread, one connection; while one transaction is being made durable, the next one gathers.

The thread takes everything that is waiting, applies it in order inside one transaction, commits, and wakes the event
loop once for all of it. So the cost of a commit is shared by whoever arrived during the commit before, and a lone
write waits for nothing. An operation that fails is undone by itself (a savepoint); when SQLite itself fails (the
disk is full), the whole group is, and every one of its operations fails with StorageUnavailable.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from actorfaas.errors import RequestRefused, StorageUnavailable
from actorfaas.storage.database import unavailable

T = TypeVar("T")

WAITING_LIMIT = 20_000
"""Most operations waiting or being committed; more are refused as overloaded."""

GROUP_LIMIT = 2_000
"""Most operations in one transaction, so that the first of them does not wait for ever."""


class Transaction:
    """What an operation works with: the connection, and the files that are no longer needed once it has committed."""

    __slots__ = ("discarded", "execute", "executemany")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.discarded: list[str] = []


Operation = Callable[[Transaction], T]


class _Submitted(NamedTuple):
    operation: Operation[Any]  # the type variable of `submit`, which a queue of mixed ones cannot express
    future: asyncio.Future[Any]


class _Outcome(NamedTuple):
    future: asyncio.Future[Any]
    value: Any  # as in _Submitted
    error: Exception | None


class Writer:
    """Commits operations in the order of `submit`. `discard` is called on the loop with files to delete.

    `gather_s`: how long the first operation of a group waits for company.
    """

    def __init__(
        self,
        path: Path,
        connect: Callable[[], sqlite3.Connection],
        discard: Callable[[list[str]], None],
        gather_s: float = 0.0,
        waiting_limit: int = WAITING_LIMIT,
    ) -> None:
        self._path = path
        self._connect = connect
        self._discard = discard
        self._gather_s = gather_s
        self._waiting_limit = waiting_limit
        self._queue: SimpleQueue[_Submitted | None] = SimpleQueue()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self.commits = 0

    async def open(self) -> None:
        """Connect and start the thread."""
        self._loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(self._connect)
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name=f"commit {self._path.name}", daemon=True
        )
        self._thread.start()

    async def close(self) -> None:
        """Commit what was submitted, end the thread, close the connection."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    def submit(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Apply `operation` in the next group; the future completes after its commit."""
        if self._thread is None:
            raise StorageUnavailable(f"{self._path}: closed")
        if self._waiting >= self._waiting_limit:
            raise RequestRefused(
                "overloaded", f"{self._waiting} writes are waiting for the disk", retryable=True, retry_after_s=1.0
            )
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._queue.put(_Submitted(operation, future))
        return future

    # --- in the thread ---

    def _run(self, connection: sqlite3.Connection) -> None:
        try:
            stopping = False
            while not stopping:
                group, stopping = self._gather()
                if group:
                    outcomes, discarded = self._commit_or_fail(connection, group)
                    with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                        self._loop.call_soon_threadsafe(self._deliver, outcomes, discarded)
        finally:
            connection.close()

    def _gather(self) -> tuple[list[_Submitted], bool]:
        """Wait for the first operation, then take what else is there."""
        first = self._queue.get()
        if first is None:
            return [], True
        group = [first]
        until = time.monotonic() + self._gather_s if self._gather_s else 0.0
        while len(group) < GROUP_LIMIT:
            try:
                left_s = until - time.monotonic() if until else 0.0
                following = self._queue.get(timeout=left_s) if left_s > 0 else self._queue.get_nowait()
            except Empty:
                break
            if following is None:
                return group, True
            group.append(following)
        return group, False

    def _commit_or_fail(
        self, connection: sqlite3.Connection, group: list[_Submitted]
    ) -> tuple[list[_Outcome], list[str]]:
        try:
            return self._commit(connection, group)
        except Exception as error:  # noqa: BLE001  # the thread's guard: whoever waits must hear, and it must go on
            failure = unavailable(self._path, error)
            return [_Outcome(submitted.future, None, failure) for submitted in group], []

    def _commit(self, connection: sqlite3.Connection, group: list[_Submitted]) -> tuple[list[_Outcome], list[str]]:
        transaction = Transaction(connection)
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_apply(connection, transaction, submitted) for submitted in group]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            failure = unavailable(self._path, error)
            return [_Outcome(submitted.future, None, failure) for submitted in group], []
        self.commits += 1
        return outcomes, transaction.discarded

    # --- on the loop ---

    def _deliver(self, outcomes: list[_Outcome], discarded: list[str]) -> None:
        self._waiting -= len(outcomes)
        if discarded:
            self._discard(discarded)
        for future, value, error in outcomes:
            if future.done():
                continue  # whoever asked has stopped waiting
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)


def _apply(connection: sqlite3.Connection, transaction: Transaction, submitted: _Submitted) -> _Outcome:
    """Run one operation; undo it alone when it fails for a reason of its own."""
    discarded = len(transaction.discarded)
    connection.execute("SAVEPOINT one")
    try:
        value = submitted.operation(transaction)
    except sqlite3.OperationalError:
        raise  # not this operation's fault: the disk, a lock
    except Exception as error:  # noqa: BLE001  # guard: one bad operation must not fail its neighbours
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        del transaction.discarded[discarded:]
        return _Outcome(submitted.future, None, error)
    connection.execute("RELEASE one")
    return _Outcome(submitted.future, value, None)
