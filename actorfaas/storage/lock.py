"""One node per data folder: an advisory lock that the kernel drops with the process that held it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from actorfaas.errors import StorageUnusable


class FolderLock:
    """An exclusive lock on `path`, held from `acquire` to `release`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock at once. Raises StorageUnusable, naming the holder, when another process has it."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise StorageUnusable(
                f"{self._path.parent} is in use by another node (process {holder}); stop it, or use another data_dir"
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lock back; no error when it is not held."""
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1
