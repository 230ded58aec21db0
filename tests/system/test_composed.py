"""A workflow that was written in Python, on a real node: run, followed, tried, and continued after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorfaas.client import Client
from actorfaas.errors import ApiProblem
from tests.system.kit import Node, eventually, node_with, problem_of

pytestmark = pytest.mark.system

LIGHT, HEAVY = [{"grams": 10}, {"grams": 20}], [{"grams": 60}, {"grams": 70}]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "composed") as running:
        yield running


@pytest.fixture
def client(node: Node) -> Iterator[Client]:
    with Client(str(node.http.base_url)) as made:
        yield made


@pytest.mark.parametrize(("lines", "grams", "way"), [(LIGHT, 30, "carried"), (HEAVY, 130, "posted")])
def test_it_runs_by_what_was_ordered(node: Node, lines: list[dict[str, int]], grams: int, way: str) -> None:
    answer = node.call("shipping", {"lines": lines})
    assert answer.json() == {"grams": grams, "pieces": 2, "attempts": 2, "way": way}
    states = node.get(f"/v1/executions/{answer.headers['Actorfaas-Execution']}")["states"]
    same = ["check", "parallel", "each_pack", "pack", "pack", "bill", "total", "choose"]
    assert Counter(one["name"] for one in states) == Counter(
        [*same, *(["carry", "wait"] if way == "carried" else ["post"])]
    )
    assert {one["status"] for one in states} == {"succeeded"}
    assert [one["attempt"] for one in states if one["name"] == "bill"] == [2]


def test_its_history(node: Node) -> None:
    answer = node.call("shipping", {"lines": LIGHT})
    events = node.history(answer.headers["Actorfaas-Execution"])
    counted = Counter(event["type"] for event in events)
    assert counted["ParallelStateStarted"] == counted["ParallelStateExited"] == 1
    assert counted["MapIterationStarted"] == counted["MapIterationSucceeded"] == 2
    assert (counted["TaskFailed"], counted["ChoiceStateEntered"], counted["WaitStateExited"]) == (1, 1, 1)
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)


def test_a_handler_ends_it(node: Node) -> None:
    problem = problem_of(node.call("shipping", {"lines": []}))
    assert (problem["error_type"], problem["detail"]) == ("Empty", "an order needs lines")


def test_its_states_are_tried_with_their_functions(client: Client) -> None:
    tried = client.test_state("check", {"lines": []}, workflow="shipping", inspection_level="TRACE")
    assert (tried["status"], tried["error"], tried["next_state"]) == ("CAUGHT_ERROR", "OutOfStock", "pass")
    assert tried["call"]["worker"].startswith("check@1_")
    nested = client.test_state("pack", {"grams": 7}, workflow="shipping")
    assert (nested["status"], nested["output"]) == ("SUCCEEDED", 7)
    first = client.test_state("bill", {"lines": []}, workflow="shipping")
    assert (first["status"], first["error"]) == ("RETRIABLE", "Busy")
    chosen = client.test_state("choose", {"grams": 7, "pieces": 1}, workflow="shipping")
    assert chosen["next_state"] == "carry"
    with pytest.raises(ApiProblem, match="no state 'other'"):
        client.test_state("other", workflow="shipping")


def test_it_goes_on_after_the_node_was_killed(tmp_path: Path) -> None:
    marks, folder = tmp_path / "marks", tmp_path / "node"
    marks.mkdir()
    folder.mkdir()
    lines = [{"folder": str(marks), "number": n, "grams": 1, "waits": n == 3} for n in range(8)]

    def ran() -> Counter[str]:
        return Counter(mark.name.partition(".")[0] for mark in marks.glob("*.*"))

    with node_with(folder, "composed") as first:
        execution = first.start("shipping", {"lines": lines})
        eventually(lambda: len(ran()) == 8, "all lines but the one at the gate")
        journalled = eventually(
            lambda: {
                event["index"]
                for event in first.history(execution)
                if event["type"] == "TaskSucceeded" and event["state"] == "pack"
            },
            "packed lines in the journal",
        )
        first.kill_everything()
    (marks / "gate").touch()
    with node_with(folder) as second:
        ended = second.ended(execution)
    assert (ended["status"], ended["output"]["grams"], ended["output"]["way"]) == ("succeeded", 8, "carried")
    assert all(ran()[str(index)] == 1 for index in journalled), "a journalled line was packed again"
    assert ran()["3"] == 2
