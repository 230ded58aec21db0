"""kill -9 against a real node: what callers see, what comes back by itself, what survives, what is left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bench.faults import ACTORS, CALL_LIMIT_S, LOST, Callers
from tests.system.kit import (
    Gate,
    Node,
    code_of,
    eventually,
    has_ended,
    node_with,
    problem_of,
    processes_in,
)

pytestmark = pytest.mark.system

EXECUTIONS = 12
SERVING_AGAIN_S = 5.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "steady", "faulty") as running:
        running.deploy_folder("bench/echo")
        yield running


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield pool


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path)
    yield made
    made.open()  # no handler is left waiting when a test has failed


# --- actors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ACTORS)
def test_callers_of_a_node_that_loses_an_actor(node: Node, victim: str) -> None:
    pids = node.actor_pids()
    with Callers(node.url, 4) as callers:
        callers.wait_for(lambda done: len(done) >= 50, "the first calls")
        killed_s = node.kill(pids[victim])
        callers.wait_for(lambda _: callers.served_after(killed_s) > 0, "a call served after the kill")
        again = node.actor_pids()
        whole_s = time.monotonic()
        callers.wait_for(lambda _: len(callers.begun_after(whole_s)) >= 50, "calls begun after all was back")
    assert {name for name in again if again[name] != pids[name]} == {victim}
    restarts = {one["actor"]: one["restarts"] for one in node.get("/v1/node")["actors"]}
    assert restarts[victim] >= 1
    allowed = {"200", "502", "503", "504"} | ({LOST} if victim == "frontend" else set())
    assert [one for one in callers.outcomes if one.kind not in allowed] == []
    assert max(one.ended_s - one.began_s for one in callers.outcomes) < CALL_LIMIT_S + 1.0
    assert callers.served_after(killed_s) - killed_s < SERVING_AGAIN_S
    assert {one.kind for one in callers.begun_after(whole_s)} == {"200"}


def test_deployments_come_back_after_every_actor_was_killed(node: Node) -> None:
    for pid in node.actor_pids().values():
        node.kill(pid)
    node.actor_pids()
    for name in ("alive", "echo", "first"):
        node.until_serving(name, {"folder": "", "number": 1})
    assert {one["app"] for one in node.get("/v1/deployments")["deployments"]} == {"steady", "faulty", "echo"}
    assert node.start("first", {})


# --- templates and workers --------------------------------------------------------------------------------------------


def test_a_template_is_replaced_with_its_workers(node: Node) -> None:
    template = node.template_pid("alive@1")
    node.until_serving("alive")
    workers = {one["pid"] for one in node.workers("alive")}
    killed_s = node.kill(template)
    eventually(lambda: all(has_ended(pid) for pid in workers), "the end of the template's workers")
    assert node.until_serving("alive") < SERVING_AGAIN_S
    assert node.template_pid("alive@1") != template
    assert killed_s > 0


def test_a_bundle_template_may_go_while_its_functions_live(node: Node) -> None:
    parent = parent_of(node.template_pid("alive@1"))
    node.kill(parent)
    assert node.until_serving("alive") < SERVING_AGAIN_S
    assert node.call("alive", 1, Actorfaas_Strategy="fork").status_code == 200


def test_a_call_whose_worker_is_killed_is_told_the_signal(
    node: Node, gate: Gate, background: ThreadPoolExecutor
) -> None:
    call = background.submit(node.call, "held", gate.event())
    (pid,) = gate.wait_for(0)
    node.kill(pid)
    problem = problem_of(call.result())
    assert (problem["status"], code_of(problem), problem["function"]) == (502, "worker_lost", "held")
    assert problem["detail"] == "the worker was killed by signal 9 (SIGKILL)"
    assert problem["retryable"]
    gate.open()
    assert node.call("held", gate.event(1)).json() == {"number": 1, "attempt": 1}


def test_a_call_with_retries_survives_its_worker(node: Node, gate: Gate, background: ThreadPoolExecutor) -> None:
    call = background.submit(node.call, "held_once", gate.event())
    (pid,) = gate.wait_for(0)
    node.kill(pid)
    assert call.result().json() == {"number": 0, "attempt": 2}


def test_a_workflow_whose_worker_is_killed_names_the_state(
    node: Node, gate: Gate, background: ThreadPoolExecutor
) -> None:
    call = background.submit(node.call, "journey", gate.event())
    (pid,) = gate.wait_for(0)
    node.kill(pid)
    problem = problem_of(call.result())
    assert (problem["status"], code_of(problem)) == (500, "execution_failed")
    assert "SIGKILL" in problem["detail"]
    states = node.get(f"/v1/executions/{problem['execution_id']}")["states"]
    assert [(one["name"], one["status"]) for one in states] == [("first", "succeeded"), ("second", "failed")]


# --- executions -------------------------------------------------------------------------------------------------------


def start_at_the_gate(node: Node, gate: Gate) -> list[str]:
    """Executions that were accepted; some wait at the gate in their second state, the rest for a worker."""
    ids = [node.start("journey", gate.event(number)) for number in range(EXECUTIONS)]
    eventually(lambda: len(list(gate.folder.glob("*.*"))) >= 4, "executions at the gate")
    return ids


def all_ended_once(node: Node, ids: list[str]) -> None:
    """Every execution has succeeded with the right result, and its history has one end."""
    for number, execution_id in enumerate(ids):
        execution = node.ended(execution_id)
        assert execution["status"] == "succeeded", (execution["error"], execution["states"])
        assert execution["output"] == {"number": number, "trail": ["first", "second", "third"]}
        history = node.history(execution_id)
        kinds = [one["type"] for one in history]
        assert (kinds.count("ExecutionStarted"), kinds.count("ExecutionSucceeded")) == (1, 1), kinds
        assert kinds[-1] == "ExecutionSucceeded"


@pytest.mark.parametrize("victim", ACTORS)
def test_accepted_executions_survive_the_death_of_an_actor(node: Node, gate: Gate, victim: str) -> None:
    ids = start_at_the_gate(node, gate)
    node.kill(node.actor_pids()[victim])
    gate.open()
    all_ended_once(node, ids)
    eventually(lambda: node.get("/v1/workers")["running_executions"] == 0, "no execution under way")


def test_accepted_executions_survive_the_death_of_the_node(tmp_path: Path, gate: Gate) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with node_with(folder, "faulty") as first:
        ids = start_at_the_gate(first, gate)
        finished = first.start("first", {"number": 1})
        assert first.ended(finished)["output"] == {"number": 1, "trail": ["first"]}
        first.kill(first.process.pid)
        eventually(lambda: not processes_in(folder), "the end of every process of the node")
    with node_with(folder) as second:
        gate.open()
        all_ended_once(second, ids)
        assert second.ended(finished)["output"] == {"number": 1, "trail": ["first"]}
        assert second.call("third", {"number": 5, "trail": []}).json() == {"number": 5, "trail": ["third"]}


def test_executions_survive_when_everything_is_killed_at_once(tmp_path: Path, gate: Gate) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with node_with(folder, "faulty") as first:
        ids = start_at_the_gate(first, gate)
        first.kill_everything()
    with node_with(folder) as second:
        gate.open()
        all_ended_once(second, ids)


def test_the_same_idempotency_key_runs_once_across_a_death_of_the_node(
    tmp_path: Path, gate: Gate, background: ThreadPoolExecutor
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()

    def call(node: Node) -> httpx.Response:
        return node.call("journey", gate.event(), Idempotency_Key="only-once")

    with node_with(folder, "faulty") as first:
        lost: Future[httpx.Response] = background.submit(call, first)
        gate.wait_for(0)
        first.kill_everything()
        with pytest.raises(httpx.TransportError):
            lost.result()
    with node_with(folder) as second:
        gate.open()
        answer = call(second)
        assert answer.json() == {"number": 0, "trail": ["first", "second", "third"]}
        assert answer.headers["idempotency-replayed"] == "true"
        assert len(second.get("/v1/executions", name="journey")["executions"]) == 1


# --- what is left behind ----------------------------------------------------------------------------------------------


def test_what_a_function_leaves_behind_ends_with_a_killed_supervisor(node: Node) -> None:
    *held, detached = node.call("leaves_processes").json()
    assert set(held) <= node.processes()  # what detached itself may have been swept away by now
    node.kill(node.actor_pids()["fw_supervisor"])
    eventually(lambda: all(has_ended(pid) for pid in (*held, detached)), "the end of what the function left")
    node.until_serving("alive")


def test_a_killed_node_leaves_nothing_and_its_address_can_be_used_again(tmp_path: Path) -> None:
    with node_with(tmp_path, "steady", "faulty") as first:
        port = int(first.url.rpartition(":")[2])
        left = first.call("leaves_processes").json()
        first.kill(first.process.pid)
        eventually(lambda: not processes_in(tmp_path), "the end of every process of the node", patience_s=8)
        assert all(has_ended(pid) for pid in left)
    with node_with(tmp_path, port=port) as second:
        assert second.url == first.url
        assert second.call("alive", 1).status_code == 200


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
