"""Uploaded bundles on disk: DATA_DIR/archives/SHA256.zip, complete or not there at all.

Owns the folder and how a body becomes a file in it; what is inside an archive is looked at elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiofiles
import aiofiles.os

from actorfaas.http.problems import Problem
from actorfaas.ids import new_id

_PART = ".part"


@dataclass(frozen=True, slots=True)
class Archive:
    """A stored upload. `is_new`: its content was not there before."""

    path: Path
    sha256: str
    is_new: bool


class Archives:
    """The folder of uploads."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "archives"

    def prepare(self) -> None:
        """Make the folder; remove what uploads cut off by a crash have left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self._folder.glob(f"*{_PART}"):
            leftover.unlink(missing_ok=True)

    async def store(self, pieces: AsyncIterator[bytes]) -> Archive:
        """Write an upload, synced and named by its content. Raises Problem "invalid" for an empty one."""
        partial = self._folder / f"{new_id('upload')}{_PART}"
        digest = hashlib.sha256()
        size_bytes = 0
        try:
            async with aiofiles.open(partial, "wb") as file:
                async for piece in pieces:
                    digest.update(piece)
                    size_bytes += len(piece)
                    await file.write(piece)
                await file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            if not size_bytes:
                raise Problem("invalid", "the body is empty; send the bundle as a zip archive")
            path = self._folder / f"{digest.hexdigest()}.zip"
            is_new = not await aiofiles.os.path.exists(path)
            await aiofiles.os.replace(partial, path)
            return Archive(path, digest.hexdigest(), is_new)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
            raise

    async def discard(self, archive: Archive) -> None:
        """Forget an upload that could not be deployed."""
        with contextlib.suppress(FileNotFoundError):
            await aiofiles.os.remove(archive.path)
