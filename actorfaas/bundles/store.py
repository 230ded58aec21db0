"""The bundles of a node: from an archive on disk to a `BundleRef` that processes can be started from.

Owns DATA_DIR/bundles/SHA256, one immutable folder per content. A folder that exists is complete (it is renamed into
place), so it survives restarts and is extracted again only when it was removed, after nobody used it for long.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from pathlib import Path
from weakref import WeakValueDictionary

from actorfaas.bundles import retention
from actorfaas.bundles.archive import DEFAULT_LIMITS, ArchiveLimits, extract, sha256_of
from actorfaas.bundles.entry import find_entry
from actorfaas.bundles.environment import Environments
from actorfaas.errors import DeployError
from actorfaas.messages import BundleRef, PrepareBundle

LEAST_AGE_S = 3600.0

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BundleStore:
    """Extracted bundles and their environments below `data_dir`."""

    def __init__(
        self, data_dir: Path, build_timeout_s: float, keep: int = 0, limits: ArchiveLimits = DEFAULT_LIMITS
    ) -> None:
        """`keep`: how many bundles, and how many environments, stay although nobody uses them."""
        self._archives = data_dir / "archives"
        self._bundles = data_dir / "bundles"
        self._limits = limits
        self._keep = keep
        # What a deploy has prepared is in use only once it is stored: its steps take at most this long.
        self._least_age_s = max(LEAST_AGE_S, 6 * build_timeout_s)
        self._environments = Environments(data_dir / "venvs", build_timeout_s)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def prepare(self, request: PrepareBundle) -> BundleRef:
        """The bundle of an archive, extracted and with its interpreter. Raises DeployError."""
        if not _SHA256.fullmatch(request.sha256):
            raise DeployError(f"{request.sha256!r} is not a SHA-256")
        async with self._locks.setdefault(request.sha256, asyncio.Lock()):
            folder = await asyncio.to_thread(self._extracted, request)
        entry = await asyncio.to_thread(find_entry, folder, request.entry)
        requirements = await asyncio.to_thread(_requirements, folder)
        python = await self._environments.python_for(requirements)
        return BundleRef(request.app, request.sha256, str(folder), entry, python)

    async def restore(self, bundle: BundleRef) -> None:
        """Make sure that a bundle prepared earlier is still there: its folder and its environment may have been lost.

        Raises DeployError when they cannot be made again.
        """
        async with self._locks.setdefault(bundle.sha256, asyncio.Lock()):
            is_there = await asyncio.to_thread(retention.touch, Path(bundle.folder))
        if not (is_there and await self._environments.is_there(bundle.python)):
            archive = str(self._archives / f"{bundle.sha256}.zip")
            await self.prepare(PrepareBundle(bundle.app, archive, bundle.sha256, bundle.entry))

    async def remove_unused(self, in_use: Collection[BundleRef]) -> int:
        """Remove folders and environments that no bundle `in_use` needs, beyond those to keep; how many.

        One that was wanted a short while ago stays, and so does a folder that could not be extracted again.
        """
        names = {bundle.sha256 for bundle in in_use}
        old = await asyncio.to_thread(retention.excess, self._bundles, names, self._keep, self._least_age_s)
        removed = 0
        for folder in old:
            async with self._locks.setdefault(folder.name, asyncio.Lock()):
                removed += await asyncio.to_thread(self._remove, folder)
        pythons = {bundle.python for bundle in in_use}
        return removed + await self._environments.remove_unused(pythons, self._keep, self._least_age_s)

    def _remove(self, folder: Path) -> bool:
        is_bundle = _SHA256.fullmatch(folder.name) is not None
        if is_bundle and not (self._archives / f"{folder.name}.zip").is_file():
            return False
        return retention.remove_if_older(folder, self._least_age_s)

    def _extracted(self, request: PrepareBundle) -> Path:
        folder = self._bundles / request.sha256
        if retention.touch(folder):
            return folder
        archive = self._archives / request.archive  # an absolute path stays as it is
        actual = sha256_of(archive)
        if actual != request.sha256:
            raise DeployError(f"the archive {archive.name} has the SHA-256 {actual}, not {request.sha256}")
        extract(archive, folder, self._limits)
        return folder


def _requirements(folder: Path) -> bytes:
    try:
        return (folder / "requirements.txt").read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise DeployError(f"requirements.txt cannot be read: {error.strerror or error}") from error
