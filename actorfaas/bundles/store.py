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

    async def environment_again(self, bundle: BundleRef) -> BundleRef:
        """The same bundle with an interpreter that exists now: an environment may have been lost since the deploy.

        Raises DeployError when the folder is gone or the environment cannot be built again.
        """
        folder = Path(bundle.folder)
        if not await asyncio.to_thread(folder.is_dir):
            archive = str(self._archives / f"{bundle.sha256}.zip")
            return await self.prepare(PrepareBundle(bundle.app, archive, bundle.sha256, bundle.entry))
        python = await self._environments.python_for(await asyncio.to_thread(_requirements, folder))
        return BundleRef(bundle.app, bundle.sha256, bundle.folder, bundle.entry, python)

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
