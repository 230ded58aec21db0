"""A real node as benchmarks use it: deploy, invoke, look."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from actorfaas.testing import RunningNode, running_node
from bench.machine import ROOT


class Node:
    """A running node with an HTTP client."""

    def __init__(self, running: RunningNode) -> None:
        self.url = running.url
        self.process = running.process
        self.http = httpx.Client(base_url=running.url, timeout=120, trust_env=False)

    def deploy(self, path: str) -> None:
        """Deploy a folder of the repository with the command line that users have."""
        command = [sys.executable, "-m", "actorfaas", "--url", self.url, "deploy", str(ROOT / path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"deploying {path} failed:\n{done.stdout}{done.stderr}")

    def get(self, path: str) -> Any:  # the shape is the endpoint's
        """The JSON of a GET."""
        response = self.http.get(path)
        response.raise_for_status()
        return response.json()

    def invoke(self, name: str, value: object, **headers: str) -> httpx.Response:
        """One call; raises for anything but 2xx."""
        response = self.http.post(f"/v1/invoke/{name}", content=json.dumps(value), headers=headers)
        if response.is_error:
            raise RuntimeError(f"{name}: {response.status_code} {response.text}")
        return response

    def processes(self) -> list[int]:
        """The node's process and all below it."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                children.setdefault(int(fields[1]), []).append(int(entry.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found


@contextmanager
def running(folder: Path | None = None, /, **settings: str | float) -> Iterator[Node]:
    """Start a node (in this data folder, or one that goes with it), wait until it is ready, yield it, stop it."""
    with running_node(folder, **settings) as started:
        node = Node(started)
        with node.http:
            yield node
