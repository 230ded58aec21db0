"""What `doctor` checks, one function each: what was found, whether it is good, and what to do if not.

What idle instances' memory needs is checked in `swap_checks`.

Every function reads the machine through a `Machine`, whose folders tests replace. Nothing here changes anything,
apart from one file written to the data folder and removed again.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from actorfaas.config import Settings
from actorfaas.discovery import NODE_FILE, running_url

Status = Literal["ok", "warn", "fail"]

_GIB = 1024**3
_MIN_PYTHON = (3, 11)
_MIN_MEMORY_BYTES = 256 * 1024**2
_GOOD_FILES = 4096
_GOOD_TASKS = 4096
_CAP_SYS_PTRACE, _CAP_SYS_ADMIN, _CAP_SYS_NICE = 19, 21, 23


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `fail` means that `serve` could not work; `advice` says what to do."""

    name: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the kernel says what it has, and the settings a node would run with."""

    settings: Settings
    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")

    def read(self, path: str) -> str:
        """A file below /proc, or "" when it cannot be read."""
        return _read(self.proc / path)


def check_system(machine: Machine) -> Check:
    """Linux, and how new."""
    if sys.platform != "linux":
        return Check("system", "fail", sys.platform, "actorfaas needs Linux")
    release = machine.read("sys/kernel/osrelease").strip() or platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdecimal())
    if numbers < (5, 10):
        return Check("system", "warn", f"Linux {release}", "5.10 or newer has what paging out other processes needs")
    return Check("system", "ok", f"Linux {release}")


def check_python(_: Machine) -> Check:
    """The interpreter."""
    found = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info < _MIN_PYTHON:
        return Check("python", "fail", found, "install Python 3.11 or newer")
    return Check("python", "ok", found)


def check_uvloop(_: Machine) -> Check:
    """The event loop."""
    try:
        return Check("uvloop", "ok", version("uvloop"))
    except PackageNotFoundError:
        return Check("uvloop", "fail", "not installed", "pip install uvloop")


def check_uv(_: Machine) -> Check:
    """What builds the environments of bundles with requirements."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        return Check("uv", "warn", "not found", "pip install uv; without it, no bundle can have a requirements.txt")
    return Check("uv", "ok", found)


def check_data_dir(machine: Machine) -> Check:
    """Whether the data folder can be written."""
    folder = machine.settings.data_dir
    existing = folder
    while not existing.exists():
        existing = existing.parent
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".actorfaas-doctor-"):
            pass
    except OSError as error:
        found = f"{folder}: {error.strerror or error}"
        return Check("data folder", "fail", found, "give another one with --data-dir or ACTORFAAS_DATA_DIR")
    free_bytes = shutil.disk_usage(existing).free
    found = f"{folder}, {free_bytes / _GIB:.1f} GiB free"
    if free_bytes < _GIB:
        return Check("data folder", "warn", found, "make room: deployments, results and logs are kept there")
    return Check("data folder", "ok", found)


def check_memory(machine: Machine) -> Check:
    """Memory in all and left."""
    fields = _kib_fields(machine.read("meminfo"))
    total, available = fields.get("MemTotal", 0), fields.get("MemAvailable", 0)
    found = f"{total / _GIB:.1f} GiB, {available / _GIB:.1f} GiB available"
    if available < _MIN_MEMORY_BYTES:
        return Check("memory", "warn", found, "the node alone needs about 165 MB; free some")
    return Check("memory", "ok", found)


def check_cores(_: Machine) -> Check:
    """Processors this process may use."""
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        return Check("cores", "warn", str(cores), "two or more are better: the actors and the instances share them")
    return Check("cores", "ok", str(cores))


def check_open_files(_: Machine) -> Check:
    """The limit on file descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = _limit(soft) if soft == hard else f"{_limit(soft)} (could be raised to {_limit(hard)})"
    if soft != resource.RLIM_INFINITY and soft < _GOOD_FILES:
        return Check("open files", "warn", found, f"ulimit -n {_GOOD_FILES}: each instance and connection needs some")
    return Check("open files", "ok", found)


def check_tasks(machine: Machine) -> Check:
    """The smallest of the limits on processes."""
    limits = {
        "pid_max": _number(machine.read("sys/kernel/pid_max")),
        "cgroup": _number(_read(machine.cgroup / "pids" / "pids.max") or _read(machine.cgroup / "pids.max")),
    }
    if os.geteuid() != 0:
        limits["ulimit -u"] = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    known = {name: value for name, value in limits.items() if value > 0}
    if not known:
        return Check("processes", "ok", "no limit")
    name, least = min(known.items(), key=lambda item: item[1])
    found = f"{least} ({name})"
    if least < _GOOD_TASKS:
        return Check("processes", "warn", found, f"raise it to {_GOOD_TASKS}: every instance is a process")
    return Check("processes", "ok", found)


def check_privileges(machine: Machine) -> Check:
    """Root or the capabilities that paging other processes needs."""
    held = 0
    for line in machine.read("self/status").splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
    wanted = {"SYS_NICE": _CAP_SYS_NICE, "SYS_PTRACE": _CAP_SYS_PTRACE, "SYS_ADMIN": _CAP_SYS_ADMIN}
    missing = [f"CAP_{name}" for name, bit in wanted.items() if not held >> bit & 1]
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    if missing:
        return Check(
            "privileges", "warn", f"{who} without {', '.join(missing)}", "functions and workflows need none of these"
        )
    return Check("privileges", "ok", f"{who} with CAP_SYS_NICE, CAP_SYS_PTRACE and CAP_SYS_ADMIN")


def check_port(machine: Machine) -> Check:
    """Whether the HTTP port is free, or a node of ours has it."""
    settings = machine.settings
    where = f"{settings.host}:{settings.port}"
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if running_url(settings.data_dir / NODE_FILE).endswith(f":{settings.port}"):
                return Check("port", "ok", f"{where} is served by the node that runs")
            found = f"{where}: {error.strerror or error}"
            return Check("port", "fail", found, "stop what listens there, or choose another with --port")
    return Check("port", "ok", f"{where} is free")


CHECKS = (
    check_system,
    check_python,
    check_uvloop,
    check_uv,
    check_cores,
    check_memory,
    check_privileges,
    check_open_files,
    check_tasks,
    check_data_dir,
    check_port,
)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _number(text: str) -> int:
    """A number from a file of the kernel; 0 for none and for "max"."""
    return int(text) if text.strip().isdecimal() else 0


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _kib_fields(meminfo: str) -> dict[str, int]:
    """/proc/meminfo as bytes by name."""
    fields = {}
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            fields[name] = int(value.split()[0]) * 1024
    return fields
