"""The command line against a real node: what a person does in the first ten minutes."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actorfaas.cli.child_node import free_port
from actorfaas.testing import RunningNode, running_node
from tests.http.shapes import check
from tests.system.kit import eventually, has_ended

pytestmark = pytest.mark.system

WAIT_S = 30.0

APP = '''
from actorfaas import Context, function, workflow


@function
def greet(name, ctx: Context):
    """Says hello."""
    print("greeting", name)
    ctx.logger.info("for %s", name)
    return f"Hello, {name}!"


@function
def shout(text):
    return text.upper()


@function
def count(limit):
    for number in range(limit):
        yield {"number": number}


@function
def fail(event):
    raise KeyError("no such item")


@function(timeout_s=0.2)
def stuck(event):
    import time

    time.sleep(60)


welcome = workflow("welcome", greet >> shout)
'''


def actorfaas(url: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One command for the node at `url`."""
    return run("--url", url, *arguments, stdin=stdin)


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "actorfaas", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application's file, in a folder of its own."""
    path = tmp_path_factory.mktemp("code") / "demo.py"
    path.write_text(APP)
    return path


@pytest.fixture(scope="module")
def node(app: Path) -> Iterator[RunningNode]:
    """A node with the application deployed."""
    with running_node() as started:
        done = actorfaas(started.url, "deploy", str(app))
        assert done.returncode == 0, done.stderr
        assert done.stdout == (
            "demo version 1 is in service\n  workflow  welcome\n"
            "  function  count\n  function  fail\n  function  greet\n  function  shout\n  function  stuck\n"
        )
        yield started


def test_invoke(node: RunningNode) -> None:
    done = actorfaas(node.url, "invoke", "greet", "--data", '"Ada"', "--timing")
    assert (done.returncode, done.stdout) == (0, '"Hello, Ada!"')
    assert ", run " in done.stderr


@pytest.mark.parametrize("strategy", ["resident", "fork", "cold"])
def test_invoke_with_each_strategy(node: RunningNode, strategy: str) -> None:
    done = actorfaas(node.url, "invoke", "shout", "-", "--strategy", strategy, "--timing", stdin='"a"')
    assert (done.returncode, done.stdout) == (0, '"A"')
    assert f"({strategy}), run " in done.stderr


def test_invoke_a_workflow_shows_its_states(node: RunningNode) -> None:
    done = actorfaas(node.url, "invoke", "welcome", "-d", '"Ada"', "--timing")
    assert done.stdout == '"HELLO, ADA!"'
    rows = [line.split()[:2] for line in done.stderr.splitlines()]
    assert ["greet", "succeeded"] in rows
    assert ["shout", "succeeded"] in rows


def test_invoke_a_generator(node: RunningNode) -> None:
    done = actorfaas(node.url, "invoke", "count", "-d", "2", "--stream")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"number": 0}, {"number": 1}]


def test_start_then_look(node: RunningNode) -> None:
    execution_id = actorfaas(node.url, "invoke", "welcome", "-d", '"B"', "--async").stdout.strip()
    waited = actorfaas(node.url, "invoke", "welcome", "-d", '"B"', "--wait")
    assert waited.stdout == '"HELLO, B!"'
    shown = actorfaas(node.url, "show", execution_id, "-o", "json")
    assert json.loads(shown.stdout)["name"] == "welcome"
    listed = json.loads(actorfaas(node.url, "executions", "-o", "json", "--name", "welcome").stdout)
    assert execution_id in [one["execution_id"] for one in listed["executions"]]


def test_a_failing_handler(node: RunningNode) -> None:
    done = actorfaas(node.url, "invoke", "fail")
    assert (done.returncode, done.stdout) == (1, "")
    assert "500 handler_error in fail: KeyError: 'no such item'" in done.stderr


def test_a_handler_that_takes_too_long(node: RunningNode) -> None:
    done = actorfaas(node.url, "invoke", "stuck")
    assert (done.returncode, done.stdout) == (124, "")


def test_logs_of_one_request(node: RunningNode) -> None:
    called = actorfaas(node.url, "invoke", "greet", "-d", '"Logged"', "--timing")
    request_id = called.stderr.split("request ")[1].split()[0]
    with following(node.url, "logs", "greet", "--request", request_id, "--follow", "-o", "json") as follower:
        lines = [json.loads(follower.stdout.line()) for _ in range(2)]
    assert [line["text"] for line in lines] == ["greeting Logged", "for Logged"]
    assert {line["request_id"] for line in lines} == {request_id}


def test_list_show_and_workers(node: RunningNode) -> None:
    listed = json.loads(actorfaas(node.url, "list", "-o", "json").stdout)
    assert [one["name"] for one in listed["workflows"]] == ["welcome"]
    assert "description     Says hello." in actorfaas(node.url, "show", "greet").stdout
    assert json.loads(actorfaas(node.url, "show", "welcome", "--asl").stdout)["StartAt"] == "greet"
    assert "strategy        auto: " in actorfaas(node.url, "show", "greet").stdout

    def alive() -> bool:  # the warm instances are forked after the deployment was answered
        pool = json.loads(actorfaas(node.url, "workers", "-o", "json").stdout)
        check(pool, "Workers")
        return {worker["function"] for worker in pool["workers"]} >= {"greet", "shout"}

    assert eventually(alive, "an instance of each function")


def test_doctor_knows_the_node(node: RunningNode) -> None:
    checks = json.loads(actorfaas(node.url, "doctor", "-o", "json", "--data-dir", str(node.folder)).stdout)
    assert checks[-1]["name"] == "node"
    assert "is ready, version" in checks[-1]["found"]


def test_versions(node: RunningNode, tmp_path: Path) -> None:
    code = tmp_path / "versions.py"
    code.write_text("from actorfaas import function\n@function\ndef which(event):\n    return 1\n")
    assert actorfaas(node.url, "deploy", str(code)).returncode == 0
    code.write_text(code.read_text().replace("return 1", "return 2"))
    assert actorfaas(node.url, "deploy", str(code)).stdout.startswith("versions version 2 is in service")
    assert actorfaas(node.url, "deploy", str(code)).stdout.startswith("versions is unchanged, version 2 stays")
    assert actorfaas(node.url, "rollback", "versions", "2").stdout.startswith("versions is unchanged, version 2 stays")
    assert actorfaas(node.url, "invoke", "which").stdout == "2"
    assert actorfaas(node.url, "rollback", "versions").stdout.startswith("versions version 1")
    assert actorfaas(node.url, "invoke", "which").stdout == "1"
    assert actorfaas(node.url, "remove", "versions").returncode == 0
    gone = actorfaas(node.url, "invoke", "which")
    assert gone.returncode == 1
    assert "404 not_found" in gone.stderr


def test_a_deployment_that_fails(node: RunningNode, tmp_path: Path) -> None:
    code = tmp_path / "broken.py"
    code.write_text("from actorfaas import function\nimport no_such_module\n")
    done = actorfaas(node.url, "deploy", str(code))
    assert done.returncode == 1
    assert 'File "broken.py", line 2' in done.stderr
    assert "ModuleNotFoundError: No module named 'no_such_module'" in done.stderr


class Lines:
    """Lines from a pipe, each waited for no longer than WAIT_S."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self.seen: list[str] = []

    def line(self) -> str:
        deadline = time.monotonic() + WAIT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._descriptor, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"nothing more came after {self.seen}")
                piece = os.read(self._descriptor, 65536)
                if not piece:
                    raise AssertionError(f"it ended after {self.seen}")
                self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        self.seen.append(line.decode())
        return self.seen[-1]

    def until(self, text: str) -> list[str]:
        """Lines up to one that holds `text`."""
        found: list[str] = []
        while not found or text not in found[-1]:
            found.append(self.line())
        return found


class Follower:
    """A command that goes on until it is told to stop."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.stdout = Lines(process.stdout.fileno())
        self.stderr = Lines(process.stderr.fileno())


@contextmanager
def following(url: str, *arguments: str, interrupt: bool = True) -> Iterator[Follower]:
    """Run a command beside the test; Ctrl-C it at the end."""
    command = [sys.executable, "-m", "actorfaas", *(("--url", url) if url else ()), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield Follower(process)
            if interrupt:
                process.send_signal(signal.SIGINT)
                process.wait(WAIT_S)
        finally:
            process.kill()


def test_following_ends_with_an_interrupt(node: RunningNode) -> None:
    with following(node.url, "logs", "--follow", "-o", "json") as follower:
        actorfaas(node.url, "invoke", "greet", "-d", '"Eve"')
        while json.loads(follower.stdout.line())["text"] != "for Eve":
            pass
    assert follower.process.returncode == 130


class TestDev:
    SOURCE = (
        "from actorfaas import function\n\n\n"
        "@function\ndef hello(name):\n    print('to', name)\n    return 'v1 ' + name\n"
    )

    @pytest.fixture
    def code(self, short_dir: Path) -> Path:
        path = short_dir / "app.py"
        path.write_text(self.SOURCE)
        return path

    def invoke(self, url: str) -> str:
        return actorfaas(url, "invoke", "hello", "-d", '"Ada"').stdout

    def test_edit_break_repair_stop(self, code: Path) -> None:
        with following("", "dev", str(code), "--port", "0") as dev:
            url = dev.stderr.until("data in")[-1].split()[1].rstrip(",")
            started = dev.stderr.until("watching for changes")
            assert any(f"curl {url}/v1/invoke/hello" in line for line in started)
            assert self.invoke(url) == '"v1 Ada"'
            assert dev.stdout.line().endswith("hello to Ada")

            code.write_text(self.SOURCE.replace("v1", "v2"))
            assert "(app.py)" in dev.stderr.until("version 2 is in service")[-1]
            assert self.invoke(url) == '"v2 Ada"'

            code.write_text(self.SOURCE + "def (\n")
            said = dev.stderr.until("stays in service")
            assert any('File "app.py", line 8' in line for line in said)
            assert any("SyntaxError" in line for line in said)
            assert self.invoke(url) == '"v2 Ada"'

            code.write_text(self.SOURCE.replace("v1", "v3"))
            dev.stderr.until("version 3 is in service")
            assert self.invoke(url) == '"v3 Ada"'
            node_pid = json.loads((code.parent / ".actorfaas" / "node.json").read_text())["pid"]
        assert dev.process.returncode == 0
        assert not Path(f"/proc/{node_pid}").exists()
        assert not (code.parent / ".actorfaas" / "node.json").exists()

    def test_its_node_does_not_outlive_it(self, code: Path) -> None:
        with following("", "dev", str(code), "--port", "0", interrupt=False) as dev:
            dev.stderr.until("watching for changes")
            node_pid = json.loads((code.parent / ".actorfaas" / "node.json").read_text())["pid"]
            ended = os.pidfd_open(node_pid)
            dev.process.kill()
            with selectors.DefaultSelector() as selector:
                selector.register(ended, selectors.EVENT_READ)
                assert selector.select(WAIT_S), "the node still runs"
            os.close(ended)

    def test_interrupted_while_its_node_starts(self, code: Path) -> None:
        with following("", "dev", str(code), "--port", "0") as dev:
            child = eventually(lambda: children_of(dev.process.pid), "the node's process")[0]
            dev.process.send_signal(signal.SIGINT)
            assert dev.process.wait(WAIT_S) == 0
        # interrupted within the fork itself, nobody waits for the node: it then notices that its parent is gone
        eventually(lambda: has_ended(child), "the end of the node")

    def test_a_node_that_cannot_start(self, node: RunningNode, code: Path) -> None:
        port = node.url.rpartition(":")[2]
        done = run("dev", str(code), "--port", port)
        assert done.returncode == 1
        assert f"port {port} on 127.0.0.1 is in use" in done.stderr
        assert "the node did not start (exit code 2)" in done.stderr
        assert "actorfaas serve" not in done.stderr

    def test_nothing_to_serve(self, tmp_path: Path) -> None:
        done = run("dev", str(tmp_path))
        assert done.returncode == 1
        assert "no folder in it is an application" in done.stderr
        assert list(tmp_path.iterdir()) == []


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_node_is_not_left_behind_by_what_started_it(tmp_path: Path) -> None:
    """Whoever started it has ended before it could ask to be told of that."""
    done = run("serve", "--data-dir", str(tmp_path), "--port", "0", "--stop-with", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert not (tmp_path / "node.json").exists()


def test_a_node_for_a_test_ends_with_the_process_of_the_test(short_dir: Path) -> None:
    program = (
        "import pathlib, sys\nfrom actorfaas.testing import running_node\n"
        "with running_node(pathlib.Path(sys.argv[1])) as node:\n"
        "    print(node.process.pid, flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(short_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tester:
        try:
            assert tester.stdout is not None
            ended = os.pidfd_open(int(Lines(tester.stdout.fileno()).line()))
        finally:
            tester.kill()
    with selectors.DefaultSelector() as selector:
        selector.register(ended, selectors.EVENT_READ)
        assert selector.select(WAIT_S), "the node still runs"
    os.close(ended)


def test_a_port_in_use_is_not_chosen(node: RunningNode) -> None:
    port = int(node.url.rpartition(":")[2])
    assert free_port("127.0.0.1", port) == 0


def test_serve_refuses_a_wrong_setting() -> None:
    done = run("serve", "--log-level", "loud")
    assert done.returncode == 2
    assert "log_level must be one of" in done.stderr
