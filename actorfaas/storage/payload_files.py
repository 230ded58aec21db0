"""Large payloads as files: written durably before the commit that names them, removed after the one that forgets.

A crash in between leaves a file that no row names; such files are collected at the next start.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import aiofiles

from actorfaas.ids import new_id

_FOLDERS = "0123456789abcdefghjkmnpqrstvwxyz"  # the last character of an id, which is random
_UNFINISHED = ".part"

PAYLOADS = "payloads"
"""The folder of a node's payload files, in its data folder."""


def payload_path(folder: Path, name: str) -> Path:
    """Where the payload of a name is."""
    return folder / name[-1] / name


class PayloadFiles:
    """The files under `folder`. `durable`: also survive loss of power, not only a crash of software."""

    def __init__(self, folder: Path, durable: bool) -> None:
        self._folder = folder
        self._durable = durable

    def open(self) -> None:
        """Make the folders (blocking; at start only)."""
        for name in _FOLDERS:
            (self._folder / name).mkdir(parents=True, exist_ok=True)

    async def save(self, payload: bytes) -> str:
        """Write one payload; returns the name to store. Raises OSError and leaves nothing behind then."""
        name = new_id("pay")
        path = self.path(name)
        unfinished = path.with_suffix(_UNFINISHED)
        try:
            async with aiofiles.open(unfinished, "wb") as file:
                await file.write(payload)
                await file.flush()
                if self._durable:
                    await asyncio.to_thread(os.fsync, file.fileno())
            await asyncio.to_thread(self._publish, unfinished, path)
        except OSError:
            await self.remove([name])
            raise
        return name

    def save_lines(self, lines: Iterable[bytes]) -> tuple[str, int, int]:
        """Write lines as they come (blocking), each with its end; the name to store, how many they are, and how many
        bytes. Raises what `lines` raises, and OSError, and leaves nothing behind then."""
        name = new_id("pay")
        path = self.path(name)
        unfinished = path.with_suffix(_UNFINISHED)
        count = 0
        try:
            with unfinished.open("wb") as file:
                for line in lines:
                    file.write(line)
                    file.write(b"\n")
                    count += 1
                size_bytes = file.tell()
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            self._publish(unfinished, path)
        except BaseException:  # also when it is interrupted: no half of a file stays
            self._remove([name])
            raise
        return name, count, size_bytes

    async def load(self, name: str) -> bytes:
        """The payload stored under `name`. Raises FileNotFoundError once it was removed."""
        async with aiofiles.open(self.path(name), "rb") as file:
            return await file.read()

    async def remove(self, names: Iterable[str]) -> None:
        """Delete files; one that is not there is no error."""
        await asyncio.to_thread(self._remove, list(names))

    def collect_orphans(self, referenced: set[str]) -> int:
        """Delete every file that is not in `referenced` (blocking; at start only); how many there were."""
        orphans = [path for path in self._folder.glob("*/*") if path.name not in referenced]
        for path in orphans:
            path.unlink()
        return len(orphans)

    def path(self, name: str) -> Path:
        """Where a payload is, or will be."""
        return payload_path(self._folder, name)

    def _publish(self, unfinished: Path, path: Path) -> None:
        unfinished.rename(path)
        if self._durable:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            path = self.path(name)
            for one in (path, path.with_suffix(_UNFINISHED)):
                with suppress(OSError):
                    one.unlink()
