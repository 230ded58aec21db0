"""What the platform is compared with: a plain uvicorn no-op and functions-framework, each in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

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
    command = ["-m", "functions_framework", "--target", "noop", "--source", "main.py", "--port", "{port}"]
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
            httpx.post(url, json=None)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the peer did not answer")
