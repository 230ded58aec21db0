"""A Frontend among actors that the test plays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.actors_kit import Kit
from tests.frontend_kit import Node, frontend


@pytest.fixture
async def node(kit: Kit) -> AsyncIterator[Node]:
    async with frontend(kit) as made:
        yield made
