"""User code that calls the actors on their sockets: it runs as their user, and is turned away all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.faults import ACTORS
from tests.system.kit import Node, node_with

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "steady", "impostor") as running:
        yield running


@pytest.mark.parametrize("actor", ACTORS)
def test_a_worker_that_says_hello_is_not_answered(node: Node, actor: str) -> None:
    path = node.folder / "run" / f"{actor}.sock"
    assert node.call("impostor", {"socket": str(path)}).json() == ""
    assert "no actor of this node turned away" in node.log
    assert node.call("alive", 1).status_code == 200


def test_a_worker_cannot_hand_over_a_connection(node: Node) -> None:
    path = node.folder / "run" / "local_queue.handover.sock"
    assert node.call("hands_over", {"socket": str(path)}).json() == ""
    assert node.call("alive", 1).status_code == 200
