"""What the Frontends are told of what can be invoked."""

from __future__ import annotations

import asyncio

from actorfaas.actors.routes import Routes
from actorfaas.core.catalogue import Catalogue
from actorfaas.messages import Done, GetRoutes, RemoveApp, RoutesChanged
from tests.actors.manager_node import Node
from tests.actors_kit import Kit


async def test_a_frontend_that_asked_is_told_of_every_change_once(kit: Kit) -> None:
    node = await Node(kit).begin()
    await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    await node.deploy()
    await node.deploy()
    await node.frontend.ask("execution_manager", RemoveApp("shop"), Done)
    told = [await node.frontend.expect(RoutesChanged) for _ in range(2)]
    assert [sorted(route.name for route in one.routes) for one in told] == [["a", "ab", "b"], []]
    assert node.frontend.received(RoutesChanged) == []


async def test_nothing_is_told_before_it_is_known_what_is_in_service() -> None:
    loaded = asyncio.Event()
    routes = Routes(Catalogue(60.0, 10), loaded)
    assert not routes.tell_changes()
    loaded.set()
    assert routes.tell_changes()
    assert not routes.tell_changes()
