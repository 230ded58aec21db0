"""How templates and cold workers are started: the one seam around which a sandbox can be put.

This module runs in the supervisor. It owns the command lines and the environment of new interpreters; what they
then do is in `template` and `cold`. A `Launcher` carries a command out: `DirectLauncher` plainly, a sandboxing one
by putting its own program in front. The control protocol does not depend on which.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import IO, Protocol

from actorfaas.worker.output import LIMIT_VARIABLE

_BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")
_NEEDED_PACKAGES = ("actorfaas", "msgpack", "orjson")
_PLATFORM_VARIABLES = "ACTORFAAS_"  # settings of the node, its token among them: no business of user code
URL_VARIABLE = "ACTORFAAS_URL"
"""Where functions find the node, for the calls they make in turn; `actorfaas.client` looks there."""

_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start: its arguments, its whole environment and the descriptors it inherits beside 0, 1 and 2."""

    argv: tuple[str, ...]
    env: dict[str, str]
    pass_fds: tuple[int, ...]


class Launcher(Protocol):
    """Starts templates and cold workers."""

    def start(self, command: Command, stdout: int | IO[bytes], stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
        """Start `command` in a session of its own. Raises OSError.

        The process asks the kernel to kill it when the *thread* that called this ends, so call it from one that
        lives as long as the supervisor.
        """
        raise NotImplementedError


class DirectLauncher(Launcher):
    """No sandbox: the interpreter is a plain child process."""

    def start(self, command: Command, stdout: int | IO[bytes], stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command.argv,
            env=command.env,
            pass_fds=command.pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # a terminal's Ctrl-C is for the node, which then ends its workers in order
        )


def template_command(
    python: str, control_fd: int, log_limit_bytes: int, environment: Mapping[str, str] | None = None
) -> Command:
    """The command of a bundle template; `control_fd` is its end of the SOCK_SEQPACKET pair."""
    argv = (*_interpreter(python), "template", str(control_fd))
    return Command(argv, _environment(environment, log_limit_bytes), (control_fd,))


def cold_command(
    python: str,
    connection_fd: int,
    spec_fd: int,
    log_limit_bytes: int,
    environment: Mapping[str, str] | None = None,
) -> Command:
    """The command of a worker in a new interpreter: its LocalQueue connection, and the pipe with its `ColdStart`."""
    argv = (*_interpreter(python), "cold", str(connection_fd), str(spec_fd))
    return Command(argv, _environment(environment, log_limit_bytes), (connection_fd, spec_fd))


def _interpreter(python: str) -> tuple[str, ...]:
    return (python or sys.executable, "-P", _BOOTSTRAP, os.pathsep.join(_platform_folders()))


@cache
def _platform_folders() -> tuple[str, ...]:
    """The folders in which the platform itself and what its workers need are installed."""
    folders = []
    for name in _NEEDED_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            folders.append(os.path.dirname(os.path.dirname(os.path.abspath(spec.origin))))
    return tuple(dict.fromkeys(folders))


def _environment(given: Mapping[str, str] | None, log_limit_bytes: int) -> dict[str, str]:
    inherited = os.environ if given is None else given
    env = {
        name: value
        for name, value in inherited.items()
        if name == URL_VARIABLE or not name.startswith(_PLATFORM_VARIABLES)
    }
    # Numerical libraries start a thread per core when they are imported: that template could not fork safely, and
    # instances are many, so each computes on one core. Whoever sets these variables gets what they say.
    for name in _ONE_THREAD:
        env.setdefault(name, "1")
    env[LIMIT_VARIABLE] = str(log_limit_bytes)
    return env
