"""A payload as a row holds it: the bytes themselves, or the name of the file they are in.

Owns which payload goes where, and that a file never outlives the write that should have named it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from actorfaas.errors import RequestRefused, StorageUnavailable
from actorfaas.storage.database import unavailable
from actorfaas.storage.payload_files import PayloadFiles
from actorfaas.storage.reader import Reader
from actorfaas.storage.writer import Operation, Writer

T = TypeVar("T")
Found = TypeVar("Found")

READ_ATTEMPTS = 3


class Body(NamedTuple):
    """What is stored of one payload; `file` is None when `inline` is all of it. With both, the payload is `inline`, and
    the file is what it tells of: it is kept as long, and read by whoever wants it."""

    inline: bytes
    file: str | None = None


EMPTY = Body(b"")


class Bodies:
    """Turns payloads into bodies and back. Payloads above `limit_bytes` go to files under `folder`."""

    def __init__(self, folder: Path, durable: bool, limit_bytes: int) -> None:
        self._folder = folder
        self._files = PayloadFiles(folder, durable)
        self._limit_bytes = limit_bytes

    def open(self) -> None:
        """Make the folders (blocking; at start only)."""
        self._files.open()

    async def collect_orphans(self, reader: Reader) -> int:
        """Delete the files that no row names (at start only); how many there were."""
        named = await reader.run(_named_files)
        return await asyncio.to_thread(self._files.collect_orphans, named)

    def is_large(self, payload: bytes) -> bool:
        """Whether a payload goes to a file."""
        return len(payload) > self._limit_bytes

    async def store(self, payloads: Sequence[bytes]) -> list[Body]:
        """Each payload as it is to be stored; large ones are in files when this returns."""
        bodies: list[Body] = []
        try:
            for payload in payloads:
                bodies.append(  # noqa: PERF401  # those stored before a failure must be known
                    Body(b"", await self._files.save(payload)) if self.is_large(payload) else Body(payload)
                )
        except OSError as error:
            await self.remove(files_of(bodies))
            raise unavailable(self._folder, error) from error
        return bodies

    async def write(self, writer: Writer, payloads: Sequence[bytes], make: Callable[[list[Body]], Operation[T]]) -> T:
        """Store the payloads, then commit the operation that names their files; without it they are removed."""
        bodies = await self.store(payloads)
        return await self.commit(writer, make(bodies), bodies)

    async def commit(self, writer: Writer, operation: Operation[T], bodies: list[Body]) -> T:
        """Commit an operation that names files; they are removed when it is not committed."""
        try:
            return await writer.submit(operation)
        except (RequestRefused, StorageUnavailable):
            await self.remove(files_of(bodies))
            raise

    async def load(self, body: Body) -> bytes:
        """The payload of a row just read. Raises FileNotFoundError when the row has gone since."""
        return body.inline if body.inline or body.file is None else await self._files.load(body.file)

    async def read(
        self,
        reader: Reader,
        query: Callable[[sqlite3.Connection], Found],
        load: Callable[[Found], Awaitable[T]],
    ) -> T:
        """Query, then load the files it names; again when one was replaced or pruned in between."""
        for _ in range(READ_ATTEMPTS):
            try:
                return await load(await reader.run(query))
            except FileNotFoundError as error:
                missing = error
            except OSError as error:
                raise unavailable(self._folder, error) from error
        raise unavailable(self._folder, missing)

    async def remove(self, files: Sequence[str]) -> None:
        """Delete files; one that is not there is no error."""
        if files:
            await self._files.remove(files)


def files_of(bodies: Sequence[Body]) -> list[str]:
    """The files that bodies name."""
    return [body.file for body in bodies if body.file]


def _named_files(connection: sqlite3.Connection) -> set[str]:
    tables = ("execution_input", "execution_output", "event", "key_value")
    statement = " UNION ALL ".join(f"SELECT file FROM {table} WHERE file IS NOT NULL" for table in tables)
    return {file for (file,) in connection.execute(statement)}
