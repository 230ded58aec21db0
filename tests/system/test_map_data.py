"""Distributed Map states on a real node: items from objects and files, results as objects, a node that is killed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.kit import Node, archive_of, eventually, has_ended, node_with, problem_of

Json = Any  # a decoded JSON document

pytestmark = pytest.mark.system

BUCKET = {"bucket": "in"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    allowed = tmp_path_factory.mktemp("allowed")
    with node_with(tmp_path_factory.mktemp("node"), "mapping", item_dirs=str(allowed)) as running:
        for bucket in ("in", "out"):
            (running.folder / "objects" / bucket).mkdir(parents=True)
        (allowed / "list.json").write_text("[1, 2]")
        yield running


def put(node: Node, key: str, text: str) -> dict[str, str]:
    """An object, and the input that names it."""
    path = node.folder / "objects" / "in" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return {**BUCKET, "key": key}


def csv_of(numbers: range) -> str:
    return "n\n" + "".join(f"{number}\n" for number in numbers)


def events_of(node: Node, execution: str) -> list[Json]:
    events: list[Json] = node.history(execution)
    return events


def written(node: Node, output: Json) -> tuple[Json, dict[str, list[Json]]]:
    """The manifest of results, and what its files hold, by kind."""
    place = output["ResultWriterDetails"]
    bucket = node.folder / "objects" / place["Bucket"]
    manifest = json.loads((bucket / place["Key"]).read_text())
    found: dict[str, list[Json]] = {}
    for kind, files in manifest["ResultFiles"].items():
        found[kind] = []
        for file in files:
            text = (bucket / file["Key"]).read_text()
            assert file["Size"] == len(text.encode())
            lines = text.splitlines() if file["Key"].endswith("l") else []
            found[kind] += [json.loads(line) for line in lines] if lines else json.loads(text)
    return manifest, found


def test_rows_become_items(node: Node) -> None:
    place = put(node, "table.csv", "n,name\n1,a\n2,\n3\n")
    answer = node.call("rows", {**place, "most": 0})
    assert answer.json() == [{"n": "1", "name": "a"}, {"n": "2", "name": ""}, {"n": "3", "name": ""}]
    assert node.call("rows", {**place, "most": 2}).json() == [{"n": "1", "name": "a"}, {"n": "2", "name": ""}]
    events = events_of(node, answer.headers["Actorfaas-Execution"])
    (read,) = [event for event in events if event["type"] == "MapItemsRead"]
    assert read["payload"]["Count"] == 3
    assert [event["type"] for event in events][:4] == [
        *("ExecutionStarted", "MapStateEntered", "MapStateStarted", "MapRunStarted"),
    ]


def test_arrays_and_listings(node: Node) -> None:
    assert node.call("array", put(node, "deep/a.json", '[1, {"b": 2}]')).json() == [1, {"b": 2}]
    for name in ("x/2.txt", "x/10.txt", "x.txt"):
        put(node, name, name)
    found = node.call("listing", {**BUCKET, "prefix": "x/"}).json()
    assert found == [{"key": "x/10.txt", "size": 8}, {"key": "x/2.txt", "size": 7}]


def test_parquet_and_the_data_of_an_athena_query(node: Node) -> None:
    place = put(node, "rows.parquet", "")
    shutil.copy(Path(__file__).parents[1] / "storage" / "types.parquet", node.folder / "objects" / "in" / place["key"])
    found = node.call("rows_of_parquet", place).json()
    assert [(one["whole"], one["decimal"]) for one in found] == [(1, 12.5), (None, -0.01), (2**63 - 1, None)]
    manifest = put(node, "query-manifest.csv", "s3://in/rows.parquet\ns3://in/rows.parquet\n")
    assert node.call("queried", manifest).json() == found * 2
    problem = problem_of(node.call("rows_of_parquet", put(node, "rows.csv", "n\n1\n")))
    assert (problem["error_type"], "as Parquet" in problem["detail"]) == ("States.ItemReaderFailed", True)


OWN = """
from actorfaas import function, workflow

@function
def keep_own(item):
    return item

processor = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "one",
    "States": {"one": {"Type": "Task", "Resource": "keep_own", "End": True}},
}
reader = {"Resource": "file", "Parameters": {"Path": "data/items.json"}}
each = {"Type": "Map", "ItemProcessor": processor, "ItemReader": reader, "End": True}
own = workflow("own", asl={"StartAt": "each", "States": {"each": each}})
"""


def test_files_of_the_deployment(node: Node) -> None:
    archive = archive_of({"app.py": OWN, "data/items.json": '{"a": 1}'})
    assert node.upload("own_data", archive).status_code == 201
    assert node.call("own").json() == [{"Key": "a", "Value": 1}]


def test_plain_files_are_read_only_where_that_is_allowed(node: Node, tmp_path: Path) -> None:
    allowed = next(path for path in node.folder.parent.glob("allowed*") if path.is_dir())
    assert node.call("plain", {"path": str(allowed / "list.json")}).json() == [1, 2]
    (tmp_path / "secret.json").write_text("[1]")
    for path in (str(tmp_path / "secret.json"), "../../state.sqlite", str(allowed / ".." / "x")):
        problem = problem_of(node.call("plain", {"path": path}))
        assert problem["error_type"] == "States.ItemReaderFailed"
        assert "item_dirs" in problem["detail"]


@pytest.mark.parametrize(
    ("key", "says"), [("none.csv", "no object"), ("../out/x", "no key"), ("bad.json", "parse the items as JSON")]
)
def test_what_cannot_be_read_fails_the_state(node: Node, key: str, says: str) -> None:
    put(node, "bad.json", "[1, 2")
    problem = problem_of(node.call("array", {**BUCKET, "key": key}))
    assert problem["error_type"] == "States.ItemReaderFailed"
    assert says in problem["detail"]
    problem = problem_of(node.call("array", {"bucket": "nowhere", "key": "k"}))
    assert "no bucket 'nowhere'" in problem["detail"]


def test_batches(node: Node) -> None:
    place = put(node, "lines.jsonl", "".join(f"{number}\n" for number in range(7)))
    found = node.call("batched", place).json()
    assert [[item["value"] for item in batch["Items"]] for batch in found] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(batch["BatchInput"] == {"of": "lines.jsonl"} for batch in found)


def test_results_are_written_with_what_failed_apart(node: Node) -> None:
    place = put(node, "numbers.csv", csv_of(range(20)))
    answer = node.call("tolerant", {**place, "percent": 50, "at_once": 3})
    manifest, found = written(node, answer.json())
    assert manifest["MapRunArn"] == answer.json()["MapRunArn"]
    assert [record["Output"] for record in found["SUCCEEDED"]] == [f'"{number}"' for number in range(1, 20, 2)]
    assert {record["Error"] for record in found["FAILED"]} == {"ValueError"}
    assert [json.loads(record["Input"])["n"] for record in found["FAILED"]] == [str(one) for one in range(0, 20, 2)]
    assert found["PENDING"] == []
    events = events_of(node, answer.headers["Actorfaas-Execution"])
    (ended,) = [event for event in events if event["type"] == "MapRunSucceeded"]
    counts = {"total": 20, "pending": 0, "aborted": 0, "succeeded": 10, "failed": 10}
    assert ended["payload"] == {"MapRunArn": manifest["MapRunArn"], "ItemCounts": counts}


def test_more_failures_than_are_tolerated_fail_the_state_once_results_are_written(node: Node) -> None:
    place = put(node, "numbers.csv", csv_of(range(20)))
    before = set((node.folder / "objects" / "out" / "runs").glob("*"))
    problem = problem_of(node.call("tolerant", {**place, "percent": 10, "at_once": 1}))
    assert problem["error_type"] == "States.ExceedToleratedFailureThreshold"
    (folder,) = set((node.folder / "objects" / "out" / "runs").glob("*")) - before
    sizes = {path.name: len(json.loads(path.read_text())) for path in folder.glob("*_0.json")}
    assert sizes == {"SUCCEEDED_0.json": 2, "FAILED_0.json": 3, "PENDING_0.json": 15}


def test_outputs_alone_are_written_as_lines(node: Node) -> None:
    answer = node.call("compact", put(node, "nested.json", "[[1, 2], [], 3]"))
    _, found = written(node, answer.json())
    assert found["SUCCEEDED"] == [1, 2, 3]


def test_a_map_goes_on_with_the_same_items_after_the_node_was_killed(tmp_path: Path) -> None:
    """Also where the object was replaced meanwhile: its items were copied when they were read."""
    marks, folder = tmp_path / "marks", tmp_path / "node"
    marks.mkdir()
    for bucket in ("in", "out"):
        (folder / "objects" / bucket).mkdir(parents=True)

    def ran() -> Counter[int]:
        return Counter(int(mark.name.partition(".")[0]) for mark in marks.glob("*.*.*.*"))

    with node_with(folder, "mapping") as first:
        place = put(first, "numbers.csv", csv_of(range(60)))
        execution = first.start("surviving", {**place, "folder": str(marks)})
        eventually(lambda: {9, 19, 29, 39} <= ran().keys(), "four iterations at the gate")
        journalled = eventually(
            lambda: [one for one in events_of(first, execution) if one["type"] == "TaskSucceeded"], "results"
        )
        put(first, "numbers.csv", csv_of(range(1000, 1003)))
        first.kill_everything()
    (marks / "gate").touch()
    with node_with(folder) as second:
        ended = second.ended(execution)
        assert ended["status"] == "succeeded", ended
        _, found = written(second, ended["output"])
        events = events_of(second, execution)
    assert found == {"SUCCEEDED": list(range(60)), "FAILED": [], "PENDING": []}
    assert set(ran()) == set(range(60))
    assert all(ran()[event["index"]] == 1 for event in journalled), "a journalled iteration ran again"
    assert Counter(event["type"] for event in events)["MapItemsRead"] == 1


def test_a_redriven_map_keeps_its_results_and_survives_the_node(tmp_path: Path) -> None:
    marks, folder = tmp_path / "marks", tmp_path / "node"
    marks.mkdir()
    for bucket in ("in", "out"):
        (folder / "objects" / bucket).mkdir(parents=True)

    def ran() -> Counter[int]:
        return Counter(int(mark.name.partition(".")[0]) for mark in marks.glob("*.*"))

    with node_with(folder, "mapping") as first:
        execution = first.start("mending_map", {**put(first, "n.csv", csv_of(range(30))), "folder": str(marks)})
        assert first.ended(execution)["status"] == "failed"
        had_run = ran()
        (before,) = (folder / "objects" / "out" / "mended").iterdir()
        succeeded = [json.loads(one["Output"]) for one in json.loads((before / "SUCCEEDED_0.json").read_text())]
        assert {"FAILED_0.json", "PENDING_0.json"} < {path.name for path in before.iterdir()}
        (marks / "mended").touch()
        assert first.http.post(f"/v1/executions/{execution}/redrive").status_code == 202
        eventually(lambda: {20, 21, 22, 23} <= ran().keys(), "four iterations at the gate")
        (running,) = first.get(f"/v1/executions/{execution}")["map_runs"]
        assert (running["status"], running["total"], running["failed"]) == ("running", 30, 0)
        eventually(lambda: len(completed(first, execution)) == 20, "the results of all that came before")
        first.kill_everything()
    (marks / "gate").touch()
    with node_with(folder) as second:
        ended = second.ended(execution)
        assert ended["status"] == "succeeded", ended
        manifest, found = written(second, ended["output"])
        (run,) = ended["map_runs"]
    assert [json.loads(one["Output"]) for one in found["SUCCEEDED"]] == list(range(30))
    assert (found["FAILED"], found["PENDING"], run["status"]) == ([], [], "succeeded")
    assert (run["succeeded"], run["failed"], run["arn"]) == (30, 0, manifest["MapRunArn"])
    assert sorted(path.name for path in before.iterdir()) == ["SUCCEEDED_0.json", "manifest.json"]
    assert {number for number, times in ran().items() if times == 1} >= {*succeeded, *range(24, 30)}
    assert all(ran()[number] == had_run[number] + 1 for number in range(20) if number not in succeeded)


def completed(node: Node, execution: str) -> set[int]:
    """The iterations whose results are journalled."""
    return {event["index"] for event in events_of(node, execution) if event["type"] == "TaskSucceeded"}


def test_a_long_execution_is_shown_in_pages(node: Node) -> None:
    answer = node.call("rows", {**put(node, "hundred.csv", csv_of(range(100))), "most": 0})
    path = f"/v1/executions/{answer.headers['Actorfaas-Execution']}"
    whole = node.get(path)
    assert whole["next_cursor"] is None
    first = node.get(path, limit="100")
    second = node.get(path, limit="10000", cursor=first["next_cursor"])
    assert [one["status"] for one in (*first["states"], *second["states"])] == ["succeeded"] * 101
    assert [*first["states"], *second["states"]] == whole["states"]
    assert first["map_runs"] == second["map_runs"] == whole["map_runs"]
    assert first["billed_ms"] == whole["billed_ms"] > 0
    assert whole["map_runs"][0]["succeeded"] == 100


def test_cancelling_ends_every_iteration_and_nothing_more_begins(node: Node, tmp_path: Path) -> None:
    place = put(node, "many.csv", csv_of(range(9, 20_000, 10)))
    execution = node.start("surviving", {**place, "folder": str(tmp_path)})
    eventually(lambda: len(list(tmp_path.glob("*"))) == 4, "four iterations")
    (run,) = node.get(f"/v1/executions/{execution}")["map_runs"]
    assert (run["status"], run["total"], run["running"], run["pending"]) == ("running", 2000, 4, 1996)
    assert node.http.post(f"/v1/executions/{execution}/cancel").status_code == 204
    ended = node.ended(execution)
    assert (ended["status"], ended["map_runs"][0]["status"]) == ("cancelled", "aborted")
    marks = list(tmp_path.glob("*"))
    for mark in marks:
        pid = int(mark.name.split(".")[2])
        eventually(lambda pid=pid: has_ended(pid), "the end of an iteration")  # type: ignore[misc]
    assert list(tmp_path.glob("*")) == marks, "an iteration began after the end"
