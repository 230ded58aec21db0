"""What a real node holds an execution to: the limit of its data, the warning before, task tokens nobody can guess."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.kit import Node, archive_of, code_of, eventually, node_with, problem_of

pytestmark = pytest.mark.system

Json = Any  # a decoded JSON document

LIMIT = 5_000
WARNED = 1_000

OTHER_APP = """
from actorfaas import function

@function
def answer(event, ctx):
    ctx.tasks.succeed(event["token"], event["output"])
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    with node_with(folder, "weighty", max_data_bytes=LIMIT, warn_data_bytes=WARNED) as running:
        yield running


def token_in(folder: Path) -> str:
    eventually((folder / "token").exists, "a token")
    return (folder / "token").read_text()


def newest(node: Node, name: str) -> str:
    """The last execution of a workflow, or ""."""
    return next((str(one["execution_id"]) for one in node.get("/v1/executions", name=name)["executions"]), "")


# --- the limit --------------------------------------------------------------------------------------------------------


def test_data_beyond_the_limit_fails_the_state_and_is_caught_by_its_name_alone(node: Node) -> None:
    assert node.call("by_name", {"size": LIMIT}).json() == "x" * (LIMIT - 2)
    assert node.call("by_name", {"size": LIMIT + 1}).json() == "caught"
    ended = node.ended(node.start("by_all", {"size": LIMIT + 1}))
    assert ended["error"]["error_type"] == "States.DataLimitExceeded"


def test_the_next_function_does_not_get_data_beyond_the_limit(node: Node) -> None:
    assert node.call("direct", {"size": LIMIT}).json() == "marked"
    (mark,) = node.folder.glob("bundles/**/marked")
    mark.unlink()
    problem = problem_of(node.call("direct", {"size": LIMIT + 1}))
    assert problem["error_type"] == "States.DataLimitExceeded"
    assert not mark.exists()


@pytest.mark.parametrize("name", ["by_name", "direct"])
def test_large_data_is_noted_once_in_history_and_log(node: Node, name: str) -> None:
    known = newest(node, name)
    assert node.call(name, {"size": WARNED + 1}).status_code == 200
    execution = eventually(lambda: {newest(node, name)} - {known}, "the execution").pop()
    notes = [one for one in node.history(execution) if one["type"] == "DataLimitWarned"]
    told = f"the data of state 'text' has {WARNED + 1} bytes, warn_data_bytes is {WARNED}"
    assert [(one["state"], one["error_message"]) for one in notes] == [("text", told)]
    assert [line for line in node.log.splitlines() if execution in line and told in line]


def test_an_execution_keeps_its_limit_when_the_node_starts_with_another(tmp_path: Path) -> None:
    home, shared = tmp_path / "node", tmp_path / "shared"
    home.mkdir()
    shared.mkdir()
    with node_with(home, "weighty", max_data_bytes=LIMIT) as before:
        execution = before.start("growing", {"folder": str(shared)})
        token = token_in(shared)
        before.kill_everything()
    with node_with(home, max_data_bytes=10 * LIMIT) as after:
        answer = eventually(lambda: _answered(after, token, "x" * LIMIT), "an answer")
        assert (answer.status_code, code_of(problem_of(answer))) == (400, "invalid")
        eventually(lambda: _answered(after, token, "x" * (LIMIT // 2)).status_code == 204, "an answer that counts")
        assert after.ended(execution)["error"]["error_type"] == "States.DataLimitExceeded"
        assert after.call("by_name", {"size": LIMIT + 1}).json() == "x" * (LIMIT - 1)


def _answered(node: Node, token: str, value: Json) -> Any:
    answer = node.http.post(f"/v1/tasks/{token}/success", json=value)
    return None if answer.status_code == 503 else answer


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_only_who_has_the_token_answers_a_task_in_whichever_application(node: Node, tmp_path: Path) -> None:
    assert node.upload("other", archive_of({"app.py": OTHER_APP})).status_code == 201
    execution = node.start("growing", {"folder": str(tmp_path)})
    token = token_in(tmp_path)
    near = token[:-1] + ("1" if token[-1] == "0" else "0")
    for guess in (near, *(f"{execution}.0.{place}" for place in range(12))):
        refused = problem_of(node.http.post(f"/v1/tasks/{guess}/success", json=1))
        assert code_of(refused) == "task_timed_out"
    assert node.get(f"/v1/executions/{execution}")["status"] == "running"
    assert node.call("answer", {"token": token, "output": 3}).status_code == 200
    assert node.ended(execution)["output"] == {"one": 3, "two": 3}


def test_the_key_of_tokens_is_the_nodes_alone(node: Node) -> None:
    key = node.folder / "token.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
