"""Group commit: what shares a commit, what fails alone, what fails together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from actorfaas.errors import RequestRefused, StorageUnavailable
from actorfaas.storage.database import Database
from actorfaas.storage.writer import Transaction, Writer

SCHEMA = ("CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",)
PATIENCE_S = 10.0


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "test.sqlite", 1234, SCHEMA, "normal")
    made.prepare()
    return made


@pytest.fixture
def discarded() -> list[str]:
    return []


@pytest.fixture
async def writer(database: Database, discarded: list[str]) -> AsyncIterator[Writer]:
    made = Writer(database.path, database.writer, discarded.extend, waiting_limit=100)
    await made.open()
    yield made
    await made.close()


class Blocker:
    """An operation that holds up the writer's thread until told to go on."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.running = asyncio.Event()

    def __call__(self, _transaction: Transaction) -> None:
        self._loop.call_soon_threadsafe(self.running.set)
        assert self._go.wait(PATIENCE_S)

    def release(self) -> None:
        self._go.set()


def insert(id_: int, transaction: Transaction, body: bytes = b"x") -> int:
    transaction.execute("INSERT INTO item VALUES (?, ?)", (id_, body))
    return id_


def stored(database: Database) -> list[int]:
    connection = database.reader()
    rows = connection.execute("SELECT id FROM item ORDER BY id").fetchall()
    connection.close()
    return [id_ for (id_,) in rows]


async def test_an_answer_comes_after_the_commit(writer: Writer, database: Database) -> None:
    assert await writer.submit(partial(insert, 7)) == 7
    assert stored(database) == [7]


async def test_what_arrives_during_a_commit_shares_the_next(writer: Writer, database: Database) -> None:
    blocker = Blocker()
    first = writer.submit(blocker)
    await blocker.running.wait()
    others = [writer.submit(partial(insert, id_)) for id_ in range(50)]
    blocker.release()
    assert await asyncio.gather(first, *others) == [None, *range(50)]
    assert writer.commits == 2
    assert stored(database) == list(range(50))


async def test_a_failing_operation_is_undone_alone(writer: Writer, database: Database, discarded: list[str]) -> None:
    def half(transaction: Transaction) -> None:
        insert(2, transaction)
        transaction.discarded.append("not after all")
        raise RequestRefused("conflict", "no")

    def discard(transaction: Transaction) -> None:
        transaction.discarded.append("old")

    blocker = Blocker()
    writer.submit(blocker)
    await blocker.running.wait()
    futures: list[asyncio.Future[int] | asyncio.Future[None]] = [
        writer.submit(partial(insert, 1)),
        writer.submit(half),
        writer.submit(partial(insert, 2**70)),
        writer.submit(partial(insert, 1)),
        writer.submit(discard),
        writer.submit(partial(insert, 3)),
    ]
    blocker.release()
    await asyncio.wait(futures)
    assert [type(future.exception() or future.result()) for future in futures] == [
        int,
        RequestRefused,
        OverflowError,
        sqlite3.IntegrityError,
        type(None),
        int,
    ]
    assert stored(database) == [1, 3]
    assert discarded == ["old"]


async def test_a_full_disk_fails_the_group_and_passes(writer: Writer, database: Database) -> None:
    def limit_pages(pages: int, transaction: Transaction) -> None:
        transaction.execute(f"PRAGMA max_page_count = {pages}")

    await writer.submit(partial(limit_pages, 4))
    blocker = Blocker()
    writer.submit(blocker).add_done_callback(lambda future: future.exception())
    await blocker.running.wait()
    futures = [writer.submit(partial(insert, 1)), writer.submit(partial(insert, 2, body=b"x" * 100_000))]
    blocker.release()
    for result in await asyncio.gather(*futures, return_exceptions=True):
        assert isinstance(result, StorageUnavailable)
        assert "full" in str(result)
        assert str(database.path) in str(result)
    assert stored(database) == []
    await writer.submit(partial(limit_pages, 1_000_000))
    assert await writer.submit(partial(insert, 2, body=b"x" * 100_000)) == 2


async def test_too_many_waiting_are_refused(writer: Writer, database: Database) -> None:
    blocker = Blocker()
    futures = [writer.submit(blocker)]
    await blocker.running.wait()
    futures += [writer.submit(blocker) for _ in range(99)]
    with pytest.raises(RequestRefused, match="overloaded") as refused:
        writer.submit(partial(insert, 1))
    assert refused.value.retryable
    blocker.release()
    await asyncio.gather(*futures)
    assert await writer.submit(partial(insert, 1)) == 1


async def test_closing_commits_what_was_submitted(database: Database) -> None:
    writer = Writer(database.path, database.writer, lambda _files: None)
    await writer.open()
    futures = [writer.submit(partial(insert, id_)) for id_ in range(10)]
    await writer.close()
    assert [future.result() for future in futures] == list(range(10))
    assert stored(database) == list(range(10))
    with pytest.raises(StorageUnavailable, match="closed"):
        writer.submit(partial(insert, 11))


async def test_gathering_waits_for_company(database: Database) -> None:
    writer = Writer(database.path, database.writer, lambda _files: None, gather_s=PATIENCE_S)
    await writer.open()
    futures = [writer.submit(partial(insert, 0))]
    await asyncio.sleep(0)
    futures.append(writer.submit(partial(insert, 1)))
    await writer.close()  # a stop ends the gathering
    assert [future.result() for future in futures] == [0, 1]
    assert writer.commits == 1


async def test_an_asker_that_gave_up_disturbs_nobody(writer: Writer, database: Database) -> None:
    blocker = Blocker()
    first = writer.submit(blocker)
    await blocker.running.wait()
    abandoned = writer.submit(partial(insert, 1))
    after = writer.submit(partial(insert, 2))
    abandoned.cancel()
    blocker.release()
    await asyncio.gather(first, after)
    assert stored(database) == [1, 2]


async def test_a_connection_that_broke_fails_what_waits_instead_of_leaving_it(database: Database) -> None:
    connections = []

    def connect() -> sqlite3.Connection:
        connections.append(database.writer())
        return connections[0]

    writer = Writer(database.path, connect, lambda paths: None)
    await writer.open()
    for operation in (lambda transaction: connections[0].close(), partial(insert, 1)):
        with pytest.raises(StorageUnavailable):
            await asyncio.wait_for(writer.submit(operation), PATIENCE_S)
    await writer.close()
