"""What the benchmarks of paging share: calls with what they say of their time, and what the kernel says of workers.

A benchmark that wants a worker out waits for it here, outside what it measures.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorfaas.errors import ProcessGone
from actorfaas.swap import cgroup
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.target import Faults, Target
from bench import load
from bench.machine import ROOT
from bench.node import Node

OUT_TIMEOUT_S = 60.0
POLL_S = 0.01
PAGE_BYTES = 4096

LINGER_S = {True: "0.3", False: "3600"}
"""How long an idle worker is to stay: where there is paging, and where there is not."""

_TIMING = re.compile(r"([\w-]+);dur=([\d.]+)(?:;desc=\"([\w-]*)\")?")


@dataclass(frozen=True, slots=True)
class Call:
    """One call: end to end, and its parts by `Server-Timing`, in ms. `kind`: how the instance was had."""

    total_ms: float
    parts: dict[str, float]
    kind: str

    @classmethod
    def of(cls, total_ms: float, timing: str) -> Call:
        """From how long it took and the value of `Server-Timing`."""
        parts = {part: float(duration) for part, duration, _ in _TIMING.findall(timing)}
        return cls(total_ms, parts, kind_of(timing))

    @property
    def start_ms(self) -> float:
        """Everything before the handler's first instruction."""
        return sum(self.parts.get(part, 0.0) for part in ("queue", "page-in", "start"))


def call(node: Node, name: str, body: bytes, strategy: str = "auto") -> Call:
    """Invoke once over a connection of its own, which is not part of the time. Raises ConnectionError for an error."""
    url = f"{node.url}/v1/invoke/{name}"
    ((total_ms, timing),) = load.one_by_one(url, load.post(url, body, {"Actorfaas-Strategy": strategy}), 1)
    return Call.of(total_ms, timing)


def kind_of(timing: str) -> str:
    """How the instance was had, by the value of `Server-Timing`."""
    return next((kind for part, _, kind in _TIMING.findall(timing) if part == "start"), "")


@contextmanager
def bundle(path: str, files: dict[str, str]) -> Iterator[Path]:
    """A copy of a folder of the repository with some more files, by which its `app` is told what to declare."""
    with tempfile.TemporaryDirectory(prefix="actorfaas-bench-") as name:
        folder = Path(name) / Path(path).name
        shutil.copytree(ROOT / path, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for file, text in files.items():
            (folder / file).write_text(text)
        yield folder


def workers(node: Node, function: str = "") -> list[dict[str, Any]]:
    """The node's workers as it describes them, of one function or of all."""
    found = node.get("/v1/workers")["workers"]
    return [worker for worker in found if not function or worker["function"] == function]


def wait_until_out(node: Node, function: str) -> list[dict[str, Any]]:
    """Wait until every worker of the function is in swap, and there is at least one; raises RuntimeError if not."""
    deadline = time.monotonic() + OUT_TIMEOUT_S
    while True:
        found = workers(node, function)
        if found and all(worker["state"] == "swapped" for worker in found):
            return found
        if time.monotonic() > deadline:
            states = [(worker["state"], worker["held_by"]) for worker in found]
            raise RuntimeError(f"the workers of {function} are not out after {OUT_TIMEOUT_S:g} s: {states}")
        time.sleep(POLL_S)


def tree_of(node: Node) -> Tree:
    """The control groups of the node's functions."""
    for pid in node.processes()[1:]:
        pairs = (one.partition("=") for one in Path(f"/proc/{pid}/environ").read_text().split("\0"))
        tree = cgroup.handed_down({name: value for name, _, value in pairs})
        if tree is not None:
            return tree
    raise RuntimeError("the node has no control groups")


def faults(pids: Iterable[int]) -> dict[int, Faults]:
    """The page faults so far of those processes that have not ended."""
    found = {}
    for pid in pids:
        with suppress(ProcessGone), Target(pid) as target:
            found[pid] = target.faults()
    return found


def read_back_bytes() -> int:
    """What the machine has read from swap since it started."""
    return _vmstat("pswpin") * PAGE_BYTES


def written_bytes() -> int:
    """What the machine has written to swap since it started."""
    return _vmstat("pswpout") * PAGE_BYTES


def _vmstat(name: str) -> int:
    for line in Path("/proc/vmstat").read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    raise LookupError(name)
