"""Stopping and redeploying a real node under load: what calls under way get, and what stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from actorfaas import node as node_module
from bench.faults import LOST, Callers
from tests.system.kit import (
    PATIENCE_S,
    Gate,
    Json,
    Node,
    archive_of,
    code_of,
    eventually,
    has_ended,
    node_with,
    problem_of,
    processes_in,
)

pytestmark = pytest.mark.system

STOP_TIMEOUT_S = 3.0
STOP_GRACE_S = 3.0
"""Beyond `stop_timeout_s`: for the actors to close their files and leave Python, one after the other."""
RUNS, AT_ONCE = 100, 8
CONVOLUTION_INPUT = {"side": 96, "seed": 1}
VERSIONED = (
    "from actorfaas import function, workflow\n"
    "@function(timeout_s=10)\ndef which(event):\n    return {version}\n"
    "@function(timeout_s=10)\ndef again(event):\n    return [event, {version}]\n"
    "both = workflow('both', which >> again)\n"
)


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield pool


@pytest.fixture
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    made = Gate(tmp_path_factory.mktemp("gate"))
    yield made
    made.open()


def stopped(node: Node, number: signal.Signals) -> float:
    """Send a signal and wait for the end of the node; the seconds that took."""
    began_s = time.monotonic()
    node.process.send_signal(number)
    node.process.wait(PATIENCE_S)
    return time.monotonic() - began_s


def leaves_nothing(node: Node) -> None:
    """No process, socket or node.json of the node is left, and nothing listens on its port."""
    assert processes_in(node.folder) == set()
    assert not (node.folder / "node.json").exists()
    assert [path for path in node.folder.rglob("*") if path.is_socket()] == []
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", node.port), timeout=1):
        pass


# --- stop -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load(tmp_path: Path, number: signal.Signals) -> None:
    with node_with(tmp_path, stop_timeout_s=STOP_TIMEOUT_S) as node:
        node.deploy_folder("bench/echo")
        with Callers(node.url) as callers:
            callers.wait_for(lambda done: len(done) >= 100, "the first calls")
            signalled_s = time.monotonic()
            took_s = stopped(node, number)
            callers.stop()
        assert node.process.returncode == node_module.EXIT_STOPPED
        assert took_s < STOP_TIMEOUT_S + STOP_GRACE_S
        leaves_nothing(node)
    under_way = [one for one in callers.outcomes if one.began_s < signalled_s]
    assert {one.kind for one in under_way} <= {"200", "503"}, [one for one in under_way if one.kind == LOST][:3]


def test_calls_under_way_finish_when_they_can(tmp_path: Path, gate: Gate, background: ThreadPoolExecutor) -> None:
    with node_with(tmp_path, "faulty", stop_timeout_s=10.0) as node:
        call = background.submit(node.call, "held", gate.event())
        workflow = background.submit(node.call, "journey", gate.event(1))
        gate.wait_for(0, 1)
        ending = background.submit(stopped, node, signal.SIGTERM)
        eventually(lambda: refuses(node), "the node to refuse new calls")
        gate.open()
        assert call.result().json() == {"number": 0, "attempt": 1}
        answered_or_told_where(workflow)
        ending.result()
        assert node.process.returncode == node_module.EXIT_STOPPED
        leaves_nothing(node)


def test_calls_that_cannot_finish_get_503(tmp_path: Path, gate: Gate, background: ThreadPoolExecutor) -> None:
    with node_with(tmp_path, "faulty", stop_timeout_s=1.0) as node:
        call = background.submit(node.call, "held", gate.event())
        gate.wait_for(0)
        took_s = stopped(node, signal.SIGTERM)
        problem = problem_of(call.result())
        assert (problem["status"], code_of(problem), problem["retryable"]) == (503, "stopping", True)
        assert node.process.returncode == node_module.EXIT_STOPPED
        assert took_s < 1.0 + STOP_GRACE_S
        leaves_nothing(node)


def test_a_second_signal_ends_the_patience(tmp_path: Path, gate: Gate, background: ThreadPoolExecutor) -> None:
    with node_with(tmp_path, "faulty", stop_timeout_s=60.0) as node:
        call = background.submit(node.call, "held", gate.event())
        gate.wait_for(0)
        node.process.send_signal(signal.SIGINT)
        eventually(lambda: refuses(node), "the node to refuse new calls")
        took_s = stopped(node, signal.SIGINT)
        assert node.process.returncode == node_module.EXIT_INTERRUPTED
        assert took_s < STOP_GRACE_S
        leaves_nothing(node)
        assert isinstance(call.exception(), httpx.TransportError) or call.result().status_code == 503


def test_what_functions_leave_behind_ends_with_the_node(tmp_path: Path) -> None:
    with node_with(tmp_path, "faulty") as node:
        *held, detached = node.call("leaves_processes").json()
        assert set(held) <= node.processes()  # what detached itself may have been swept away by now
        stopped(node, signal.SIGTERM)
        leaves_nothing(node)
    assert all(has_ended(pid) for pid in (*held, detached))


def test_executions_under_way_continue_after_a_stop(tmp_path: Path, gate: Gate, background: ThreadPoolExecutor) -> None:
    with node_with(tmp_path, "faulty", stop_timeout_s=1.0) as node:
        ids = [node.start("journey", gate.event(number)) for number in range(6)]
        eventually(lambda: len(list(gate.folder.glob("*.*"))) >= 4, "executions at the gate")
        stopped(node, signal.SIGTERM)
        assert node.process.returncode == node_module.EXIT_STOPPED
        leaves_nothing(node)
    gate.open()
    with node_with(tmp_path) as again:
        for number, execution_id in enumerate(ids):
            execution = again.ended(execution_id)
            assert execution["output"] == {"number": number, "trail": ["first", "second", "third"]}, execution


def refuses(node: Node) -> bool:
    """Whether a new connection is refused, or a new call answered 503 "stopping"."""
    try:
        with httpx.Client(base_url=node.url, timeout=2, trust_env=False) as http:
            answer = http.get("/readyz")
    except httpx.TransportError:
        return True
    return answer.status_code == 503


def answered_or_told_where(call: Future[httpx.Response]) -> None:
    """A durable workflow ends with its result, or its caller is told that it goes on after the restart."""
    answer = call.result()
    if answer.status_code != 200:
        problem = problem_of(answer)
        assert (problem["status"], code_of(problem)) == (503, "stopping")
        assert problem["execution_id"]


# --- redeploy ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.mark.parametrize("name", ["which", "both"])
def test_no_call_fails_while_versions_change(node: Node, name: str, background: ThreadPoolExecutor) -> None:
    assert upload_version(node, 1).status_code == 201
    stop = threading.Event()
    callers = [background.submit(call_until, node.url, name, stop) for _ in range(4)]
    for version in range(2, 6):
        assert upload_version(node, version).status_code == 201
        seen = eventually(lambda: latest(node, name), "an answer")
        assert seen == version, "a call after the deployment was served by a version before"
    stop.set()
    answers = [answer for caller in callers for answer in caller.result()]
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len(answers) >= 20
    if name == "both":  # an execution stays on the version it began with
        assert all(first == second for _, (first, second) in answers)


def upload_version(node: Node, version: int) -> httpx.Response:
    return node.upload("versioned", archive_of({"app.py": VERSIONED.format(version=version)}))


def latest(node: Node, name: str) -> int:
    answer = node.call(name).json()
    return int(answer if name == "which" else answer[0])


def call_until(url: str, name: str, stop: threading.Event) -> list[tuple[int, Json]]:
    """Status and body of calls, one after the other, until told to stop."""
    answers = []
    with httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as http:
        while not stop.is_set():
            answer = http.post(f"/v1/invoke/{name}", content=b"null")
            answers.append((answer.status_code, answer.json()))
    return answers


def test_a_failed_deployment_under_load_is_not_noticed(node: Node, background: ThreadPoolExecutor) -> None:
    assert upload_version(node, 1).status_code == 201
    stop = threading.Event()
    callers = [background.submit(call_until, node.url, "which", stop) for _ in range(2)]
    broken = VERSIONED.format(version=2) + "def load():\n    raise OSError('no model')\n"
    broken += "@function(init=load)\ndef third(event):\n    pass\n"
    assert node.upload("versioned", archive_of({"app.py": broken})).status_code == 422
    stop.set()
    answers = [answer for caller in callers for answer in caller.result()]
    assert {(status, json.dumps(body)) for status, body in answers} == {(200, "1")}


# --- the workflow that made the source's platform unstable ------------------------------------------------------------


def test_the_convolution_workflow_many_times_in_parallel(node: Node) -> None:
    node.deploy_folder("workflows/convolution")
    expected = node.call("convolution", CONVOLUTION_INPUT)
    assert expected.status_code == 200, expected.text
    functions = {one["name"]: one for one in node.get("/v1/functions")["functions"] if one["app"] == "convolution"}

    def run(_: int) -> bool:
        return node.call("convolution", CONVOLUTION_INPUT).content == expected.content

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert all(pool.map(run, range(RUNS)))

    def quiet() -> bool:
        described = node.get("/v1/workers")
        return described["running_executions"] == 0 and all(one["activity"] == "idle" for one in described["workers"])

    eventually(quiet, "no busy worker and no execution under way")
    for name, function in functions.items():
        assert len(node.workers(name)) <= min(function["concurrency"], AT_ONCE + 1)
    assert os.path.exists(f"/proc/{node.process.pid}")
