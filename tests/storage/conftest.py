"""An open store in a folder of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorfaas.storage.sqlite_store import SqliteStore
from tests.storage.samples import Wall, sqlite_store


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def store(tmp_path: Path, wall: Wall) -> AsyncIterator[SqliteStore]:
    made = sqlite_store(tmp_path, wall)
    await made.open()
    yield made
    await made.close()
