"""Map states' items and results between the ExecutionManager's core and a scripted DataLayer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from actorfaas.actors import map_data
from actorfaas.actors.map_data import MapDataLink, batches
from actorfaas.core.catalogue import Catalogue
from actorfaas.core.effects import Export, Fetch, GiveUp
from actorfaas.core.executions import Executions
from actorfaas.messages import (
    AddMapResults,
    Done,
    DropItems,
    DropMapResults,
    FetchItems,
    FinishMapResults,
    ItemsFetched,
    MapResultsWritten,
    Refused,
)
from actorfaas.states.instructions import ReadItems, WriteResults
from actorfaas.states.item_reader import ReaderConfig
from actorfaas.states.map_results import Part
from tests.actors_kit import FakePeer, Kit

READ = ReadItems(3, "each", "arn:aws:states:::s3:getObject", {"Bucket": "b", "Key": "k"}, ReaderConfig(), 7)
FETCH = Fetch("e1", "app", 1, "t1", READ)


class Answers(Executions):
    """The core as far as it is told of answers."""

    def __init__(self) -> None:
        self.read: list[tuple[Any, ...]] = []  # what each method was given
        self.written: list[tuple[Any, ...]] = []
        self.failed: list[tuple[Any, ...]] = []

    def items_read(
        self, place: tuple[str, int], ticket: str, found: ItemsFetched, items: Sequence[Any], now_ns: int
    ) -> None:
        self.read.append((place, ticket, found.file, list(items)))

    def map_results_written(self, place: tuple[str, int], ticket: str, bucket: str, key: str, now_ns: int) -> None:
        self.written.append((place, ticket, bucket, key))

    def map_data_failed(self, place: tuple[str, int], ticket: str, cause: str, now_ns: int) -> None:
        self.failed.append((place, ticket, cause))


class Desk:
    """A link between a fake ExecutionManager and a fake DataLayer. `changes`: how often it was called back."""

    def __init__(self, manager: FakePeer, data_layer: FakePeer) -> None:
        self.manager = manager
        self.data_layer = data_layer
        self.answers = Answers()
        self.changes = 0
        self.link = MapDataLink(manager, Catalogue(30.0, 8), self.answers, self._changed)

    def _changed(self) -> None:
        self.changes += 1
        self.manager._notifier.set()

    async def settled(self) -> None:
        await self.manager.until(lambda: self.changes or None, "an answer")


@pytest.fixture
async def desk(kit: Kit) -> Desk:
    data_layer = await kit.fake("data_layer")
    return Desk(await kit.fake("execution_manager", peers=("data_layer",)), data_layer)


def export(*parts: Part) -> Export:
    def again() -> Iterator[Part]:
        return iter(parts)

    return Export("e1", "t2", WriteResults(0, "each", "r", {"Bucket": "out"}, "JSON", "run", "arn", again))


async def test_items_are_fetched_and_mapped_into_memory(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "pay_1"
    path.write_bytes(b'1\n"x"\n')
    desk.data_layer.answer(FetchItems, ItemsFetched("pay_1", str(path), 2, 6))
    desk.link.begin(FETCH)
    await desk.settled()
    assert desk.answers.read == [(("e1", 3), "t1", "pay_1", [1, "x"])]


@pytest.mark.parametrize(
    ("refused", "cause"),
    [(Refused("not_found", "there is no object b/k"), "there is no object b/k"), (Refused("invalid", "bad"), "bad")],
)
async def test_what_cannot_be_read_is_told(desk: Desk, refused: Refused, cause: str) -> None:
    desk.data_layer.answer(FetchItems, refused)
    desk.link.begin(FETCH)
    await desk.settled()
    assert desk.answers.failed == [(("e1", 3), "t1", cause)]


async def test_parameters_and_files_that_are_not_there_are_told(desk: Desk) -> None:
    wrong = ReadItems(3, "each", "file", {}, ReaderConfig(), 7)
    desk.link.begin(Fetch("e1", "app", 1, "t1", wrong))
    await desk.settled()
    desk.data_layer.answer(FetchItems, ItemsFetched("pay_1", "/nowhere/pay_1", 2, 6))
    desk.link.begin(FETCH)
    await desk.manager.until(lambda: desk.changes == 2 or None, "an answer")
    assert ["Path" in desk.answers.failed[0][2], "No such file" in desk.answers.failed[1][2]] == [True, True]


async def test_what_may_work_later_is_tried_again(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_data, "RETRY_S", 0.0)
    path = tmp_path / "pay_1"
    path.write_bytes(b"1\n")
    replies = [Refused("unavailable", "restarting", True, 1.0), ItemsFetched("pay_1", str(path), 1, 2)]
    desk.data_layer.answer(FetchItems, lambda _: replies.pop(0))
    desk.link.begin(FETCH)
    await desk.settled()
    assert desk.answers.read == [(("e1", 3), "t1", "pay_1", [1])]
    assert not desk.answers.failed


async def test_what_is_given_up_is_dropped(desk: Desk) -> None:
    desk.link.begin(FETCH)
    await desk.data_layer.expect(FetchItems)
    desk.link.give_up(GiveUp("t1"))
    assert await desk.data_layer.expect(DropItems) == DropItems("t1")
    desk.link.begin(export(("SUCCEEDED", b"1")))
    await desk.data_layer.expect(AddMapResults)
    desk.link.give_up(GiveUp("t2"))
    assert await desk.data_layer.expect(DropMapResults) == DropMapResults("run")
    desk.link.give_up(GiveUp("unknown"))
    assert desk.answers.read == desk.answers.written == desk.answers.failed == []


async def test_results_are_written_in_parts(desk: Desk) -> None:
    parts: list[AddMapResults] = []
    desk.data_layer.answer(AddMapResults, lambda part: parts.append(part) or Done())  # type: ignore[func-returns-value]
    desk.data_layer.answer(FinishMapResults, MapResultsWritten("out", "run/manifest.json"))
    desk.link.begin(export(("SUCCEEDED", b"1"), ("FAILED", b"2"), ("FAILED", b"3")))
    await desk.settled()
    assert [(part.number, part.kind, part.payload, part.folder) for part in parts] == [
        (0, "SUCCEEDED", b"1\n", "run"),
        (1, "FAILED", b"2\n3\n", "run"),
    ]
    assert desk.answers.written == [(("e1", 0), "t2", "out", "run/manifest.json")]


async def test_parts_that_were_lost_are_written_again_from_the_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_data, "RETRY_S", 0.0)
    numbers: list[int] = []

    def added(part: AddMapResults) -> Done | Refused:
        numbers.append(part.number)
        lost = len(numbers) == 2
        return Refused("not_found", "earlier parts are not here", True) if lost else Done()

    desk.data_layer.answer(AddMapResults, added)
    desk.data_layer.answer(FinishMapResults, MapResultsWritten("out", "k"))
    desk.link.begin(export(("SUCCEEDED", b"1"), ("FAILED", b"2")))
    await desk.settled()
    assert numbers == [0, 1, 0, 1]
    assert len(desk.answers.written) == 1


def test_batches_are_of_one_kind_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_data, "PART_BYTES", 4)
    monkeypatch.setattr(map_data, "PART_LINES", 3)
    lines = [("A", b"1"), ("A", b"2"), ("A", b"3"), ("A", b"4"), ("B", b"55555"), ("B", b"6"), ("A", b"7")]
    assert list(batches(iter(lines))) == [
        *(("A", b"1\n2\n3\n"), ("A", b"4\n"), ("B", b"55555\n"), ("B", b"6\n"), ("A", b"7\n")),
    ]
    assert list(batches(iter(()))) == []
