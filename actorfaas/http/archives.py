"""Uploaded bundles on disk: DATA_DIR/archives/SHA256.zip, complete or not there at all.

Owns the folder and how a body becomes a file in it; what is inside an archive is looked at elsewhere. Deployments of
the same content share a file: it stays when it was there before, or when one of them wants it kept.
"""

from __future__ import annotations

import asyncio
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
    """A stored upload, held until `let_go`."""

    path: Path
    sha256: str


@dataclass(slots=True)
class _Use:
    """Who holds one file now. `is_wanted`: it was there before them, or one of them has wanted it kept."""

    holders: int
    is_wanted: bool


class Archives:
    """The folder of uploads."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "archives"
        self._uses: dict[Path, _Use] = {}
        self._changing = asyncio.Lock()  # a file comes or goes, and `_uses` with it

    def prepare(self) -> None:
        """Make the folder; remove what uploads cut off by a crash have left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self._folder.glob(f"*{_PART}"):
            leftover.unlink(missing_ok=True)

    async def store(self, pieces: AsyncIterator[bytes]) -> Archive:
        """Write an upload, synced and named by its content. Raises Problem "invalid" for an empty one."""
        partial = self._folder / f"{new_id('upload')}{_PART}"
        try:
            digest = await _write(partial, pieces)
            path = self._folder / f"{digest}.zip"
            async with self._changing:
                use = self._uses.get(path) or _Use(0, await aiofiles.os.path.exists(path))
                await aiofiles.os.replace(partial, path)
                use.holders += 1
                self._uses[path] = use
        finally:
            partial.unlink(missing_ok=True)  # gone already when all went well
        return Archive(path, digest)

    async def let_go(self, archive: Archive, *, keep: bool) -> None:
        """One deployment is done with its archive; after the last one the file goes unless somebody wants it."""
        async with self._changing:
            use = self._uses[archive.path]
            use.holders -= 1
            use.is_wanted |= keep
            if use.holders == 0:
                del self._uses[archive.path]
                if not use.is_wanted:
                    await asyncio.to_thread(archive.path.unlink, missing_ok=True)


async def _write(path: Path, pieces: AsyncIterator[bytes]) -> str:
    """The pieces as a file on disk; the SHA-256 of its content."""
    digest = hashlib.sha256()
    size_bytes = 0
    async with aiofiles.open(path, "wb") as file:
        async for piece in pieces:
            digest.update(piece)
            size_bytes += len(piece)
            await file.write(piece)
        await file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    if not size_bytes:
        raise Problem("invalid", "the body is empty; send the bundle as a zip archive")
    return digest.hexdigest()
