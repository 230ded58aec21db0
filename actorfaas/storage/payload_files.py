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
        path = self._path(name)
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

    async def load(self, name: str) -> bytes:
        """The payload stored under `name`. Raises FileNotFoundError once it was removed."""
        async with aiofiles.open(self._path(name), "rb") as file:
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

    def _path(self, name: str) -> Path:
        return self._folder / name[-1] / name

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
            path = self._path(name)
            for one in (path, path.with_suffix(_UNFINISHED)):
                with suppress(OSError):
                    one.unlink()
