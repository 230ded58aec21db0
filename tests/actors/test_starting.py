"""Starts of executions: what is accepted when, and why they are refused."""

from __future__ import annotations

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import AssignTask, CreateExecution, Done
from tests.actors.manager_node import Node
from tests.actors_kit import Kit


@pytest.fixture
async def node(kit: Kit) -> Node:
    return await Node(kit).begin()


async def test_an_accepted_execution_is_on_disk(node: Node) -> None:
    await node.deploy()
    await node.report("a@1")
    waiting = node.frontend.spawn(node.start("a", wait_for_commit=True), "start")
    create, ask = await node.store.expect_ask(CreateExecution)
    assert (create.name, create.kind, create.payload) == ("a", "function", b"1")
    assert not waiting.done()
    assert node.queue.received(AssignTask) == []
    ask.reply(Done())
    assert (await waiting).version == 1
    assert (await node.queue.expect(AssignTask)).state == "a"


async def test_without_the_data_layer_nothing_durable_is_accepted(node: Node) -> None:
    await node.deploy()
    await node.report("a@1")
    await node.kit.stop(node.store)
    await node.store.until(lambda: not node.manager.is_connected("data_layer") or None, "the end of the connection")
    with pytest.raises(RequestRefused) as refused:
        await node.start("ab")
    assert (refused.value.code, refused.value.retryable) == ("unavailable", True)


async def test_unknown_names_are_refused(node: Node) -> None:
    await node.deploy()
    with pytest.raises(RequestRefused) as refused:
        await node.start("nothing")
    assert refused.value.code == "not_found"
