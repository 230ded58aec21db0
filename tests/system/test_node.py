"""The node with small actors in real processes: start, stop, crash, kill, a second node."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actorfaas import node
from actorfaas.config import Settings
from actorfaas.errors import ConfigError
from actorfaas.testing import running_node

pytestmark = pytest.mark.system

PATIENCE_S = 20.0
ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path
from actorfaas import node
from actorfaas.config import Settings
folder, port, processes, frontend = sys.argv[1:]
settings = Settings(
    data_dir=Path(folder), port=int(port), processes=processes, stop_timeout_s=1.0, log_format="json"
)
actors = {"store": "tests.system.toy_actors:Store", "frontend": f"tests.system.toy_actors:{frontend}"}
try:
    sys.exit(node.main(settings, lambda url: print(url, flush=True), actors))
except node.ConfigError as error:
    sys.exit(f"config: {error}")
"""


class ToyNode:
    """A node of toy actors in a process of its own."""

    def __init__(self, folder: Path, port: int = 0, processes: str = "store frontend", frontend: str = "Web") -> None:
        self.folder = folder
        with (folder / f"log-{time.monotonic_ns()}").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(folder), str(port), processes, frontend],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},  # for its children
                start_new_session=True,
                text=True,
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("log-*")))

    def children(self) -> list[int]:
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def say(self, word: str = "hello") -> str:
        """One request; what the frontend answers, "" when it hung up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as sock:
            sock.sendall(word.encode() + b"\n")
            return sock.makefile().readline().strip()

    def pids(self) -> tuple[int, int]:
        """The processes of (frontend, store) that answer now."""
        web, store = eventually(self.say).split()
        return int(web), int(store)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


def eventually(attempt: Callable[[], str]) -> str:
    """The first answer that is not empty; a broken connection counts as none."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if answer := attempt():
                return answer
        except ConnectionError:
            pass
        time.sleep(0.01)
    raise AssertionError(f"no answer within {PATIENCE_S} s")


def wait_until_gone(*pids: int) -> None:
    eventually(lambda: "" if any(Path(f"/proc/{pid}").exists() for pid in pids) else "gone")


@pytest.fixture
def nodes(short_dir: Path) -> Iterator[Callable[..., ToyNode]]:
    started: list[ToyNode] = []

    def start(**options: object) -> ToyNode:
        made = ToyNode(short_dir, **options)  # type: ignore[arg-type]  # ToyNode checks its own arguments
        started.append(made)
        return made

    yield start
    for made in started:
        if made.process.poll() is None:
            made.process.kill()
        made.process.wait()
        assert made.process.stdout is not None
        made.process.stdout.close()


Start = Callable[..., ToyNode]


def test_starts_serves_and_stops_without_a_trace(nodes: Start, short_dir: Path) -> None:
    running = nodes()
    state = json.loads((short_dir / "node.json").read_text())
    assert (state["pid"], state["url"]) == (running.process.pid, running.url)
    assert (short_dir / "run").stat().st_mode & 0o777 == 0o700
    assert (short_dir / "run" / "store.sock").stat().st_mode & 0o777 == 0o600
    children = running.children()
    assert sorted(running.pids()) == sorted(children)
    assert running.stop() == node.EXIT_STOPPED
    wait_until_gone(*children)
    assert not (short_dir / "node.json").exists()
    assert list((short_dir / "run").glob("*.sock")) == []


def test_actors_can_share_a_process(nodes: Start) -> None:
    running = nodes(processes="store+frontend")
    web, store = running.pids()
    assert web == store
    assert running.stop() == node.EXIT_STOPPED


@pytest.mark.parametrize("victim", ["store", "frontend"])
def test_a_killed_actor_is_restarted_and_nobody_is_refused(nodes: Start, victim: str) -> None:
    running = nodes()
    web, store = running.pids()
    killed = store if victim == "store" else web
    os.kill(killed, signal.SIGKILL)
    wait_until_gone(killed)
    with socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_S):
        pass  # the HTTP socket is the node's: it accepts although nobody may be there to serve
    new_web, new_store = running.pids()
    assert (new_store != store) == (victim == "store")
    assert (new_web != web) == (victim == "frontend")
    assert running.stop() == node.EXIT_STOPPED


def test_a_failed_task_crashes_the_actor_and_it_is_restarted(nodes: Start) -> None:
    running = nodes()
    _, store = running.pids()
    assert running.say("crash") == "told"
    wait_until_gone(store)
    assert running.pids()[1] != store
    assert "asked to crash" in running.log
    assert "exited with status 1" in running.log


def test_a_blocked_actor_is_killed_at_the_end_of_the_grace(nodes: Start) -> None:
    running = nodes()
    _, store = running.pids()
    assert running.say("block") == "told"
    assert running.stop() == node.EXIT_STOPPED
    wait_until_gone(store)
    assert "did not stop on SIGTERM; killing" in running.log


def test_a_second_interrupt_ends_the_patience(nodes: Start) -> None:
    running = nodes()
    running.pids()
    assert running.say("block") == "told"
    running.process.send_signal(signal.SIGINT)
    eventually(lambda: "yes" if '"event": "stopping"' in running.log else "")
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE_S) == node.EXIT_INTERRUPTED
    assert "did not stop when asked" not in running.log


def test_after_kill_9_of_the_node_its_actors_go_and_the_next_start_works(nodes: Start, short_dir: Path) -> None:
    first = nodes()
    pids = first.pids()
    first.process.kill()
    first.process.wait()
    second = nodes(port=first.port)  # waits for the remains of the first
    wait_until_gone(*pids)
    assert second.url == first.url
    assert set(second.pids()).isdisjoint(pids)
    assert second.stop() == node.EXIT_STOPPED


def test_a_second_node_on_the_same_folder_is_refused(nodes: Start) -> None:
    first = nodes()
    second = nodes()
    assert second.process.wait(PATIENCE_S) == 1
    assert f"a node already runs on {first.folder} (process {first.process.pid})" in second.log
    assert first.say() != ""
    assert first.stop() == node.EXIT_STOPPED


def test_a_port_in_use_is_said_so(nodes: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = nodes(port=port)
        assert refused.process.wait(PATIENCE_S) == 1
        assert f"port {port} on 127.0.0.1 is in use" in refused.log


def test_an_actor_that_cannot_be_set_up_ends_the_node(nodes: Start, short_dir: Path) -> None:
    broken = nodes(frontend="Broken")
    assert broken.process.wait(PATIENCE_S) == node.EXIT_FAILED
    assert "nothing works" in broken.log
    assert "frontend exited with status 1" in broken.log
    assert not (short_dir / "node.json").exists()


def test_files_in_the_folder_it_is_started_in_are_no_modules_of_its_own(short_dir: Path) -> None:
    for name in ("queue", "random", "signal"):
        (short_dir / f"{name}.py").write_text("raise SystemExit('a handler, not a module of Python')")
    with running_node(short_dir) as started:
        assert started.url


def test_processes_must_name_every_actor_once() -> None:
    names = " ".join(node.ACTORS)
    assert node.groups(names) == [(name,) for name in node.ACTORS]
    assert node.groups("data_layer+local_queue swapper fw_supervisor+execution_manager+frontend") == [
        ("data_layer", "local_queue"),
        ("swapper",),
        ("fw_supervisor", "execution_manager", "frontend"),
    ]
    for wrong in ("", "data_layer", f"{names} frontend", names.replace("frontend", "backend")):
        with pytest.raises(ConfigError):
            node.groups(wrong)
    with pytest.raises(ConfigError, match="does not name swapper; add it"):  # set before there was one
        node.groups("data_layer local_queue fw_supervisor execution_manager frontend")


def test_a_node_with_a_collector_has_an_exporter_that_stops_after_all_but_the_data_layer() -> None:
    assert node.with_exporter(Settings(), node.ACTORS) == (Settings(), node.ACTORS)
    for given, processes in (
        (Settings().processes, Settings().processes.replace("data_layer ", "data_layer exporter ")),
        ("swapper+data_layer frontend", "swapper+data_layer exporter frontend"),
        ("data_layer exporter+frontend", "data_layer exporter+frontend"),
    ):
        wanted = Settings(processes=given, otlp_endpoint="http://127.0.0.1:4318/v1/traces")
        settings, actors = node.with_exporter(wanted, node.ACTORS)
        assert settings.processes == processes
        assert set(actors) == {*node.ACTORS, "exporter"}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("fe80::1", "http://[fe80::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_the_url_is_one_a_client_can_use(host: str, url: str) -> None:
    assert Settings(host=host, port=80).url == url
