"""Items and results of Map states at the store: files that live as long as their executions, work that is given up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    ITEMS_READ,
    AddMapResults,
    DropItems,
    DropMapResults,
    FetchItems,
    FinishMapResults,
    HistoryEvent,
    ItemsFetched,
)
from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import append, create, event, finish, sqlite_store

WANTED = FetchItems("f", "object", "in", "k", "JSON", (), ",", "", "", 10)


def read(seq: int, found: ItemsFetched) -> HistoryEvent:
    details = {"File": found.file, "Count": found.count, "Bytes": found.size_bytes}
    return replace(event(seq, orjson.dumps(details)), type=ITEMS_READ)


@pytest.fixture(autouse=True)
def objects(tmp_path: Path) -> Path:
    (tmp_path / "objects" / "in").mkdir(parents=True)
    (tmp_path / "objects" / "in" / "k").write_text("[1,2]")
    return tmp_path / "objects" / "in"


async def test_items_are_kept_as_long_as_the_execution_that_read_them(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path, execution_retention=1)
    await store.open()
    kept, lost = await store.fetch_items(WANTED), await store.fetch_items(WANTED)
    await store.create_execution(create("ex_1"))
    await store.append_history(append("ex_1", read(1, kept)))
    await store.append_history(append("ex_1", read(1, kept)))  # once more: it was not heard that it had worked
    await store.close()
    store = sqlite_store(tmp_path, execution_retention=0)
    await store.open()
    assert Path(kept.path).read_bytes() == b"1\n2\n"
    assert not Path(lost.path).exists(), "no event names it"
    (one,) = (await store.list_unfinished("")).executions
    assert one.events == (read(1, kept),)
    await store.finish_execution(finish("ex_1"))
    assert (await store.prune()).executions == 1
    await store.close()
    assert not Path(kept.path).exists()


async def test_what_cannot_be_read_is_refused(store: SqliteStore) -> None:
    with pytest.raises(RequestRefused) as raised:
        await store.fetch_items(replace(WANTED, key="none"))
    assert raised.value.code == "not_found"


async def test_results_are_written_and_given_up(store: SqliteStore, objects: Path) -> None:
    part = AddMapResults("r", 0, "in", "p/r", "JSON", "SUCCEEDED", b"1\n")
    await store.add_map_results(part)
    written = await store.finish_map_results(FinishMapResults("r", 1, "in", "p/r", "arn"))
    assert written.key == "p/r/manifest.json"
    await store.add_map_results(part)
    store.drop_map_results(DropMapResults("r"))
    store.drop_items(DropItems("nobody"))
    with pytest.raises(RequestRefused):
        await store.finish_map_results(FinishMapResults("r", 1, "in", "p/r", "arn"))
    assert sorted(path.name for path in (objects / "p" / "r").iterdir()) == ["SUCCEEDED_0.json", "manifest.json"]
