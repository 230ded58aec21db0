"""Deployments: stored, started, current once all of it runs; rolled back, removed."""

from __future__ import annotations

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    Deployed,
    Done,
    DropTopic,
    GetRoutes,
    Refused,
    RemoveApp,
    Rollback,
    RoutesChanged,
    StartFunction,
    StartWorkers,
    StopFunction,
)
from tests.actors.manager_node import Node
from tests.actors_kit import Kit
from tests.core.specs import chain, workflow


@pytest.fixture
async def node(kit: Kit) -> Node:
    return await Node(kit).begin()


async def test_a_deployment_is_stored_started_and_told(node: Node) -> None:
    before = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert before.routes == ()
    deployed = await node.deploy()
    assert deployed == Deployed("shop", 1, ("a", "b"), ("ab",), ())
    told = await node.frontend.expect(RoutesChanged, lambda message: bool(message.routes))
    routes = {route.name: route for route in told.routes}
    assert routes["a"].topic == "a@1"
    assert (routes["ab"].kind, routes["ab"].topic, routes["ab"].durability) == ("workflow", "", "standard")
    assert routes["ab"].timeout_s == 60.0
    started = [await node.supervisor.expect(StartWorkers) for _ in range(2)]
    assert {(one.function_topic, one.count) for one in started} == {("a@1", 1), ("b@1", 1)}


async def test_the_same_code_again_changes_nothing(node: Node) -> None:
    await node.deploy()
    assert (await node.deploy()).version == 1
    assert len(node.records) == 1


async def test_names_of_another_application_are_a_conflict_that_names_it(node: Node) -> None:
    await node.deploy()
    with pytest.raises(RequestRefused, match="'a' belongs to application 'shop'") as refused:
        await node.deploy(app="other", sha256="b" * 64)
    assert refused.value.code == "conflict"


async def test_every_problem_of_a_definition_is_listed(node: Node) -> None:
    node.workflows = (workflow("one", chain("a", "nowhere")), workflow("two", b"{}"))
    with pytest.raises(RequestRefused, match=r"no function 'nowhere'.*at least one state") as refused:
        await node.deploy()
    assert refused.value.code == "invalid"
    assert node.records == []


async def test_a_failing_template_leaves_the_version_before_in_service(node: Node) -> None:
    await node.deploy()
    node.supervisor.answer(StartFunction, Refused("deploy_failed", "Traceback: init failed"))
    with pytest.raises(RequestRefused, match="init failed") as refused:
        await node.deploy(sha256="b" * 64)
    assert refused.value.code == "deploy_failed"
    routes = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert {route.version for route in routes.routes} == {1}
    dropped = await node.queue.expect(DropTopic)
    assert dropped.topic.endswith("@2")


async def test_a_new_version_takes_over_and_the_one_before_is_stopped_once_quiet(node: Node) -> None:
    await node.deploy()
    node.supervisor.answer(StopFunction, lambda _: None)
    assert (await node.deploy(sha256="b" * 64)).version == 2
    for topic in ("a@1", "b@1"):
        stopped, ask = await node.supervisor.expect_ask(StopFunction)
        assert stopped.function_topic == topic
        ask.reply(Done())
    back = await node.frontend.ask("execution_manager", Rollback("shop", 0), Deployed)
    assert back.version == 1
    routes = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert {route.version for route in routes.routes} == {1}


async def test_an_application_is_removed(node: Node) -> None:
    await node.deploy()
    await node.frontend.ask("execution_manager", RemoveApp("shop"), Done)
    routes = await node.frontend.ask("execution_manager", GetRoutes(), RoutesChanged)
    assert routes.routes == ()
    with pytest.raises(RequestRefused) as refused:
        await node.frontend.ask("execution_manager", RemoveApp("shop"), Done)
    assert refused.value.code == "not_found"
