"""The items of distributed Map states as payload files: one JSON text a line, made once, then never changed.

An execution that continues after a restart finds the same items, whatever became of the object. The formats are
`states.item_reader`'s.
"""

from __future__ import annotations

import gzip
import mmap
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path
from threading import Event
from typing import BinaryIO, cast

import orjson

from actorfaas.errors import RequestRefused
from actorfaas.messages import FetchItems, ItemsFetched
from actorfaas.states.errors import StatesError
from actorfaas.states.item_reader import (
    ATHENA,
    INVENTORY,
    LISTED,
    MAX_WHOLE_BYTES,
    ReaderConfig,
    athena_objects,
    inventory_of,
    item_lines,
)
from actorfaas.states.items import ItemLines
from actorfaas.storage.objects import ObjectStore, opened, pieces
from actorfaas.storage.parquet_items import parquet_lines
from actorfaas.storage.payload_files import PayloadFiles

CHECK_EVERY = 1_000
"""After so many items it is looked whether they are still wanted."""


class ItemFiles:
    """Makes the files. `allowed`: folders below which plain files may be read by their absolute path."""

    def __init__(self, objects: ObjectStore, files: PayloadFiles, allowed: tuple[Path, ...]) -> None:
        self._objects = objects
        self._files = files
        self._allowed = allowed

    def fetch(self, request: FetchItems, unwanted: Event) -> ItemsFetched:
        """Make the file (blocking). Raises RequestRefused, and OSError where it cannot be written."""
        with ExitStack() as stack:
            try:
                lines = islice(self._lines(request, stack), request.most)
                name, number, size_bytes = self._files.save_lines(_while_wanted(lines, unwanted))
            except StatesError as error:
                raise RequestRefused("invalid", error.cause) from error
        return ItemsFetched(name, str(self._files.path(name)), number, size_bytes)

    def _lines(self, request: FetchItems, stack: ExitStack) -> Iterator[bytes]:
        config = ReaderConfig(request.input_type, request.headers, request.delimiter, request.pointer)
        if request.through == LISTED:
            keys = (one.key for one in self._objects.list(request.folder, request.key))
            return self._lines_of(((request.folder, key) for key in keys), config)
        if request.source == "list":
            return self._listing(request)
        file = stack.enter_context(self._opened(request))
        if request.through == INVENTORY:
            inventory = inventory_of(file.read(MAX_WHOLE_BYTES))
            named = ((inventory.bucket, key) for key in inventory.keys)
            return self._lines_of(named, ReaderConfig("CSV", inventory.headers))
        if request.through == ATHENA:
            return self._lines_of(athena_objects(pieces(file)), config)
        return _lines_in(file, config)

    def _opened(self, request: FetchItems) -> BinaryIO:
        if request.source == "object":
            return self._objects.open(request.folder, request.key)
        return opened(self._plain_file(request), request.key)

    def _plain_file(self, request: FetchItems) -> Path:
        """A file of the deployment, or one in a folder that the settings name."""
        path = Path(request.key)
        if "\0" in request.key:
            raise RequestRefused("invalid", f"{request.key!r} is no path of a file")
        if not path.is_absolute():
            folders: tuple[Path, ...] = (Path(request.folder),)
            path = folders[0] / path
        else:
            folders = self._allowed
        found = path.resolve()
        if not any(found.is_relative_to(folder.resolve()) for folder in folders):
            raise RequestRefused("invalid", f"{request.key} is not in a folder of which item_dirs says it may be read")
        return found

    def _listing(self, request: FetchItems) -> Iterator[bytes]:
        for one in self._objects.list(request.folder, request.key):
            yield orjson.dumps(
                {
                    "Etag": f'"{one.tag}"',
                    "Key": one.key,
                    "LastModified": one.modified_ms // 1000,
                    "Size": one.size_bytes,
                    "StorageClass": "STANDARD",
                }
            )

    def _lines_of(self, places: Iterable[tuple[str, str]], config: ReaderConfig) -> Iterator[bytes]:
        """Every item of several objects, of which each may be packed."""
        for bucket, key in places:
            with self._objects.open(bucket, key) as stored:
                if config.input_type == "PARQUET" or not key.endswith(".gz"):
                    yield from _lines_in(stored, config)
                    continue
                with gzip.open(stored, "rb") as unpacked:
                    yield from item_lines(_unpacked(cast(BinaryIO, unpacked), key), config)


def _lines_in(file: BinaryIO, config: ReaderConfig) -> Iterator[bytes]:
    return parquet_lines(file) if config.input_type == "PARQUET" else item_lines(pieces(file), config)


def _unpacked(file: BinaryIO, key: str) -> Iterator[bytes]:
    try:
        yield from pieces(file)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise RequestRefused("invalid", f"{key} cannot be unpacked: {error}") from error


def _while_wanted(lines: Iterator[bytes], unwanted: Event) -> Iterator[bytes]:
    """Raises RequestRefused, also for what the operating system says of reading: to try again would not help."""
    for number in count():
        if number % CHECK_EVERY == 0 and unwanted.is_set():
            raise RequestRefused("cancelled", "nobody waits for these items any more")
        try:
            line = next(lines)
        except StopIteration:
            return
        except OSError as error:
            raise RequestRefused(
                "invalid", f"{error.filename or 'the object'} cannot be read: {error.strerror}"
            ) from error
        yield line


def open_items(path: Path, count: int, size_bytes: int) -> ItemLines:
    """The items in a file, as a memory map. Raises OSError where it is not there or not as it was written."""
    with path.open("rb") as file:
        found = file.seek(0, 2)
        if found != size_bytes:
            raise OSError(f"{path} has {found} bytes, not {size_bytes}")
        return ItemLines(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size_bytes else b"", count)
