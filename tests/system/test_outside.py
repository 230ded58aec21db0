"""Tasks that somebody outside a real node answers, executions that executions start, and both across kill -9."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from actorfaas.client import Client
from actorfaas.errors import ApiProblem
from tests.system.kit import ROOT, Node, archive_of, code_of, eventually, node_with, problem_of

pytestmark = pytest.mark.system

Json = Any  # a decoded JSON document

ACTORS = ("execution_manager", "local_queue", "data_layer", "fw_supervisor", "frontend")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "outside") as running:
        yield running


@pytest.fixture
def client(node: Node) -> Iterator[Client]:
    with Client(node.url) as made:
        yield made


def token_in(folder: Path) -> str:
    path = folder / "token"
    eventually(path.exists, "a token")
    return path.read_text()


def answered(node: Node, token: str, value: Json) -> None:
    """Answer a task over HTTP, again while a part of the node is coming back."""

    def done() -> bool:
        try:
            answer = node.http.post(f"/v1/tasks/{token}/success", json=value)
        except httpx.TransportError:
            return False  # the connection was the Frontend's
        assert answer.status_code in (204, 503), answer.text
        return answer.status_code == 204

    eventually(done, "an answer that counts")


def types_of(node: Node, execution: str) -> list[str]:
    return [str(event["type"]) for event in node.get(f"/v1/executions/{execution}/history")["events"]]


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_somebody_outside_answers_a_task(node: Node, client: Client, tmp_path: Path) -> None:
    execution = node.start("approval", {"folder": str(tmp_path)})
    token = token_in(tmp_path)
    eventually(lambda: "TaskSubmitted" in types_of(node, execution), "the end of the function")
    assert not [one for one in node.workers("ask") if one["state"] == "busy"]
    client.heartbeat_task(token)
    client.succeed_task(token, 21)
    assert node.ended(execution)["output"] == 42
    for again in (client.succeed_task, client.fail_task, client.heartbeat_task):
        with pytest.raises(ApiProblem) as refused:
            again(token)
        assert (refused.value.status, refused.value.code) == (410, "task_timed_out")


def test_an_answer_may_be_a_failure(node: Node, client: Client, tmp_path: Path) -> None:
    execution = node.start("approval", {"folder": str(tmp_path)})
    client.fail_task(token_in(tmp_path), "Declined", "by Ada")
    ended = node.ended(execution)
    assert ended["error"] == {"error_type": "Declined", "error_message": "by Ada"}
    assert ended["states"][0]["status"] == "failed"


def test_a_missing_heartbeat_fails_the_task(node: Node, tmp_path: Path) -> None:
    ended = node.ended(node.start("impatient", {"folder": str(tmp_path)}))
    assert ended["error"]["error_type"] == "States.HeartbeatTimeout"
    assert ended["states"][0]["status"] == "timed_out"


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [("nonsense", 400, "invalid_token"), ("exe_00000000000000000000000000.0.5", 404, "task_does_not_exist")],
)
def test_tokens_of_nothing(node: Node, token: str, status: int, code: str) -> None:
    answer = node.http.post(f"/v1/tasks/{token}/success", json=1)
    assert answer.status_code == status
    assert code_of(problem_of(answer)) == code


@pytest.mark.parametrize(
    ("verb", "body"),
    [("success", b"{"), ("failure", b"[]"), ("failure", b'{"error":1}'), ("failure", b'{"reason":"x"}')],
)
def test_answers_that_are_no_answers(node: Node, verb: str, body: bytes) -> None:
    assert node.http.post(f"/v1/tasks/a.0.5/{verb}", content=body).status_code == 400


def test_a_function_answers_for_somebody_else(node: Node, tmp_path: Path) -> None:
    execution = node.start("approval", {"folder": str(tmp_path)})
    event = {"token": token_in(tmp_path), "output": 4}
    assert node.call("answer", event).json() == "answered"
    assert node.ended(execution)["output"] == 8
    refused = problem_of(node.call("answer", event))
    assert "task_timed_out" in refused["detail"]


@pytest.mark.parametrize("victim", ACTORS)
def test_a_token_survives_the_end_of_any_actor(node: Node, tmp_path: Path, victim: str) -> None:
    execution = node.start("approval", {"folder": str(tmp_path)})
    token = token_in(tmp_path)
    eventually(lambda: "TaskSubmitted" in types_of(node, execution), "the end of the function")
    node.kill(node.actor_pids()[victim])
    eventually(lambda: node.actor_pids()[victim], f"a new {victim}")
    answered(node, token, 3)
    assert node.ended(execution)["output"] == 6
    assert len(list(tmp_path.glob("call.*"))) == 1, "the function was called again"


def test_tokens_and_activities_survive_the_end_of_the_node(tmp_path: Path) -> None:
    home, shared = tmp_path / "node", tmp_path / "shared"
    home.mkdir()
    shared.mkdir()
    with node_with(home, "outside") as before:
        before.http.put("/v1/activities/knit")
        approval, knitting = before.start("approval", {"folder": str(shared)}), before.start("knitting", 4)
        token = token_in(shared)
        eventually(lambda: "TaskSubmitted" in types_of(before, approval), "the end of the function")
        eventually(lambda: "ActivityScheduled" in types_of(before, knitting), "the activity's task")
        before.kill_everything()
    with node_with(home) as after:
        answered(after, token, 3)
        task = eventually(lambda: _polled(after), "the activity's task")
        answered(after, task["task_token"], task["input"] + 1)
        assert after.ended(approval)["output"] == 6
        assert after.ended(knitting)["output"] == 10
        assert len(list(shared.glob("call.*"))) == 1, "the function was called again"


def _polled(node: Node) -> Json:
    answer = node.http.post("/v1/activities/knit/poll", params={"wait": "5", "worker": "ada"})
    assert answer.status_code in (200, 204, 503), answer.text
    return answer.json() if answer.status_code == 200 else None


# --- activities -------------------------------------------------------------------------------------------------------


def test_a_worker_outside_polls_an_activity(node: Node, client: Client) -> None:
    made = client.create_activity("knit")
    assert client.create_activity("knit") == made
    assert made in client.activities()["activities"]
    assert client.poll_activity("knit", wait_s=0) is None
    with ThreadPoolExecutor(1) as pool, Client(node.url) as worker:
        polling = pool.submit(lambda: worker.poll_activity("knit", worker="ada", wait_s=30))
        execution = node.start("knitting", 4)
        task = polling.result()
    assert task is not None
    assert task.input == 4
    client.succeed_task(task.token, 5)
    assert node.ended(execution)["output"] == 10
    events = node.get(f"/v1/executions/{execution}/history")["events"]
    found = {event["type"]: event["worker"] for event in events if event["type"].startswith("Activity")}
    assert found == {"ActivityScheduled": "", "ActivityStarted": "ada", "ActivitySucceeded": ""}


def test_a_worker_that_hangs_up_is_given_nothing(node: Node, client: Client) -> None:
    client.create_activity("knit")
    with pytest.raises(Exception, match="timed out"):
        node.http.post("/v1/activities/knit/poll", params={"wait": "60"}, timeout=0.5)
    execution = node.start("knitting", 4)
    task = client.poll_activity("knit", wait_s=30)
    assert task is not None
    client.fail_task(task.token, "Torn")
    assert node.ended(execution)["error"]["error_type"] == "Torn"


def test_an_activity_that_is_removed(node: Node, client: Client) -> None:
    client.create_activity("brief")
    client.delete_activity("brief")
    for attempt in (client.delete_activity, client.poll_activity):
        with pytest.raises(ApiProblem) as refused:
            attempt("brief")
        assert refused.value.status == 404


# --- executions that executions start ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "output"), [("sync", "7"), ("sync2", 7)])
def test_an_execution_waits_for_another(node: Node, tmp_path: Path, name: str, output: Json) -> None:
    (tmp_path / "gate").touch()
    given = {"folder": str(tmp_path), "number": 7}
    found = node.ended(node.start(name, given))["output"]
    assert (found["Output"], found["Status"]) == (output, "SUCCEEDED")
    child = node.get(f"/v1/executions/{found['ExecutionArn']}")
    assert (child["output"], child["status"]) == (7, "succeeded")
    assert (found["StartDate"], found["StopDate"]) == (child["started_at_ms"], child["ended_at_ms"])


def test_the_failure_of_a_child(node: Node) -> None:
    error = node.ended(node.start("fails", None))["error"]
    assert error["error_type"] == "States.TaskFailed"
    assert json.loads(error["error_message"])["Error"] == "Bad"


def test_a_child_is_stopped_with_its_parent(node: Node, tmp_path: Path) -> None:
    execution = node.start("sync", {"folder": str(tmp_path), "number": 7})
    eventually(lambda: list(tmp_path.glob("run.*")), "the child's function")
    assert node.http.post(f"/v1/executions/{execution}/cancel").status_code == 204
    children = node.get("/v1/executions", name="counting", limit="1")["executions"]
    assert node.ended(children[0]["execution_id"])["status"] == "cancelled"


def test_an_asynchronous_invocation(node: Node, tmp_path: Path) -> None:
    assert node.call("later", {"folder": str(tmp_path)}).json() == {"Payload": "", "StatusCode": 202}
    eventually((tmp_path / "noted").exists, "the function's mark")


def test_killing_the_node_starts_no_child_twice(tmp_path: Path) -> None:
    home, shared = tmp_path / "node", tmp_path / "shared"
    home.mkdir()
    shared.mkdir()
    with node_with(home, "outside") as before:
        execution = before.start("sync2", {"folder": str(shared), "number": 7})
        eventually(lambda: list(shared.glob("run.*")), "the child's function")
        before.kill_everything()
    with node_with(home) as after:
        (shared / "gate").touch()
        assert after.ended(execution)["output"]["Output"] == 7
        assert len(after.get("/v1/executions", name="counting")["executions"]) == 1


# --- services ---------------------------------------------------------------------------------------------------------


def test_a_function_stands_in_for_a_service(node: Node) -> None:
    assert node.call("item", 5).json() == {"Item": {"key": 5, "found": True}}


def test_a_service_that_nothing_stands_in_for_is_refused(node: Node) -> None:
    source = (ROOT / "tests/system/bundles/outside.py").read_text().replace("dynamodb_getItem", "somebody_else")
    problem = problem_of(node.upload("other", archive_of({"app.py": source})))
    assert "no function 'dynamodb_getItem', which is called here in place of dynamodb:getItem" in problem["detail"]
