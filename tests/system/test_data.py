"""Functions' data and messages on a real node; data is committed once, also when the node is killed in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.kit import Node, eventually, has_ended, node_with, problem_of

pytestmark = pytest.mark.system

ITEMS = 60


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "keeping") as running:
        yield running


@pytest.mark.parametrize("name", ["put_then_get", "express"])
def test_a_state_sees_what_the_one_before_changed(node: Node, name: str) -> None:
    assert node.call(name, {"key": "k", "value": name}).json() == name


def test_a_call_is_committed_when_it_returns(node: Node) -> None:
    assert node.call("put", {"key": "plain", "value": [1]}).json() == [[1], None]
    entry = node.get("/v1/data/keeping/entry", key="plain")
    assert entry["value"] == [1]
    assert "plain" in node.get("/v1/data/keeping")["keys"]


@pytest.mark.parametrize("name", ["put", "put_then_get", "express"])
def test_a_task_that_fails_changes_nothing(node: Node, name: str) -> None:
    failed = node.call(name, {"key": f"failed {name}", "value": 1, "then": "raise"})
    assert problem_of(failed)["error_type"] == "ValueError"
    assert node.http.get("/v1/data/keeping/entry", params={"key": f"failed {name}"}).status_code == 404


@pytest.mark.parametrize("name", ["put", "put_then_get", "express"])
def test_a_conflict_is_the_failure_of_the_task(node: Node, name: str) -> None:
    failed = node.call(name, {"key": f"contested {name}", "value": 1, "if_version": 12345})
    assert problem_of(failed)["error_type"] == "VersionConflict"
    assert node.http.get("/v1/data/keeping/entry", params={"key": f"contested {name}"}).status_code == 404


def test_many_that_compete_count_each_once(node: Node) -> None:
    node.call("competition", [None] * 16)
    assert node.get("/v1/data/keeping/entry", key="contested")["value"] == 16


def test_what_a_person_puts_functions_see(node: Node) -> None:
    assert node.http.put("/v1/data/keeping/entry", params={"key": "k"}, content=b'"by hand"').status_code == 200
    assert node.call("get", {"key": "k"}).json() == "by hand"
    assert node.http.delete("/v1/data/keeping/entry", params={"key": "k"}).status_code == 204
    assert node.call("get", {"key": "k"}).json() is None


def test_functions_of_an_execution_send_each_other_messages(node: Node) -> None:
    asked, answered = node.call("questions", {"questions": 3}).json()
    assert (asked, answered) == ([0, 10, 20], [{"question": index} for index in range(3)])


def test_who_waits_for_a_message_hears_that_none_comes(node: Node) -> None:
    problem = problem_of(node.call("unanswered", {"timeout_s": 0.2}))
    assert (problem["error_type"], problem["detail"]) == (
        "ReceiveTimeout",
        "no message for state 'answer' within 0.2 s",
    )
    assert problem_of(node.call("answer", {}))["error_type"] == "MessageRefused"


def test_a_function_that_waits_is_busy_and_ends_with_its_execution(node: Node) -> None:
    execution = node.start("unanswered", {})

    def waiting() -> list[int]:
        return [worker["pid"] for worker in node.workers("answer") if worker["state"] == "busy"]

    (pid,) = eventually(waiting, "a function that waits")
    assert node.http.post(f"/v1/executions/{execution}/cancel").status_code == 204
    eventually(lambda: has_ended(pid), "the end of its worker")


def test_messages_that_nobody_received_are_told_of(node: Node) -> None:
    node.call("unheard")
    eventually(lambda: "messages that no function received are dropped" in node.log, "a line in the log")


def test_what_a_function_adds_runs_next(node: Node, tmp_path: Path) -> None:
    items = [{"folder": str(tmp_path), "number": number} for number in (1, 2, 3)]
    assert node.call("spreading", {"items": items}).json() == {"all": [1, 2, 3]}
    assert node.call("spreading", {"items": items[:1]}).json() == {"all": 1}
    assert node.call("spreading", {"items": []}).json() == {"all": "none"}
    refused = problem_of(node.call("spreading", {"items": items, "state": "spread"}))
    assert (refused["error_type"], refused["detail"]) == (
        "NextNotAllowed",
        "state 'spread' added 'spread' to run next; it may add 'tally'",
    )


def test_what_was_added_runs_again_after_the_node_was_killed_but_not_what_added_it(tmp_path: Path) -> None:
    marks, folder = tmp_path / "marks", tmp_path / "node"
    marks.mkdir()
    folder.mkdir()
    items = [{"folder": str(marks), "number": number} for number in (9, 19, 29)]
    with node_with(folder, "keeping") as first:
        execution = first.start("spreading", {"items": items})
        eventually(lambda: number(first, "begun") == 3, "three states at the gate")
        eventually(lambda: number(first, "spread once"), "the commit of what added them")
        first.kill_everything()
    (marks / "gate").touch()
    with node_with(folder) as second:
        assert second.ended(execution)["output"] == {"all": [9, 19, 29]}
        assert (number(second, "spread"), number(second, "spread once")) == (1, 1)
        assert (number(second, "counted"), number(second, "begun")) == (3, 6)


def number(running: Node, counter: str) -> int:
    """What a counter is."""
    answer = running.http.get("/v1/data/keeping/entry", params={"key": counter, "kind": "counter"})
    return int(answer.json()["value"]) if answer.status_code == 200 else 0


def test_what_tasks_change_is_committed_once_although_the_node_was_killed_in_the_middle(tmp_path: Path) -> None:
    marks, folder = tmp_path / "marks", tmp_path / "node"
    marks.mkdir()
    folder.mkdir()

    with node_with(folder, "keeping") as first:
        items = [{"folder": str(marks), "number": item} for item in range(ITEMS)]
        execution = first.start("tallies", items)
        eventually(lambda: number(first, "begun") >= 20, "tasks that wait at the gate")
        before = eventually(lambda: number(first, "counted"), "a task that has committed")
        first.kill_everything()
    (marks / "gate").touch()
    with node_with(folder) as second:
        assert second.ended(execution)["output"] == list(range(ITEMS))
        counted, begun = number(second, "counted"), number(second, "begun")
        members = second.get("/v1/data/keeping", kind="set", name="items")["keys"]
        sums = second.get("/v1/data/keeping", kind="map", name="sums")["keys"]
    assert before < counted == ITEMS
    assert begun > ITEMS, "none of the tasks ran again"
    assert sorted(map(int, members)) == sorted(map(int, sums)) == list(range(ITEMS))
