"""What the platform is compared with: a plain uvicorn no-op and functions-framework, and taking turns with them.

Each peer runs as its users run it, with its defaults: functions-framework on its production server (gunicorn, one
process, four threads for each core), uvicorn with uvloop and httptools. While one is measured the others are idle.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench import load
from bench.measure import Summary

PLAIN_UVICORN = """
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"null"})
"""

FUNCTIONS_FRAMEWORK = """
def noop(request):
    request.get_json(silent=True)
    return "null", 200, {"Content-Type": "application/json"}
"""


@dataclass(slots=True)
class Series:
    """What one server did: a rate and a median for each of its turns, every latency, the failures."""

    rates: list[float] = field(default_factory=list)
    medians_s: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    failures: int = 0

    def add(self, outcome: load.Outcome) -> None:
        """One more turn."""
        self.rates.append(outcome.rate)
        self.medians_s.append(Summary.of(outcome.latencies_s).p50)
        self.latencies_s += outcome.latencies_s
        self.failures += sum(outcome.failures.values())


def take_turns(targets: Mapping[str, str], connections: int, rounds: int, turn_s: float) -> dict[str, Series]:
    """Call every target (its URL by name) for `turn_s` in every round, another one first each time.

    One more round comes before and is not counted: it warms all of them up.
    """
    series = {name: Series() for name in targets}
    names = list(targets)
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            outcome = load.run(targets[name], load.post(targets[name], b"null"), connections, turn_s)
            if number > 0:
                series[name].add(outcome)
    return series


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def plain_uvicorn() -> Iterator[str]:
    """The URL of a uvicorn server that answers `null` without doing anything."""
    command = ["-m", "uvicorn", "plain:app", "--no-access-log", "--log-level", "error", "--port", "{port}"]
    with _served("plain.py", PLAIN_UVICORN, command) as url:
        yield url


@contextmanager
def functions_framework() -> Iterator[str]:
    """The URL of functions-framework (its production server) with a no-op function."""
    command = ["-m", "functions_framework", "--target", "noop", "--source", "main.py"]
    command += ["--host", "127.0.0.1", "--port", "{port}"]
    with _served("main.py", FUNCTIONS_FRAMEWORK, command) as url:
        yield url


@contextmanager
def _served(file: str, code: str, arguments: list[str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="actorfaas-peer-") as folder:
        (Path(folder) / file).write_text(code)
        port = _free_port()
        command = [sys.executable, *(a.replace("{port}", str(port)) for a in arguments)]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait_for(url, process)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        if process.poll() is not None:
            raise RuntimeError("the peer ended at once")
        try:
            httpx.post(url, json=None, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the peer did not answer")
