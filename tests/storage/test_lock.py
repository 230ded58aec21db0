"""One node per data folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actorfaas.errors import StorageUnusable
from actorfaas.storage.lock import FolderLock


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(StorageUnusable, match=f"in use by another node \\(process {os.getpid()}\\)"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()
