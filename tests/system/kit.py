"""What the system tests share: a real node under test, its processes, waiting for conditions, applications.

Owns no assertions about the platform beyond the form of problem documents. Every wait has a deadline and polls a
condition; nothing here sleeps to give something time.
"""

from __future__ import annotations

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

from actorfaas.packing import pack
from actorfaas.testing import RunningNode, running_node
from tests.patience import SLOWNESS

Json = Any  # a decoded JSON document
T = TypeVar("T")

PATIENCE_S = 20.0 * SLOWNESS
"""How long a condition may take to come true before the test fails."""
POLL_S = 0.01
BUNDLES = Path(__file__).with_name("bundles")
ROOT = Path(__file__).parents[2]
PROBLEM = "application/problem+json"


class Node:
    """A running node, seen from outside."""

    def __init__(self, running: RunningNode) -> None:
        self.url = running.url
        self.folder = running.folder
        self.process = running.process
        self._running = running
        self.port = int(running.url.rpartition(":")[2])
        self.http = httpx.Client(base_url=running.url, timeout=PATIENCE_S * 2, trust_env=False)

    @property
    def log(self) -> str:
        """What the node has logged so far."""
        return self._running.log

    # --- applications --------------------------------------------------------------------------------------------

    def deploy(self, name: str) -> None:
        """Deploy one of `bundles/`; it must work."""
        self._deploy(BUNDLES / f"{name}.py")

    def deploy_folder(self, path: str) -> None:
        """Deploy a folder of the repository; it must work."""
        self._deploy(ROOT / path)

    def _deploy(self, path: Path) -> None:
        bundle = pack(path)
        answer = self.upload(bundle.app, bundle.archive, entry=bundle.entry)
        assert answer.status_code == 201, answer.text

    def upload(self, app: str, archive: bytes, *, entry: str = "app.py") -> httpx.Response:
        """Try to deploy an archive."""
        return self.http.put(f"/v1/deployments/{app}", params={"entry": entry}, content=archive)

    # --- calls ---------------------------------------------------------------------------------------------------

    def call(self, name: str, value: Json = None, **headers: str) -> httpx.Response:
        """Invoke a function or workflow with a JSON value; `headers` with underscores for hyphens."""
        return self.send(name, json.dumps(value).encode(), **headers)

    def send(self, name: str, body: bytes, **headers: str) -> httpx.Response:
        """Invoke with any bytes."""
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.http.post(f"/v1/invoke/{name}", content=body, headers=given)

    def start(self, name: str, value: Json = None) -> str:
        """Begin an asynchronous execution; its id, once the node has accepted it."""
        answer = self.call(name, value, Prefer="respond-async")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["execution_id"])

    def ended(self, execution_id: str) -> Json:
        """An execution once it has ended."""
        return eventually(lambda: self._ended(execution_id), f"the end of {execution_id}", patience_s=3 * PATIENCE_S)

    def _ended(self, execution_id: str) -> Json:
        answer = self.http.get(f"/v1/executions/{execution_id}", params={"wait": "5"})
        if answer.status_code == 503:
            return None
        assert answer.status_code == 200, answer.text
        execution = answer.json()
        return execution if execution["status"] != "running" else None

    # --- what there is -------------------------------------------------------------------------------------------

    def get(self, path: str, **params: str) -> Json:
        """The JSON of a GET, asked again while a part of the node is coming back."""
        return eventually(lambda: self._get(path, params), f"an answer of {path}")

    def _get(self, path: str, params: Mapping[str, str]) -> Json:
        answer = self.http.get(path, params=params)
        if answer.status_code == 503:
            return None
        assert answer.status_code == 200, answer.text
        return answer.json()

    def history(self, execution_id: str) -> list[Json]:
        """Every event of an execution."""
        events: list[Json] = []
        cursor = ""
        while True:
            page = self.get(f"/v1/executions/{execution_id}/history", limit="10000", cursor=cursor)
            events += page["events"]
            cursor = page["next_cursor"]
            if not cursor:
                return events

    def actor_pids(self) -> dict[str, int]:
        """The process of every actor, once all of them answer."""

        def all_there() -> dict[str, int] | None:
            found = {one["actor"]: int(one.get("pid") or 0) for one in self.get("/v1/node")["actors"]}
            return found if all(found.values()) else None

        return eventually(all_there, "a description of every actor")

    def workers(self, function: str) -> list[Json]:
        """The live instances of a function."""
        return [one for one in self.get("/v1/workers")["workers"] if one["function"] == function]

    def template_pid(self, topic: str) -> int:
        """The template process of a function version (`NAME@VERSION`), once there is one."""

        def pid() -> int:
            templates = self.get("/v1/node")["mechanisms"]["templates"]
            return next((int(one["pid"]) for one in templates if one["topic"] == topic), 0)

        return eventually(pid, f"a template of {topic}")

    def log_lines(self, **filters: str) -> list[str]:
        """What functions wrote."""
        return [str(line["text"]) for line in self.get("/v1/logs", **filters)["lines"]]

    # --- processes -----------------------------------------------------------------------------------------------

    def processes(self) -> set[int]:
        """Every process that works in this node's folders: the node, its actors, templates, workers, their children."""
        return processes_in(self.folder)

    def kill(self, pid: int) -> float:
        """SIGKILL one process of this node and wait until it is gone; the (monotonic) instant of the signal."""
        assert pid in self.processes(), f"{pid} is no process of this node"
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: has_ended(pid), f"the end of process {pid}")
        return killed_s

    def kill_everything(self) -> None:
        """SIGKILL every process of this node, as a loss of power would end them, and wait until they are gone. They are
        stopped first: else one that lives a little longer writes down that another one ended."""
        while left := self.processes():
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)

    def until_serving(self, name: str, value: Json = None, patience_s: float = PATIENCE_S) -> float:
        """Call a function until it answers 200; the seconds this took. Other answers must be problems to retry."""
        began = time.monotonic()

        def served() -> bool:
            answer = self.call(name, value)
            if answer.status_code != 200:
                assert problem_of(answer)["retryable"], answer.text
            return answer.status_code == 200

        eventually(served, f"an answer of {name}", patience_s=patience_s)
        return time.monotonic() - began


class Gate:
    """A folder in which the functions of `bundles/faulty.py` leave marks, and wait until it is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def event(self, number: int = 0) -> Json:
        """What to call such a function with."""
        return {"folder": str(self.folder), "number": number}

    def arrived(self, numbers: set[int]) -> bool:
        """Whether a handler waits (or waited) for each of these."""
        return numbers <= {int(path.name.partition(".")[0]) for path in self.folder.glob("*.*")}

    def wait_for(self, *numbers: int) -> list[int]:
        """Once handlers have arrived for all of these: their processes."""
        eventually(lambda: self.arrived(set(numbers)), "handlers at the gate")
        return [int(path.suffix[1:]) for path in self.folder.glob("*.*")]

    def open(self) -> None:
        """Let them go on."""
        (self.folder / "gate").touch()


@contextmanager
def node_with(folder: Path, *bundles: str, **settings: str | float) -> Iterator[Node]:
    """A node with applications of `bundles/`, stopped at the end."""
    with running_node(folder, **settings) as running:
        node = Node(running)
        with node.http:
            for name in bundles:
                node.deploy(name)
            yield node


def archive_of(files: Mapping[str, str | bytes]) -> bytes:
    """A zip archive with these files, whatever their names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def problem_of(answer: httpx.Response) -> Json:
    """The problem document of an answer, its form checked."""
    assert answer.headers["content-type"] == PROBLEM, answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    assert isinstance(problem["retryable"], bool)
    if answer.status_code in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    return problem


def code_of(problem: Json) -> str:
    """The last part of a problem's type."""
    prefix, _, code = str(problem["type"]).rpartition(":")
    assert prefix == "urn:actorfaas:problem"
    return code


def eventually(attempt: Callable[[], T | None], what: str, *, patience_s: float = PATIENCE_S) -> T:
    """The first result of `attempt` that is true. Fails after `patience_s`, naming `what` was awaited."""
    deadline = time.monotonic() + patience_s
    while True:
        if result := attempt():
            return result
        assert time.monotonic() < deadline, f"{what}: not within {patience_s:g} s"
        time.sleep(POLL_S)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be reaped: with its last thread, which held its connections."""
    try:
        state, *_, threads = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:18]
        return (state, threads) == ("Z", "1")
    except (FileNotFoundError, ProcessLookupError):
        return True


def processes_in(folder: Path) -> set[int]:
    """Live processes whose working folder is below `folder`, and everything that descends from them."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or has_ended(int(entry.name)):
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if Path(os.readlink(entry / "cwd")).is_relative_to(folder):
                found.add(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is another user's
    growing = True
    while growing:
        below = {pid for pid, parent in parents.items() if parent in found} - found
        found |= below
        growing = bool(below)
    return found
