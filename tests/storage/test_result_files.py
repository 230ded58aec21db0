"""Results of Map states as objects: files for each kind, a manifest, and what is left when something goes wrong."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event, Thread
from typing import Any

import orjson
import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import AddMapResults, FinishMapResults, MapResultsWritten
from actorfaas.storage.objects import ObjectStore
from actorfaas.storage.result_files import ResultFiles

Json = Any  # decoded JSON


@pytest.fixture(params=[True, False], ids=["durable", "not durable"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> ResultFiles:
    (tmp_path / "out").mkdir()
    return ResultFiles(ObjectStore(tmp_path), durable=request.param, file_bytes=10)


def add(number: int, payload: bytes, *, kind: str = "SUCCEEDED", type_: str = "JSON", run: str = "r") -> AddMapResults:
    return AddMapResults(run, number, "out", f"p/{run}", type_, kind, payload)


def finish(parts: int, run: str = "r", bucket: str = "out") -> FinishMapResults:
    return FinishMapResults(run, parts, bucket, f"p/{run}", "arn")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}


def test_lines_become_arrays_and_a_full_file_is_followed_by_the_next(results: ResultFiles, tmp_path: Path) -> None:
    results.add(add(0, b"1\n2\n"))
    results.add(add(1, b'"failed"\n', kind="FAILED"))
    results.add(add(2, b"[3,33,3]\n"))
    results.add(add(3, b"4\n"))
    assert [name for name in files(tmp_path) if not name.startswith(".")] == [], "nothing is published before the end"
    assert results.finish(finish(4)) == MapResultsWritten("out", "p/r/manifest.json")
    found = files(tmp_path)
    assert {name: body for name, body in found.items() if name != "manifest.json"} == {
        "SUCCEEDED_0.json": b"[1,2,[3,33,3]]",
        "SUCCEEDED_1.json": b"[4]",
        "FAILED_0.json": b'["failed"]',
    }
    assert orjson.loads(found["manifest.json"]) == {
        "DestinationBucket": "out",
        "MapRunArn": "arn",
        "ResultFiles": {
            "SUCCEEDED": [{"Key": "p/r/SUCCEEDED_0.json", "Size": 14}, {"Key": "p/r/SUCCEEDED_1.json", "Size": 3}],
            "FAILED": [{"Key": "p/r/FAILED_0.json", "Size": 10}],
            "PENDING": [],
        },
    }


def test_lines_stay_lines_and_no_results_make_a_manifest_alone(results: ResultFiles, tmp_path: Path) -> None:
    results.add(add(0, b"1\n2\n", type_="JSONL"))
    results.finish(finish(1))
    assert files(tmp_path)["SUCCEEDED_0.jsonl"] == b"1\n2\n"
    results.finish(finish(0, "empty"))
    assert (tmp_path / "out" / "p" / "empty" / "manifest.json").is_file()


def test_parts_that_do_not_follow_each_other_are_refused_and_part_0_begins_anew(
    results: ResultFiles, tmp_path: Path
) -> None:
    for wrong in (lambda: results.add(add(1, b"1\n")), lambda: results.finish(finish(1))):
        with pytest.raises(RequestRefused) as raised:
            wrong()
        assert (raised.value.code, raised.value.retryable) == ("not_found", True)
    results.add(add(0, b"1\n"))
    results.add(add(0, b"2\n"))
    results.finish(finish(1))
    assert files(tmp_path)["SUCCEEDED_0.json"] == b"[2]"


def test_what_is_given_up_leaves_nothing(results: ResultFiles, tmp_path: Path) -> None:
    results.add(add(0, b"1\n"))
    results.drop("r")
    results.drop("r")
    results.add(add(0, b"1\n", run="other"))
    results.close()
    assert files(tmp_path) == {}
    with pytest.raises(RequestRefused):
        results.add(add(1, b"2\n"))


def test_buckets_and_folders_that_cannot_be_written(results: ResultFiles, tmp_path: Path) -> None:
    with pytest.raises(RequestRefused, match="no bucket 'away'"):
        results.finish(finish(0, bucket="away"))
    (tmp_path / "out" / "p").write_text("a file")
    with pytest.raises(RequestRefused, match="cannot be written"):
        results.add(add(0, b"1\n"))


def test_nothing_is_left_of_what_cannot_be_written(results: ResultFiles, tmp_path: Path) -> None:
    results.add(add(0, b"1111111111\n"))
    (tmp_path / "out" / "p" / "r" / ".SUCCEEDED_1.json.part").mkdir()
    with pytest.raises(RequestRefused, match="cannot be written"):
        results.add(add(1, b"2\n"))
    assert files(tmp_path) == {}
    results.add(add(0, b"1\n", run="other"))
    (tmp_path / "out" / "p" / "other" / "manifest.json").mkdir()
    with pytest.raises(RequestRefused, match="cannot be written"):
        results.finish(finish(1, "other"))
    assert [name for name in files(tmp_path) if name.startswith(".")] == []
    with pytest.raises(RequestRefused, match="earlier parts"):
        results.add(add(1, b"2\n", run="other"))


def test_files_are_closed_and_removed_when_there_is_no_room(
    results: ResultFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[Any]()
    really_open = Path.open

    def full(path: Path, mode: str) -> Any:
        really_open(path, mode).close()
        opened.append(really_open(Path("/dev/full"), mode))
        return opened[-1]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RequestRefused, match="No space"):
        results.add(add(0, b"1" * 100_000 + b"\n"))
    monkeypatch.undo()
    assert [file.closed for file in opened] == [True]
    assert files(tmp_path) == {}


def test_what_a_map_run_had_written_before_is_replaced_whole(results: ResultFiles, tmp_path: Path) -> None:
    results.add(add(0, b"1111111111\n"))
    results.add(add(1, b"2\n"))
    results.add(add(2, b"3\n", kind="FAILED"))
    results.finish(finish(3))
    (tmp_path / "out" / "p" / "r" / "FAILED_notes.json").touch()
    results.add(add(0, b"4\n"))
    results.finish(finish(1))
    found = files(tmp_path)
    assert sorted(found) == ["FAILED_notes.json", "SUCCEEDED_0.json", "manifest.json"]
    assert found["SUCCEEDED_0.json"] == b"[4]"


class WatchedStore(ObjectStore):
    """Tells when a file of a map run is about to be opened."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.is_asked = Event()

    def place(self, bucket: str, key: str) -> tuple[Path, Path]:
        self.is_asked.set()
        return super().place(bucket, key)


def test_a_map_run_that_stalls_holds_no_other_one(tmp_path: Path) -> None:
    objects = WatchedStore(tmp_path)
    results = ResultFiles(objects, durable=False)
    folder = tmp_path / "out" / "p" / "stalled"
    folder.mkdir(parents=True)
    pipe = folder / ".SUCCEEDED_0.json.part"
    os.mkfifo(pipe)  # opening it waits for a reader
    stalled = Thread(target=results.add, args=(add(0, b"1\n", run="stalled"),))
    stalled.start()
    assert objects.is_asked.wait(60)
    dropped = Thread(target=results.drop, args=("stalled",))
    try:
        results.add(add(0, b"2\n"))
        results.finish(finish(1))
        dropped.start()
        assert stalled.is_alive()
        assert dropped.is_alive(), "the same map run's turn comes after"
    finally:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        stalled.join()
        dropped.join()
        os.close(reader)
    assert sorted(files(tmp_path)) == ["SUCCEEDED_0.json", "manifest.json"]
    assert not pipe.exists()
