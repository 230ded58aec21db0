"""Virtual environments for bundles with a `requirements.txt`, built with uv and shared by content.

One environment serves every bundle with the same requirements on the same Python. It is complete once its marker
file exists; whatever lacks the marker is a build that was interrupted, and is built anew. The platform itself is
not installed: templates and workers get the node's own (`worker/bootstrap.py`), whatever environment they run in.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from weakref import WeakValueDictionary

from uv import find_uv_bin

from actorfaas.bundles import retention
from actorfaas.errors import DeployError

_MARKER = ".complete"
_FORMAT = 1
_MAX_OUTPUT_CHARACTERS = 8192
_MAX_REQUIREMENTS_BYTES = 1024 * 1024
_OWN_REQUIREMENT = re.compile(r"^\s*actorfaas\s*(\[.*?\])?\s*([=<>!~;@#].*)?$", re.IGNORECASE)


class Environments:
    """The folder of cached environments. Deploys that need the same one wait for a single build."""

    def __init__(self, folder: Path, build_timeout_s: float, python: str = sys.executable) -> None:
        self._folder = folder
        self._build_timeout_s = build_timeout_s
        self._python = python
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def python_for(self, requirements: bytes) -> str:
        """The interpreter of the environment that satisfies a `requirements.txt`; built when it is not there yet.

        Raises DeployError with uv's output when the environment cannot be built in time.
        """
        wanted = own_requirement_removed(requirements)
        if not any(line and not line.lstrip().startswith("#") for line in wanted.splitlines()):
            return self._python
        key = environment_key(wanted)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            home = self._folder / key
            if not await asyncio.to_thread(_is_complete, home):
                await self._build(home, wanted)
            await asyncio.to_thread(retention.touch, home)
        return str(home / "bin" / "python")

    async def is_there(self, python: str) -> bool:
        """Whether an interpreter that `python_for` gave exists; its environment then counts as wanted now."""
        home = self._home_of(python)
        if home is None:
            return await asyncio.to_thread(os.path.exists, python)
        async with self._locks.setdefault(home.name, asyncio.Lock()):
            return await asyncio.to_thread(lambda: _is_complete(home) and retention.touch(home))

    async def remove_unused(self, pythons: Collection[str], keep: int, least_age_s: float) -> int:
        """Remove environments of none of these interpreters, beyond the `keep` last wanted ones; how many."""
        in_use = {home.name for python in pythons if (home := self._home_of(python)) is not None}
        removed = 0
        for home in await asyncio.to_thread(retention.excess, self._folder, in_use, keep, least_age_s):
            async with self._locks.setdefault(home.name, asyncio.Lock()):
                removed += await asyncio.to_thread(retention.remove_if_older, home, least_age_s)
        return removed

    def _home_of(self, python: str) -> Path | None:
        """The environment of an interpreter, unless it is the node's own."""
        home = Path(python).parent.parent
        return home if home.parent == self._folder else None

    async def _build(self, home: Path, requirements: str) -> None:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            async with asyncio.timeout(self._build_timeout_s):
                await self._uv("venv", "--no-project", "--python", self._python, str(home))
                listed = home / "requirements.txt"
                listed.write_text(requirements, "utf-8")
                python = str(home / "bin" / "python")
                await self._uv("pip", "install", "--python", python, "-r", str(listed), cwd=home)
        except TimeoutError as error:
            raise DeployError(
                f"the requirements were not installed within {self._build_timeout_s:g} s (setting deploy_timeout_s)"
            ) from error
        (home / _MARKER).touch()

    async def _uv(self, *arguments: str, cwd: Path | None = None) -> None:
        """Run uv to its end; it and whatever it started are killed when this is cancelled (a timeout is that)."""
        process = await asyncio.create_subprocess_exec(
            find_uv_bin(),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=cwd,
            env=self._uv_environment(),
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        if process.returncode != 0:
            text = output.decode("utf-8", "replace").strip()[-_MAX_OUTPUT_CHARACTERS:]
            raise DeployError(f"the requirements cannot be installed: uv {arguments[0]} failed:\n{text}")

    def _uv_environment(self) -> dict[str, str]:
        # An active environment of the node must not be what uv installs into; the cache beside the environments
        # lets uv link files instead of copying them.
        environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH")}
        environment.setdefault("UV_CACHE_DIR", str(self._folder / ".cache"))
        # Trust what the machine trusts, as pip does: a company's registry, a proxy. The name depends on uv's version.
        environment.setdefault("UV_SYSTEM_CERTS", "1")
        environment.setdefault("UV_NATIVE_TLS", "1")
        environment.update(UV_NO_PROGRESS="1", NO_COLOR="1", UV_PYTHON_DOWNLOADS="never")
        return environment


def own_requirement_removed(requirements: bytes) -> str:
    """The requirements without a line for the platform itself, which templates have anyway. Raises DeployError."""
    if len(requirements) > _MAX_REQUIREMENTS_BYTES:
        raise DeployError(f"requirements.txt has {len(requirements)} bytes; at most {_MAX_REQUIREMENTS_BYTES}")
    try:
        text = requirements.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DeployError(f"requirements.txt is not UTF-8 text: {error}") from error
    lines = [line.rstrip() for line in text.splitlines() if not _OWN_REQUIREMENT.match(line)]
    return "\n".join(lines).strip() + "\n"


def environment_key(requirements: str) -> str:
    """The folder name of the environment for these requirements on this Python."""
    identity = f"{_FORMAT}\n{sys.implementation.cache_tag}\n{os.uname().machine}\n{requirements}"
    return hashlib.sha256(identity.encode()).hexdigest()[:40]


def _is_complete(home: Path) -> bool:
    # bin/python is a link to the base interpreter, which an upgrade of the system may have taken away
    return (home / _MARKER).is_file() and (home / "bin" / "python").exists()
