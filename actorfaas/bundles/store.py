"""The bundles of a node: from an archive on disk to a `BundleRef` that processes can be started from.

Owns DATA_DIR/bundles/SHA256, one immutable folder per content. A folder that exists is complete (it is renamed into
place), so it survives restarts and is never extracted twice.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from weakref import WeakValueDictionary

from actorfaas.bundles.archive import DEFAULT_LIMITS, ArchiveLimits, extract, sha256_of
from actorfaas.bundles.entry import find_entry
from actorfaas.bundles.environment import Environments
from actorfaas.errors import DeployError
from actorfaas.messages import BundleRef, PrepareBundle

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BundleStore:
    """Extracted bundles and their environments below `data_dir`."""

    def __init__(self, data_dir: Path, build_timeout_s: float, limits: ArchiveLimits = DEFAULT_LIMITS) -> None:
        self._archives = data_dir / "archives"
        self._bundles = data_dir / "bundles"
        self._limits = limits
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
        folder, python = Path(bundle.folder), Path(bundle.python)
        if not await asyncio.to_thread(lambda: folder.is_dir() and python.exists()):
            archive = str(self._archives / f"{bundle.sha256}.zip")
            await self.prepare(PrepareBundle(bundle.app, archive, bundle.sha256, bundle.entry))

    def _extracted(self, request: PrepareBundle) -> Path:
        folder = self._bundles / request.sha256
        if folder.is_dir():
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
