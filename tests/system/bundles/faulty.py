"""Functions and a workflow that tests hold at a gate (a file that appears), so that faults strike at a known moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from actorfaas import Context, function, workflow

Json = Any  # a decoded JSON document


def _pass_gate(folder: str, mark: str) -> None:
    """Leave a file named `mark` in `folder`, then wait until `gate` is there."""
    Path(folder, mark).touch()
    while not Path(folder, "gate").exists():
        time.sleep(0.005)


@function(timeout_s=30)
def held(event: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """Wait at the gate."""
    _pass_gate(event["folder"], f"{event['number']}.{os.getpid()}")
    return {"number": event["number"], "attempt": ctx.attempt}


@function(timeout_s=30, retries=1, retry_delay_s=0.01)
def held_once(event: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """Wait at the gate, but only at the first attempt."""
    if ctx.attempt == 1:
        _pass_gate(event["folder"], f"{event['number']}.{os.getpid()}")
    return {"number": event["number"], "attempt": ctx.attempt}


@function(timeout_s=30)
def first(event: dict[str, Json]) -> dict[str, Json]:
    """Begin a trail."""
    return {**event, "trail": ["first"]}


@function(timeout_s=30, concurrency=4)
def second(event: dict[str, Json]) -> dict[str, Json]:
    """Continue the trail, through the gate."""
    _pass_gate(event["folder"], f"{event['number']}.{os.getpid()}")
    return {**event, "trail": [*event["trail"], "second"]}


@function(timeout_s=30)
def third(event: dict[str, Json]) -> dict[str, Json]:
    """End the trail."""
    return {"number": event["number"], "trail": [*event["trail"], "third"]}


journey = workflow("journey", first >> second >> third)


@function
def leaves_processes(event: Json) -> list[int]:
    """Leave a process behind in each way there is: in its group, in a session of its own, and forked twice."""
    command = [sys.executable, "-c", "import time\nwhile True: time.sleep(60)"]
    left = [subprocess.Popen(command, start_new_session=detached).pid for detached in (False, True)]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        grandchild = os.fork()
        if grandchild == 0:
            while True:
                time.sleep(60)
        os.write(writer, str(grandchild).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return [*left, int(os.read(reader, 32))]
