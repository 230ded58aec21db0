"""Bad input to a real node: each is answered with a problem that names its cause, and harms nobody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.system.kit import (
    Json,
    Node,
    archive_of,
    code_of,
    eventually,
    has_ended,
    node_with,
    problem_of,
)

pytestmark = pytest.mark.system

MAX_BODY_BYTES = 1_000_000
LOG_LIMIT_BYTES = 100_000
DEPLOY_TIMEOUT_S = 2.0
UNAFFECTED_TIMEOUT_S = "2"
GOOD = "from actorfaas import function\n\n@function\ndef mine(event):\n    return {version}\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    limits = {"max_body_bytes": MAX_BODY_BYTES, "log_limit_bytes": LOG_LIMIT_BYTES}
    with node_with(folder, "steady", "hostile", deploy_timeout_s=DEPLOY_TIMEOUT_S, **limits) as running:
        yield running


@pytest.fixture(autouse=True)
def others_unaffected(node: Node) -> Iterator[None]:
    """After every test: another function answers at once, and every actor is the process it was."""
    before = node.actor_pids()
    yield
    assert node.call("alive", 1, Actorfaas_Timeout=UNAFFECTED_TIMEOUT_S).status_code == 200
    assert node.actor_pids() == before


def refused(answer: httpx.Response, status: int, code: str, *causes: str) -> Json:
    """The problem of an answer; its status, its type, and what its detail must name."""
    problem = problem_of(answer)
    assert (problem["status"], code_of(problem)) == (status, code), problem
    for cause in causes:
        assert cause in problem["detail"]
    return problem


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{nope", b'{"a": 1', b"\xff\xfe", b"1 2", b"NaN"])
def test_a_body_that_is_not_json(node: Node, body: bytes) -> None:
    problem = refused(node.send("alive", body), 400, "bad_payload", "the payload is not JSON")
    assert problem["function"] == "alive"
    assert not problem["retryable"]


def test_an_unknown_function(node: Node) -> None:
    refused(node.call("nobody"), 404, "not_found", "'nobody'")


def test_a_body_that_is_too_large(node: Node) -> None:
    body = b'"' + b"x" * MAX_BODY_BYTES + b'"'
    refused(node.send("alive", body), 413, "body_too_large", f"{MAX_BODY_BYTES} bytes")


def test_a_body_that_is_too_large_and_does_not_say_so(node: Node) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * (MAX_BODY_BYTES // 10)

    refused(node.http.post("/v1/invoke/alive", content=pieces()), 413, "body_too_large", f"{MAX_BODY_BYTES} bytes")


# --- handlers ---------------------------------------------------------------------------------------------------------


def test_a_handler_that_raises(node: Node) -> None:
    problem = refused(node.call("raises", {"order": 7}), 500, "handler_error", "no order 7")
    assert (problem["error_type"], problem["function"]) == ("LookupError", "raises")


@pytest.mark.parametrize("status", [0, 3, "with a word"])
def test_a_handler_that_exits(node: Node, status: int | str) -> None:
    problem = refused(node.call("exits", status), 500, "handler_error", f"sys.exit({status!r})")
    assert (problem["error_type"], problem["function"]) == ("SystemExit", "exits")
    assert node.call("exits", status).status_code == 500  # by a new worker


@pytest.mark.parametrize("status", [0, 3])
def test_a_handler_that_exits_without_unwinding(node: Node, status: int) -> None:
    problem = refused(node.call("exits_at_once", status), 502, "worker_lost", f"the worker exited with status {status}")
    assert problem["function"] == "exits_at_once"
    assert problem["retryable"]
    assert node.call("exits_at_once", status).status_code == 502


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT"])
def test_a_handler_that_dies_of_a_signal(node: Node, name: str) -> None:
    problem = refused(node.call("is_shot", name), 502, "worker_lost", name)
    assert problem["function"] == "is_shot"


@pytest.mark.parametrize("child_does", ["return", "raise"])
def test_a_handler_that_forks_is_answered_once_by_the_parent(node: Node, child_does: str) -> None:
    first, second = node.call("forks", child_does), node.call("forks", child_does)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["child"] > 0
    assert has_ended(first.json()["child"])
    assert first.json()["pid"] == second.json()["pid"]  # the worker is unharmed


def test_a_handler_that_closes_its_sockets(node: Node) -> None:
    answer = node.call("closes_descriptors")
    problem = refused(answer, 502, "worker_lost", "its connection to the platform broke", "did the handler close it?")
    assert problem["function"] == "closes_descriptors"


def test_a_handler_that_closes_its_output(node: Node) -> None:
    assert node.call("closes_output").json() == "closed"
    assert node.call("closes_output").json() == "closed"


def test_a_handler_that_prints_without_end_is_cut_at_the_limit(node: Node) -> None:
    answer = node.call("prints", 10)
    assert answer.json() == 10
    request_id = answer.headers["x-request-id"]
    notice = f"output of this request is cut here: it exceeds {LOG_LIMIT_BYTES} bytes"
    lines = eventually(lambda: node.log_lines(request=request_id, limit="1000", tail="true"), "the output")
    lines = eventually(
        lambda: found if (found := node.log_lines(request=request_id, limit="1000"))[-1] == notice else None,
        "the notice that the output is cut",
    )
    assert LOG_LIMIT_BYTES - 1000 <= sum(len(line) + 1 for line in lines[:-1]) <= LOG_LIMIT_BYTES


def test_a_handler_that_writes_raw_bytes_is_stored_in_pieces(node: Node) -> None:
    assert node.call("writes_raw", 10).json() == 10
    lines = eventually(lambda: node.log_lines(function="writes_raw", limit="1000"), "the output")
    assert {line.strip("y") for line in lines} == {""}


def test_a_result_that_is_not_json(node: Node) -> None:
    problem = refused(node.call("returns_object"), 502, "bad_result", "result['answer'][1] is a set")
    assert problem["function"] == "returns_object"
    assert not problem["retryable"]


@pytest.mark.parametrize("name", ["loops", "ignores_signals"])
def test_a_handler_that_never_ends_is_killed_and_replaced(node: Node, name: str) -> None:
    before = {one["pid"] for one in node.workers(name)}
    problem = refused(node.call(name), 504, "timeout", "longer than its time limit", "its worker is killed")
    assert problem["function"] == name
    eventually(lambda: all(has_ended(pid) for pid in before), "the end of the worker")

    def replaced() -> bool:
        now = node.workers(name)
        return bool(now) and all(one["activity"] == "idle" and one["pid"] not in before for one in now)

    eventually(replaced, "a new worker")


def test_a_call_that_asks_for_less_time_gets_less(node: Node) -> None:
    answer = node.call("loops", None, Actorfaas_Timeout="0.2")
    refused(answer, 504, "timeout", "longer than its time limit")
    assert answer.elapsed.total_seconds() < 1.0


def test_a_handler_that_allocates_without_end(node: Node) -> None:
    problem = refused(node.call("allocates"), 500, "memory", "64 MB", "memory_mb")
    assert (problem["error_type"], problem["function"]) == ("MemoryError", "allocates")


@pytest.mark.parametrize("strategy", ["cold", "fork"])
def test_instances_of_one_call_fail_as_clearly(node: Node, strategy: str) -> None:
    def call(name: str, value: Json = None) -> httpx.Response:
        return node.call(name, value, Actorfaas_Strategy=strategy)

    refused(call("raises", {"order": 7}), 500, "handler_error", "no order 7")
    refused(call("exits_at_once", 3), 502, "worker_lost", "the worker exited with status 3")
    refused(call("is_shot", "SIGKILL"), 502, "worker_lost", "SIGKILL")
    refused(call("returns_object"), 502, "bad_result", "is a set")


# --- deployments ------------------------------------------------------------------------------------------------------


@pytest.fixture
def deployed(node: Node) -> Iterator[None]:
    """An application that works; whatever is tried over it, this version serves on."""
    assert node.upload("mine", archive_of({"app.py": GOOD.format(version=1)})).status_code == 201
    yield
    assert node.call("mine").json() == 1
    active = [one for one in node.get("/v1/deployments")["deployments"] if one["app"] == "mine"]
    assert [one["functions"] for one in active] == [["mine"]]
    assert node.http.delete("/v1/deployments/mine").status_code == 204


BAD_CODE = {
    "a syntax error": (
        "def f(:\n    pass\n",
        ["importing app.py failed: SyntaxError: ", "invalid syntax"],
        'File "app.py", line 1',
    ),
    "a missing import": (
        "import no_such_module\n",
        ["importing app.py failed: ModuleNotFoundError: ", "'no_such_module'"],
        'File "app.py", line 1',
    ),
    "an import that raises": (
        "\n1 / 0\n",
        ["importing app.py failed: ZeroDivisionError: division by zero"],
        'File "app.py", line 2',
    ),
    "an import that exits": ("import sys\nsys.exit(3)\n", ["importing app.py failed: ", "sys.exit(3)"], "line 2"),
    "an import that ends the process": (
        "import os\nprint('last words')\nos._exit(3)\n",
        ["importing app.py ended the process", "exited with status 3"],
        "last words",
    ),
    "an import that crashes": (
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        ["importing app.py ended the process", "SIGSEGV"],
        "",
    ),
    "an import that never ends": ("while True:\n    pass\n", ["importing app.py took longer than 2 s"], ""),
    "a failing init": (
        GOOD.format(version=2) + "def load():\n    raise OSError('no model')\n\n"
        "@function(init=load)\ndef second(event):\n    pass\n",
        ["function 'second'", "the init hook of second failed: OSError: no model"],
        "in load",
    ),
    "an init that ends the process": (
        GOOD.format(version=2) + "import os\n@function(init=lambda: os._exit(4))\ndef second(event):\n    pass\n",
        ["function 'second'", "exited with status 4"],
        "",
    ),
    "an init that never ends": (
        GOOD.format(version=2) + "def load():\n    while True:\n        pass\n\n"
        "@function(init=load)\ndef second(event):\n    pass\n",
        ["function 'second'", "longer than 2 s"],
        "",
    ),
    "a name declared twice": (
        GOOD.format(version=2) + "@function(name='mine')\ndef second(event):\n    pass\n",
        ["'mine' is declared twice", "line 3", "line 6"],
        "line 6",
    ),
}


@pytest.mark.parametrize("what", BAD_CODE)
def test_code_that_cannot_be_deployed(node: Node, deployed: None, what: str) -> None:
    code, causes, traceback = BAD_CODE[what]
    problem = refused(node.upload("mine", archive_of({"app.py": code})), 422, "deploy_failed", *causes)
    assert traceback in problem.get("traceback", "")


BAD_ARCHIVES = {
    "not a zip": (b"import actorfaas\n", 422, "deploy_failed", "not a readable zip file"),
    "a damaged zip": (
        archive_of({"app.py": GOOD.format(version=2)})[:-30],
        422,
        "deploy_failed",
        "not a readable zip file",
    ),
    "nothing": (b"", 400, "invalid", "the body is empty"),
    "a path that leads out": (archive_of({"../app.py": GOOD.format(version=2)}), 422, "deploy_failed", "'../app.py'"),
    "an absolute path": (
        archive_of({"app.py": GOOD.format(version=2), "/tmp/evil.py": ""}),
        422,
        "deploy_failed",
        "'/tmp/evil.py'",
    ),
    "no entry": (archive_of({"other.py": ""}), 422, "deploy_failed", "no entry 'app.py'"),
    "no function": (archive_of({"app.py": "x = 1\n"}), 400, "invalid", "decorate a function with @function"),
}


@pytest.mark.parametrize("what", BAD_ARCHIVES)
def test_an_archive_that_cannot_be_deployed(node: Node, deployed: None, what: str) -> None:
    archive, status, code, cause = BAD_ARCHIVES[what]
    refused(node.upload("mine", archive), status, code, cause)
    assert not list(node.folder.rglob("evil.py"))
    assert not Path("/tmp/evil.py").exists()


def test_an_entry_that_leads_out(node: Node, deployed: None) -> None:
    answer = node.upload("mine", archive_of({"app.py": GOOD.format(version=2)}), entry="../../etc/app.py")
    refused(answer, 400, "invalid", "'../../etc/app.py'")


def test_a_name_that_belongs_to_another_application(node: Node, deployed: None) -> None:
    answer = node.upload("thief", archive_of({"app.py": GOOD.format(version=2)}))
    refused(answer, 409, "conflict", "'mine' belongs to application 'mine'")
    assert node.http.get("/v1/deployments/thief").status_code == 404


def test_a_workflow_over_unknown_functions(node: Node, deployed: None) -> None:
    code = (
        GOOD.format(version=2) + "from actorfaas import workflow\n"
        "flow = workflow('flow', asl={'StartAt': 'A',"
        " 'States': {'A': {'Type': 'Task', 'Resource': 'nobody', 'End': True}}})\n"
    )
    refused(node.upload("mine", archive_of({"app.py": code})), 400, "invalid", "workflow 'flow'", "nobody")


def test_failed_deployments_leave_no_process(node: Node, deployed: None) -> None:
    before = node.processes()
    for _ in range(3):
        node.upload("mine", archive_of({"app.py": BAD_CODE["a failing init"][0] + f"# {os.urandom(4).hex()}\n"}))
    # the imported bundle lingers a while for a deploy that is tried again, its functions' templates do not

    def left() -> int:
        instances = {int(one["pid"]) for one in node.get("/v1/workers")["workers"]}  # of what serves: pools may change
        return len(node.processes() - before - instances)

    eventually(lambda: left() <= 3, "the end of the templates of what failed")
