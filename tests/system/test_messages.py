"""Messages between functions of a standard execution reach their receiver once, whatever is killed with SIGKILL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.kit import Node, eventually, node_with

pytestmark = pytest.mark.system

LETTERS = 3


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "keeping") as running:
        yield running


def at_the_gate(node: Node, folder: Path) -> str:
    """An execution whose sender has ended, and whose receiver has one message and waits."""
    folder.mkdir()
    execution = node.start("letters", {"letters": LETTERS, "folder": str(folder)})
    eventually(lambda: list(folder.iterdir()), "a receiver at the gate")
    eventually(lambda: "TaskSucceeded" in types(node, execution), "the journalled end of the sender")
    return execution


def types(node: Node, execution: str) -> list[str]:
    """What is in its journal."""
    return [event["type"] for event in node.history(execution)]


@pytest.mark.parametrize("victim", ["local_queue", "execution_manager", "data_layer", "fw_supervisor"])
def test_messages_survive_an_actor(node: Node, tmp_path: Path, victim: str) -> None:
    folder = tmp_path / "marks"
    execution = at_the_gate(node, folder)
    node.kill(node.actor_pids()[victim])
    if victim != "data_layer":  # which takes no worker along
        eventually(lambda: len(list(folder.iterdir())) > 1, "a further attempt of the receiver")
    (folder / "gate").touch()
    assert node.ended(execution)["output"] == list(range(LETTERS))


def test_messages_survive_the_node(tmp_path: Path) -> None:
    with node_with(tmp_path, "keeping") as first:
        execution = at_the_gate(first, tmp_path / "marks")
        first.kill_everything()
    (tmp_path / "marks" / "gate").touch()
    with node_with(tmp_path) as second:
        assert second.ended(execution)["output"] == list(range(LETTERS))
        journal = types(second, execution)
    assert (journal.count("MessageSent"), journal.count("MessagesReceived")) == (LETTERS, 1)
