"""Redrive on a real node: after a failure, a cancellation, a restart, and on a version that is long out of service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.kit import BUNDLES, Node, archive_of, eventually, node_with, problem_of

pytestmark = pytest.mark.system

Json = Any  # a decoded JSON document


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "mending") as running:
        yield running


def failed(node: Node, folder: Path, name: str = "mending", **more: Json) -> str:
    execution_id = node.start(name, {"folder": str(folder), **more})
    assert node.ended(execution_id)["status"] == "failed"
    return execution_id


def calls(folder: Path) -> Counter[str]:
    return Counter((folder / "calls").read_text().split())


def redrive(node: Node, execution_id: str) -> Json:
    answer = node.http.post(f"/v1/executions/{execution_id}/redrive")
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_only_what_had_failed_runs_again(node: Node, tmp_path: Path) -> None:
    execution_id = failed(node, tmp_path)
    shown = node.get(f"/v1/executions/{execution_id}")
    assert (shown["redrive_status"], shown["redrive_count"]) == ("redrivable", 0)
    assert redrive(node, execution_id)["redrive_count"] == 1
    assert node.ended(execution_id)["status"] == "failed"
    (tmp_path / "mended").touch()
    redrive(node, execution_id)
    ended = node.ended(execution_id)
    assert ended["status"] == "succeeded", ended["error"]
    assert (ended["redrive_status"], ended["redrive_count"]) == ("not_redrivable", 2)
    assert calls(tmp_path) == {"begin": 1, "left": 1, "right": 1, "broken": 3, "after": 1, "late": 1}
    assert {one["status"] for one in ended["states"]} == {"succeeded"}
    refused = problem_of(node.http.post(f"/v1/executions/{execution_id}/redrive"))
    assert (refused["status"], "has succeeded" in refused["detail"]) == (409, True)


def test_only_the_items_that_had_not_succeeded_run_again(node: Node, tmp_path: Path) -> None:
    items = [{"value": value, "folder": str(tmp_path)} for value in range(6)]
    execution_id = failed(node, tmp_path, "mapping", items=items)
    (tmp_path / "mended").touch()
    redrive(node, execution_id)
    assert node.ended(execution_id)["output"] == [0, 1, 2, 3, 4, 5]
    assert calls(tmp_path) == {f"item{value}": 1 + (value == 3) for value in range(6)}


def test_a_cancelled_execution_goes_on(node: Node, tmp_path: Path) -> None:
    execution_id = node.start("mending", {"folder": str(tmp_path)})
    eventually(lambda: (tmp_path / "calls").exists(), "the first call")
    assert node.http.post(f"/v1/executions/{execution_id}/cancel").status_code in (204, 409)
    assert node.ended(execution_id)["status"] in ("cancelled", "failed")
    (tmp_path / "mended").touch()
    redrive(node, execution_id)
    assert node.ended(execution_id)["status"] == "succeeded"


def test_what_does_not_exist_is_404(node: Node) -> None:
    assert node.http.post("/v1/executions/exe_none/redrive").status_code == 404


def test_a_redriven_execution_survives_the_node_and_its_version(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "calls"
    data.mkdir()
    folder.mkdir()
    with node_with(data, "mending") as first:
        execution_id = failed(first, folder)
        source = (BUNDLES / "mending.py").read_text() + "\n# another version\n"
        assert first.upload("mending", archive_of({"mending.py": source}), entry="mending.py").status_code == 201
        eventually(lambda: "mending" in str(first.get("/v1/deployments")), "the second version")
        assert redrive(first, execution_id)["redrive_count"] == 1
        assert first.ended(execution_id)["status"] == "failed"
        assert redrive(first, execution_id)["redrive_count"] == 2
        first.kill_everything()
    (folder / "mended").touch()
    with node_with(data) as second:
        ended = second.ended(execution_id)
        if ended["status"] == "failed":  # it had ended before it was killed
            redrive(second, execution_id)
            ended = second.ended(execution_id)
        assert (ended["status"], ended["version"]) == ("succeeded", 1)
        assert calls(folder)["begin"] == 1
