"""A supervisor with real templates and workers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.actors_kit import Kit
from tests.system.supervisor_rig import SupervisorRig


@pytest.fixture
async def rig(kit: Kit) -> AsyncIterator[SupervisorRig]:
    made = SupervisorRig(kit)
    await made.start()
    yield made
    made.close()
