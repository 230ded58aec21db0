"""Where a node lives on the machine: its folders, its lock, its sockets. Errors here are for the person who starts it.

The lock's descriptor is inherited by every actor process, so it is free only when the last of them is gone: a node
started after a `kill -9` waits for the remains of the one before instead of working beside them.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from actorfaas.config import Settings
from actorfaas.errors import ConfigError
from actorfaas.runtime.listener import MAX_SOCKET_PATH_BYTES

REMAINS_TIMEOUT_S = 5.0
_POLL_S = 0.02
HTTP_BACKLOG = 2048
TOKEN_KEY_BYTES = 32


def make_places(settings: Settings, actors: Iterable[str]) -> Settings:
    """Create the data folder and the run folder (0700). The settings come back with the run folder to use.

    A data folder whose path is too long for Unix sockets gets a run folder elsewhere. Raises ConfigError.
    """
    longest = max(len(os.fsencode(f"{actor}.handover.sock")) for actor in actors) + 1
    if len(os.fsencode(settings.run_path)) + longest > MAX_SOCKET_PATH_BYTES:
        if settings.run_dir != Path():
            room = MAX_SOCKET_PATH_BYTES - longest
            raise ConfigError(f"run_dir {settings.run_dir} is too long for Unix sockets; {room} bytes are possible")
        settings = replace(settings, run_dir=_short_run_dir(settings.data_dir))
    for folder in (settings.data_dir, settings.run_path):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be created: {error.strerror}; set data_dir to another folder"
            ) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"{folder} is not writable for this user; set data_dir to another folder")
    _make_private(settings.run_path)
    return settings


def _short_run_dir(data_dir: Path) -> Path:
    """A folder that belongs to `data_dir`, for its path is made of it, where paths are short."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path("/run") if os.geteuid() == 0 else Path(runtime) if runtime else Path(tempfile.gettempdir())
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return base / f"actorfaas-{os.geteuid()}-{digest}"


def _make_private(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ConfigError(f"{folder} is not a folder of this user; set run_dir to another one")
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)


def remove_sockets(folder: Path) -> None:
    """Remove the actors' sockets, left over or just closed. Only under the lock."""
    for path in folder.glob("*.sock"):
        path.unlink(missing_ok=True)


def token_key(data_dir: Path) -> bytes:
    """The node's secret for task tokens, made at its first start and kept: a token must be the same in a replay. Raises
    ConfigError where it is damaged."""
    path = data_dir / "token.key"
    with suppress(FileNotFoundError):
        key = path.read_bytes()
        if len(key) == TOKEN_KEY_BYTES:
            return key
        raise ConfigError(f"{path} is damaged: restore it, or remove it, and no task token handed out so far counts")
    key = secrets.token_bytes(TOKEN_KEY_BYTES)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)  # of a node that was killed meanwhile
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return key


class NodeLock:
    """One node for each data folder, and for each run folder. An async context manager."""

    def __init__(self, settings: Settings) -> None:
        both = (settings.data_dir / "node.lock", settings.run_path / "node.lock")
        self._paths = tuple(dict.fromkeys(both))  # once, when the sockets are to be in the data folder itself
        self._fds: list[int] = []

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors that hold the lock, for child processes to inherit."""
        return tuple(self._fds)

    async def __aenter__(self) -> NodeLock:
        """Take it. Raises ConfigError that names the node which has it."""
        try:
            for path in self._paths:
                self._fds.append(await _locked(path))
        except BaseException:  # also when the wait is cancelled: a lock taken before must not stay
            self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


async def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + REMAINS_TIMEOUT_S
    try:
        while not _try_lock(fd):
            owner, lives = _owner(fd)
            if lives:
                raise ConfigError(
                    f"a node already runs on {path.parent} (process {owner}); stop it, or choose another --data-dir"
                )
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"processes of a node that was killed (it was process {owner or 'unknown'}) still use {path.parent}"
                )
            await asyncio.sleep(_POLL_S)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except BaseException:  # also when the wait is cancelled: the descriptor is nobody's yet
        os.close(fd)
        raise
    return fd


def _owner(fd: int) -> tuple[str, bool]:
    """The process that wrote its number into a lock file, and whether it lives."""
    owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return owner, owner.isdecimal() and Path(f"/proc/{owner}").exists()


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def listening_http_socket(host: str, port: int) -> socket.socket:
    """The socket on which the node serves HTTP. Raises ConfigError that says what to do."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ConfigError(f"host {host!r} is not an address of this machine: {error.strerror}") from error
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(HTTP_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is in use; choose another with --port (0 picks a free one)"
            ) from error
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return sock
