"""Parallel, Map, Choice, Catch and heartbeats on a real node, and one that is killed in the middle of a Map state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.kit import Node, code_of, eventually, has_ended, node_with, problem_of

pytestmark = pytest.mark.system

ITEMS = 300


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "branching") as running:
        yield running


def test_branches_of_a_parallel_state_are_told_apart(node: Node) -> None:
    answer = node.call("split", 5)
    assert answer.json() == [-20, -10]
    states = node.get(f"/v1/executions/{answer.headers['Actorfaas-Execution']}")["states"]
    found = {(one["name"], one["branch"], one["index"], one["status"]) for one in states}
    assert found == {
        *(("first", 0, None, "succeeded"), ("split", 0, None, "succeeded")),
        *(("d", 1, 0, "succeeded"), ("n", 1, 0, "succeeded"), ("n2", 2, 1, "succeeded")),
    }
    assert all(one["worker"] for one in states if one["name"] != "split")


@pytest.mark.parametrize("strategy", ["auto", "resident", "fork"])
def test_hundreds_of_items_are_mapped(node: Node, strategy: str) -> None:
    items = ITEMS if strategy != "fork" else 40
    answer = node.call("many", items, Actorfaas_Strategy=strategy)
    assert answer.json() == [-2 * item for item in range(items)]
    events = node.history(answer.headers["Actorfaas-Execution"])
    counted = Counter(event["type"] for event in events)
    assert counted["MapIterationSucceeded"] == items
    assert counted["TaskSucceeded"] == 2 * items + 1
    under_way = most = 0
    for event in events:
        under_way += {"MapIterationStarted": 1, "MapIterationSucceeded": -1}.get(event["type"], 0)
        most = max(most, under_way)
    assert most == 20


def test_a_choice_leads_back_until_it_is_enough(node: Node) -> None:
    answer = node.call("loop", 1)
    assert answer.json() == -128
    states = node.get(f"/v1/executions/{answer.headers['Actorfaas-Execution']}")["states"]
    assert [one["name"] for one in states] == ["d", "enough"] * 7 + ["n"]


def test_a_failing_branch_ends_its_sibling_and_is_caught(node: Node, tmp_path: Path) -> None:
    answer = node.call("caught", {"folder": str(tmp_path), "number": 7})
    assert answer.json() == "LookupError"
    for mark in tmp_path.glob("lingering.*"):  # it may have been ended before it began
        eventually(lambda pid=int(mark.suffix[1:]): has_ended(pid), "the end of the other branch")  # type: ignore[misc]


def test_cancelling_ends_every_iteration(node: Node, tmp_path: Path) -> None:
    execution = node.start("lasting", [{"folder": str(tmp_path)}] * 6)
    eventually(lambda: len(list(tmp_path.glob("lingering.*"))) == 3, "three iterations")
    assert node.http.post(f"/v1/executions/{execution}/cancel").status_code == 204
    assert node.ended(execution)["status"] == "cancelled"
    for mark in tmp_path.glob("lingering.*"):
        eventually(lambda pid=int(mark.suffix[1:]): has_ended(pid), "the end of an iteration")  # type: ignore[misc]
    assert len(list(tmp_path.glob("lingering.*"))) == 3, "an iteration began after the end"


def test_a_time_limit_ends_every_iteration(node: Node, tmp_path: Path) -> None:
    answer = node.call("lasting", [{"folder": str(tmp_path)}] * 3, Actorfaas_Timeout="1")
    assert code_of(problem_of(answer)) == "timeout"
    for mark in tmp_path.glob("lingering.*"):
        eventually(lambda pid=int(mark.suffix[1:]): has_ended(pid), "the end of an iteration")  # type: ignore[misc]


def test_a_state_with_heartbeats_must_be_heard_of(node: Node) -> None:
    assert node.call("heard", 4).json() == 4
    problem = problem_of(node.call("heard", 0))
    assert problem["error_type"] == "States.HeartbeatTimeout"


def test_a_map_goes_on_after_the_node_was_killed_in_the_middle(tmp_path: Path) -> None:
    marks, folder = tmp_path / "marks", tmp_path / "node"
    marks.mkdir()
    folder.mkdir()
    items = [{"folder": str(marks), "number": number} for number in range(60)]

    def ran() -> Counter[int]:
        return Counter(int(mark.name.partition(".")[0]) for mark in marks.glob("*.*.*"))

    with node_with(folder, "branching") as first:
        execution = first.start("survivor", items)
        eventually(lambda: {9, 19, 29, 39} <= ran().keys(), "four iterations at the gate")
        journalled = eventually(
            lambda: [event for event in first.history(execution) if event["type"] == "TaskSucceeded"],
            "results in the journal",
        )
        before = len(ran())
        first.kill_everything()
    assert 4 < before < 60
    (marks / "gate").touch()
    with node_with(folder) as second:
        ended = second.ended(execution)
        events = second.history(execution)
    assert (ended["status"], ended["output"]) == ("succeeded", list(range(60)))
    assert Counter(event["index"] for event in events if event["type"] == "TaskSucceeded") == Counter(range(60))
    finished = {event["index"] for event in journalled}
    assert all(ran()[number] == 1 for number in finished), "a journalled iteration ran again"
    assert [event["type"] for event in events].count("MapStateEntered") == 1
