"""The results of distributed Map states as objects: KIND_n files and the manifest that names them, as on S3.

Files are written as parts arrive, and published together, the manifest last. A map run that is written again, after a
restart or a redrive, replaces what it had written. Map runs do not wait for each other.
(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html)
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import BinaryIO
from weakref import WeakValueDictionary

import orjson

from actorfaas.errors import RequestRefused
from actorfaas.messages import AddMapResults, FinishMapResults, MapResultsWritten
from actorfaas.states.map_results import FAILED, PENDING, SUCCEEDED
from actorfaas.storage.objects import ObjectStore

FILE_BYTES = 256 * 1024 * 1024
"""A file that has become so large is followed by the next one."""

_KINDS = (SUCCEEDED, FAILED, PENDING)
_MANIFEST = "manifest"
_RESULTS = re.compile(rf"({'|'.join(_KINDS)})_\d+\.jsonl?")


@dataclass(slots=True)
class _File:
    """One file being written."""

    key: str
    unfinished: Path
    path: Path
    out: BinaryIO
    is_json: bool
    size_bytes: int = 0

    def add(self, lines: bytes) -> None:
        """Lines, each with its end."""
        if self.is_json:
            lines = (b"," if self.size_bytes else b"[") + lines[:-1].replace(b"\n", b",")
        self.out.write(lines)
        self.size_bytes += len(lines)

    def end(self, durable: bool) -> None:
        """Nothing more comes."""
        if self.is_json:
            self.out.write(b"]")
            self.size_bytes += 1
        self.out.flush()
        if durable:
            os.fsync(self.out.fileno())
        self.out.close()


@dataclass(slots=True)
class _Export:
    """The results of one map run, as far as they have come. `files`: by kind, the last one is still open; at the end
    the manifest, too."""

    parts: int = 0
    files: dict[str, list[_File]] = field(default_factory=lambda: {kind: [] for kind in _KINDS})

    def all(self) -> list[_File]:
        return [file for files in self.files.values() for file in files]


class ResultFiles:
    """Writes them. Every method blocks; RequestRefused says what is wrong, and nothing of the map run is kept then.
    `durable`: they survive loss of power."""

    def __init__(self, objects: ObjectStore, durable: bool, file_bytes: int = FILE_BYTES) -> None:
        self._objects = objects
        self._durable = durable
        self._file_bytes = file_bytes
        self._exports: dict[str, _Export] = {}
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._finding = Lock()

    def _lock_of(self, run_id: str) -> Lock:
        """What keeps others from a map run: it is there as long as somebody holds it or waits for it."""
        with self._finding:
            return self._locks.setdefault(run_id, Lock())

    def add(self, request: AddMapResults) -> None:
        """Write one part."""
        with self._lock_of(request.run_id), self._dropping(request.run_id):
            self._add(request)

    def _add(self, request: AddMapResults) -> None:
        if request.number == 0:
            self._drop(request.run_id)
            self._exports[request.run_id] = _Export()
        export = self._expected(request.run_id, request.number)
        with _refusing(request.folder):
            self._current(export, request).add(request.payload)
        export.parts += 1

    def finish(self, request: FinishMapResults) -> MapResultsWritten:
        """Publish the files, then their manifest."""
        with self._lock_of(request.run_id), self._dropping(request.run_id):
            return self._finish(request)

    def _finish(self, request: FinishMapResults) -> MapResultsWritten:
        if request.parts == 0:
            self._exports[request.run_id] = _Export()
        export = self._expected(request.run_id, request.parts)
        key = f"{request.folder}/manifest.json"
        with _refusing(request.folder):
            for file in export.all():
                if not file.out.closed:
                    file.end(self._durable)
            named = {
                kind: [{"Key": file.key, "Size": file.size_bytes} for file in files]
                for kind, files in export.files.items()
            }
            manifest = {"DestinationBucket": request.bucket, "MapRunArn": request.arn, "ResultFiles": named}
            last = self._new_file(request.bucket, key, is_json=False)
            export.files[_MANIFEST] = [last]
            last.add(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS))
            last.end(self._durable)
            for file in export.all():
                file.unfinished.replace(file.path)
            _remove_replaced(last.path.parent, {file.path.name for file in export.all()})
            if self._durable:
                _sync_folder(last.path.parent)
        del self._exports[request.run_id]
        return MapResultsWritten(request.bucket, key)

    def drop(self, run_id: str) -> None:
        """Give up what has come of a map run."""
        with self._lock_of(run_id):
            self._drop(run_id)

    def _drop(self, run_id: str) -> None:
        export = self._exports.pop(run_id, None)
        for file in () if export is None else export.all():
            with suppress(OSError):  # what waits to be written may have no room
                file.out.close()
            with suppress(OSError):
                file.unfinished.unlink()

    @contextmanager
    def _dropping(self, run_id: str) -> Iterator[None]:
        """What cannot be written is given up: open files, and the room that they take."""
        try:
            yield
        except RequestRefused:
            self._drop(run_id)
            raise

    def close(self) -> None:
        """Give up everything."""
        for run_id in list(self._exports):
            self.drop(run_id)

    def _expected(self, run_id: str, number: int) -> _Export:
        export = self._exports.get(run_id)
        if export is None or export.parts != number:
            raise RequestRefused("not_found", f"earlier parts of map run {run_id} are not here", retryable=True)
        return export

    def _current(self, export: _Export, request: AddMapResults) -> _File:
        files = export.files[request.kind]
        if files and files[-1].size_bytes < self._file_bytes:
            return files[-1]
        if files:
            files[-1].end(self._durable)
        ending = "jsonl" if request.output_type == "JSONL" else "json"
        key = f"{request.folder}/{request.kind}_{len(files)}.{ending}"
        files.append(self._new_file(request.bucket, key, is_json=ending == "json"))
        return files[-1]

    def _new_file(self, bucket: str, key: str, *, is_json: bool) -> _File:
        unfinished, path = self._objects.place(bucket, key)
        return _File(key, unfinished, path, unfinished.open("wb"), is_json)


@contextmanager
def _refusing(folder: str) -> Iterator[None]:
    """Makes what the operating system says a refusal that names the folder."""
    try:
        yield
    except OSError as error:
        raise RequestRefused("invalid", f"{folder} cannot be written: {error.strerror}") from error


def _remove_replaced(folder: Path, kept: Container[str]) -> None:
    """What the map run had written before and does not have any more: after a redrive, what had failed."""
    for path in folder.iterdir():
        if _RESULTS.fullmatch(path.name) and path.name not in kept:
            path.unlink()


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
