"""The store as a whole: reopening, large payloads, express executions, retention, a full disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorfaas.errors import RequestRefused, StorageUnavailable, StorageUnusable
from actorfaas.messages import KvCommitted, KvGet, KvValue, ListExecutions
from actorfaas.storage.execution_store import EXPRESS_FLUSH_S
from actorfaas.storage.express import ExpressExecutions
from actorfaas.storage.payload_files import PayloadFiles
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import (
    append,
    create,
    deployment,
    event,
    finish,
    kv_delete,
    kv_put,
    line,
    read_logs,
    sqlite_store,
)

LARGE = b"large" * 100
ALL = ListExecutions("", "", 1000, "")


def files(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in (folder / "payloads").rglob("*") if path.is_file())


async def reopened(store: SqliteStore, folder: Path) -> SqliteStore:
    await store.close()
    again = sqlite_store(folder)
    await again.open()
    return again


def limit_pages(store: SqliteStore, pages: int) -> asyncio.Future[Any]:
    """Let the database grow to so many pages and no further, as a full disk would."""
    return store._writer.submit(lambda transaction: transaction.execute(f"PRAGMA max_page_count = {pages}").fetchone())


async def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    await store.create_execution(create("ex_1", LARGE))
    await store.append_history(append("ex_1", event(1, LARGE + b"1"), event(2, b"small")))
    await store.create_execution(create("ex_2"))
    await store.finish_execution(finish("ex_2", LARGE + b"2"))
    await store.kv_commit(kv_put("app", "k", -1, LARGE + b"3"))
    await store.append_logs((line("said"),))
    await store.save_deployment(deployment())
    store = await reopened(store, tmp_path)
    (one,) = (await store.list_unfinished("")).executions
    assert (one.input, one.events) == (LARGE, (event(1, LARGE + b"1"), event(2, b"small")))
    assert (await store.get_execution("ex_2")).payload == LARGE + b"2"
    assert await store.kv_get(KvGet("app", "k")) == KvValue(1, LARGE + b"3")
    assert [found.text for found in (await store.read_logs(read_logs())).lines] == ["said"]
    assert len((await store.list_deployments("", False)).deployments) == 1
    await store.close()


async def test_only_large_payloads_are_files_and_they_go_with_their_rows(store: SqliteStore, tmp_path: Path) -> None:
    await store.kv_commit(kv_put("app", "k", -1, b"x" * 100))
    assert files(tmp_path) == []
    await store.kv_commit(kv_put("app", "k", -1, b"x" * 101))
    await store.kv_commit(kv_put("app", "other", -1, LARGE))
    await store.kv_commit(kv_put("app", "k", -1, b"y" * 101))
    await store.kv_commit(kv_delete("app", "other", -1))
    await store.close()
    assert files(tmp_path) == [b"y" * 101]


async def test_a_write_that_is_refused_or_ignored_leaves_no_file(store: SqliteStore, tmp_path: Path) -> None:
    await store.create_execution(create("ex_1"))
    await store.append_history(append("ex_1", event(1, b"small")))
    await store.finish_execution(finish("ex_1"))
    with pytest.raises(RequestRefused, match="conflict"):
        await store.create_execution(create("ex_1", LARGE))
    assert await store.kv_commit(kv_put("app", "k", 7, LARGE)) == KvCommitted((), conflict=0)
    await store.append_history(append("ex_1", event(1, LARGE)))
    await store.finish_execution(finish("ex_1", LARGE, event(2, LARGE)))
    await store.close()
    assert files(tmp_path) == []


async def test_writes_of_an_execution_stay_in_order_when_some_are_large(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving, go_on = asyncio.Event(), asyncio.Event()
    save = PayloadFiles.save

    async def slow(self: PayloadFiles, payload: bytes) -> str:
        saving.set()
        await go_on.wait()
        return await save(self, payload)

    monkeypatch.setattr(PayloadFiles, "save", slow)
    futures = [
        store.create_execution(create("ex_1", LARGE)),
        store.append_history(append("ex_1", event(1))),
        store.append_history(append("ex_1", event(2, LARGE))),
        store.finish_execution(finish("ex_1", b"out")),
    ]
    await saving.wait()
    await store.create_execution(create("ex_2"))  # others do not wait for the files
    go_on.set()
    await asyncio.gather(*futures)
    state = await store.get_execution("ex_1")
    assert (state.status, state.payload, state.events) == ("succeeded", b"out", (event(1), event(2, LARGE)))


async def test_files_nobody_names_are_removed_at_the_start(store: SqliteStore, tmp_path: Path) -> None:
    await store.kv_commit(kv_put("app", "k", -1, LARGE))
    (tmp_path / "payloads" / "0" / "pay_00000").write_bytes(b"from before a crash")
    store = await reopened(store, tmp_path)
    assert files(tmp_path) == [LARGE]
    assert (await store.kv_get(KvGet("app", "k"))).payload == LARGE
    await store.close()


async def test_a_file_replaced_while_it_is_read_is_read_again(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.kv_commit(kv_put("app", "k", -1, LARGE))
    load = PayloadFiles.load

    async def replaced_before(self: PayloadFiles, name: str) -> bytes:
        monkeypatch.setattr(PayloadFiles, "load", load)
        await store.kv_commit(kv_put("app", "k", -1, LARGE * 2))
        await store._tasks.spawn(self.remove([name]), "as after the commit")
        return await load(self, name)

    monkeypatch.setattr(PayloadFiles, "load", replaced_before)
    assert await store.kv_get(KvGet("app", "k")) == KvValue(2, LARGE * 2)


async def test_a_lost_file_is_unavailable_not_a_wrong_answer(store: SqliteStore, tmp_path: Path) -> None:
    await store.kv_commit(kv_put("app", "k", -1, LARGE))
    for path in (tmp_path / "payloads").rglob("pay_*"):
        path.unlink()
    with pytest.raises(StorageUnavailable, match="No such file"):
        await store.kv_get(KvGet("app", "k"))


async def test_payloads_of_a_long_history_are_bounded_in_an_answer(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorfaas.storage.execution_store.REPLY_BYTES", 1000)
    await store.create_execution(create("ex_1"))
    await store.append_history(append("ex_1", *(event(seq, LARGE) for seq in range(1, 6))))
    events = (await store.get_execution("ex_1")).events
    assert [len(one.payload) for one in events] == [500, 500, 500, 0, 0]


@pytest.mark.parametrize("durability", ["standard", "express"])
async def test_events_are_read_without_what_they_carry(store: SqliteStore, tmp_path: Path, durability: str) -> None:
    await store.create_execution(create("ex_1", durability=durability))
    await store.append_history(append("ex_1", event(1, LARGE), event(2, b"small")))
    for path in (tmp_path / "payloads").rglob("pay_*"):
        path.unlink()  # nobody may need them
    await store.finish_execution(finish("ex_1", b"out", event(3, b"small")))
    state = await store.get_execution("ex_1", event_payloads=False)
    assert (state.events, state.payload) == ((event(1), event(2), event(3)), b"out")


# --- express -------------------------------------------------------------------------------------------------------


async def test_an_express_execution_is_answered_from_memory_and_written_later(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    await store.open()
    commits = store._writer.commits
    await store.create_execution(create("ex_1", LARGE, durability="express"))
    await store.append_history(append("ex_1", event(1, b"a")))
    await store.finish_execution(finish("ex_1", LARGE + b"out", event(2)))
    before = await store.get_execution("ex_1")
    assert (before.status, before.durability, before.payload) == ("succeeded", "express", LARGE + b"out")
    assert store._writer.commits == commits
    store = await reopened(store, tmp_path)
    assert await store.get_execution("ex_1") == before
    assert (await store.list_unfinished("")).executions == ()
    await store.close()


async def test_express_executions_are_written_soon_by_themselves(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = asyncio.Event()
    forget = ExpressExecutions.written

    def forget_and_tell(self: ExpressExecutions, execution_id: str) -> None:
        forget(self, execution_id)
        written.set()

    monkeypatch.setattr(ExpressExecutions, "written", forget_and_tell)
    await store.create_execution(create("ex_1", durability="express"))
    await store.finish_execution(finish("ex_1", b"out"))
    async with asyncio.timeout(EXPRESS_FLUSH_S * 50):
        await written.wait()
    assert (await store.get_execution("ex_1")).payload == b"out"


async def test_a_listing_has_the_express_executions_that_have_ended(store: SqliteStore) -> None:
    for number in range(250):
        await store.create_execution(create(f"ex_{number}", durability="express"))
        await store.finish_execution(finish(f"ex_{number}"))
    assert len((await store.list_executions(ALL)).executions) == 250


# --- retention -----------------------------------------------------------------------------------------------------


async def test_the_oldest_ended_executions_are_pruned_with_all_they_have(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path, execution_retention=3)
    await store.open()
    for number in range(8):
        await store.create_execution(create(f"ex_{number}", LARGE + str(number).encode()))
        await store.append_history(append(f"ex_{number}", event(1, LARGE)))
    for number in (1, 2, 3, 5, 7):
        await store.finish_execution(finish(f"ex_{number}", LARGE))
    assert (await store.prune()).executions == 2
    assert (await store.prune()).executions == 0
    kept = [one.execution_id for one in (await store.list_executions(ALL)).executions]
    assert kept == ["ex_7", "ex_6", "ex_5", "ex_4", "ex_3", "ex_0"]
    await store.create_execution(create("ex_1"))
    assert (await store.get_execution("ex_1")).events == ()
    await store.close()
    assert len(files(tmp_path)) == 6 * 2 + 3


async def test_pruning_goes_in_small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorfaas.storage.sqlite_store.PRUNE_EXECUTIONS", 4)
    store = sqlite_store(tmp_path, execution_retention=0)
    await store.open()
    for number in range(10):
        await store.create_execution(create(f"ex_{number}"))
        await store.finish_execution(finish(f"ex_{number}"))
    steps = [await store.prune() for _ in range(4)]
    assert [(step.executions, step.more) for step in steps] == [(4, True), (4, True), (2, False), (0, False)]
    await store.close()


# --- when it does not work -------------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_and_the_store_goes_on(store: SqliteStore, tmp_path: Path) -> None:
    await store.create_execution(create("ex_1"))
    (pages,) = await limit_pages(store, 1)
    big = b"x" * 99
    failed = 0
    for number in range(1000):
        try:
            await store.append_history(append("ex_1", event(number + 1, big)))
        except StorageUnavailable as error:
            assert "full" in str(error)  # noqa: PT017  # how many pass before depends on the page size
            failed += 1
            if failed == 3:
                break
    assert failed == 3
    kept = len((await store.get_execution("ex_1")).events)
    await limit_pages(store, 1_000_000)
    await store.append_history(append("ex_1", event(5000, big)))
    assert len((await store.get_execution("ex_1")).events) == kept + 1
    assert pages > 0


async def test_a_payload_file_that_cannot_be_written_is_unavailable(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_self: PayloadFiles, _payload: bytes) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PayloadFiles, "save", full)
    for write in (
        lambda: store.kv_commit(kv_put("app", "k", -1, LARGE)),
        lambda: store.create_execution(create("ex_1", LARGE)),
    ):
        await assert_no_space(write)
    monkeypatch.undo()
    await store.create_execution(create("ex_1", LARGE))


async def assert_no_space(write: Callable[[], asyncio.Future[Any]]) -> None:
    with pytest.raises(StorageUnavailable, match="No space left"):
        await write()


async def test_express_executions_the_disk_does_not_take_are_kept_and_tried_again(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path, spill_bytes=1_000_000)
    await store.open()
    await limit_pages(store, 1)
    await store.create_execution(create("ex_1", b"x" * 50_000, durability="express"))
    await store.finish_execution(finish("ex_1", b"out"))
    assert (await store.list_executions(ALL)).executions == ()
    assert (await store.get_execution("ex_1")).payload == b"out"
    await limit_pages(store, 1_000_000)
    assert len((await store.list_executions(ALL)).executions) == 1
    await store.close()


async def test_a_closed_store_is_unavailable(store: SqliteStore) -> None:
    await store.close()
    for call in (lambda: store.kv_get(KvGet("app", "k")), lambda: store.kv_commit(kv_delete("app", "k", -1))):
        with pytest.raises(StorageUnavailable, match="closed"):
            await call()


async def test_a_folder_in_use_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    second = sqlite_store(tmp_path)
    with pytest.raises(StorageUnusable, match="in use by another node"):
        await second.open()
    await store.kv_commit(kv_put("app", "k", -1, b"still works"))


async def test_a_damaged_database_is_refused_and_the_lock_given_back(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"garbage" * 1000)
    for _ in range(2):
        with pytest.raises(StorageUnusable, match=r"state\.sqlite is damaged"):
            await sqlite_store(tmp_path).open()


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnavailable, match="file"):
        await sqlite_store(tmp_path / "file" / "data").open()
