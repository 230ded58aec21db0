"""The swap file: made, turned on, found again after a crash, turned off, removed.

A file that does not carry one of our labels is refused, never changed. Everything blocks; turning off reads back all
that is in the file, so it runs in a process of its own that can be given up. Where the file lies, how large it is and
when it is wanted is decided elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from actorfaas.errors import SwapUnavailable
from actorfaas.swap import swaps, syscalls
from actorfaas.swap.filesystem import free_bytes, why_not_for_swap
from actorfaas.swap.ranges import PAGE_SIZE
from actorfaas.swap.swaps import Header, SwapArea

_MIN_BYTES = 16 * 1024 * 1024
_CHECK_EVERY_S = 0.05
_SWAPOFF = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: nobody waits for it any more
sys.exit(ctypes.get_errno() if libc.swapoff(os.fsencode(sys.argv[1])) else 0)
"""

How = Literal["created", "turned on again", "already on"]


@dataclass(frozen=True, slots=True)
class Ready:
    """The file is in use, and how that came about."""

    area: SwapArea
    how: How


def ensure(
    path: Path, size_bytes: int, *, priority: int, label: str = swaps.NODE_LABEL, keep_free_bytes: int = 1 << 30
) -> Ready:
    """Have a swap file of `size_bytes` in use at `path`.

    One of ours that is there already is taken as it is when in use (its size may differ), else turned on again, or
    made anew if its size differs. `keep_free_bytes` must stay free on the file system. Raises SwapUnavailable.
    """
    _require_root("turn on swap")
    area = swaps.find_active(path)
    if area is not None:
        require_ours(path)
        return Ready(area, "already on")
    size_bytes = size_bytes // PAGE_SIZE * PAGE_SIZE
    how: How = "turned on again"
    if not _is_reusable(path, size_bytes, label):
        create(path, size_bytes, label=label, keep_free_bytes=keep_free_bytes)
        how = "created"
    try:
        turn_on(path, priority)
    except SwapUnavailable:
        if how == "created":
            path.unlink(missing_ok=True)  # of no use to anybody, and large
        raise
    area = swaps.find_active(path)
    if area is None:
        raise SwapUnavailable(f"{path} was turned on, but {swaps.PROC_SWAPS} does not list it")
    return Ready(area, how)


def read_header(path: Path) -> Header | None:
    """The swap header of a file, or None if it has none. Raises FileNotFoundError."""
    with open(path, "rb") as file:
        return swaps.parse_header(file.read(PAGE_SIZE))


def _is_reusable(path: Path, size_bytes: int, label: str) -> bool:
    """Whether our file is there with this size and label. Raises SwapUnavailable if a file that is not ours is."""
    if not os.path.lexists(path):
        return False
    header = require_ours(path)
    status = path.stat()
    allocated = status.st_blocks * 512 >= size_bytes
    return status.st_size == size_bytes and allocated and header.label == label and status.st_mode & 0o077 == 0


def require_ours(path: Path) -> Header:
    """The header of one of our swap files. Raises SwapUnavailable if it is somebody else's, or no swap file."""
    status = path.lstat()
    header = read_header(path) if stat.S_ISREG(status.st_mode) else None
    if header is None or not header.is_ours or status.st_uid != os.geteuid():
        raise SwapUnavailable(f"{path} exists and is not a swap file of actorfaas; move it away, or name another path")
    return header


def create(path: Path, size_bytes: int, *, label: str, keep_free_bytes: int = 1 << 30) -> None:
    """Write a swap file without holes, mode 0600; one of ours that is not in use is replaced.

    Raises SwapUnavailable if the file system cannot hold swap, has not enough room, or another file is there.
    """
    if size_bytes < _MIN_BYTES:
        raise SwapUnavailable(f"a swap file of {size_bytes} bytes is too small; {_MIN_BYTES >> 20} MiB is the least")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if reason := why_not_for_swap(path.parent):
        raise SwapUnavailable(f"{path}: {reason}")
    if os.path.lexists(path):
        require_ours(path)
        path.unlink()
    free = free_bytes(path.parent)
    if free - size_bytes < keep_free_bytes:
        raise SwapUnavailable(
            f"{path}: the disk is too full: {free >> 20} MiB free, {size_bytes >> 20} MiB wanted and"
            f" {keep_free_bytes >> 20} MiB to be kept free; make room, or ask for less"
        )
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        _write(partial, size_bytes, label)
        partial.rename(path)
    except OSError as error:
        raise SwapUnavailable(f"{path} cannot be made: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write(path: Path, size_bytes: int, label: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(fd, 0, size_bytes)
        os.pwrite(fd, swaps.build_header(size_bytes, label, uuid.uuid4().bytes), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def turn_on(path: Path, priority: int) -> None:
    """swapon(2) with a priority from 0 to 32767. Raises SwapUnavailable with the likely reason.

    Where the disk can discard, the kernel then fills free clusters before the gaps in used ones, so that pages that are
    written together lie together.
    """
    _require_root("turn on swap")
    flags = syscalls.SWAP_FLAG_PREFER | syscalls.SWAP_FLAG_DISCARD | syscalls.SWAP_FLAG_DISCARD_PAGES
    try:
        syscalls.swapon(os.fsencode(path.resolve()), flags | priority)
    except OSError as error:
        reason = {
            errno.EINVAL: "the kernel does not take it as swap: the file has holes, or its file system cannot swap",
            errno.EPERM: "not permitted: it needs CAP_SYS_ADMIN, which a container may lack; or too many swap areas",
            errno.EBUSY: "it is in use already",
        }.get(error.errno or 0, error.strerror)
        raise SwapUnavailable(f"{path} cannot be turned on: {reason}") from error


def turn_off(path: Path, timeout_s: float, progress: Callable[[int], None] | None = None) -> None:
    """swapoff(2): everything in the file comes back into memory first.

    `progress` is told the bytes still in the file. After `timeout_s` it is given up, and the file stays in use.
    Raises SwapUnavailable then, and when memory has no room for what is in it.
    """
    area = swaps.find_active(path)
    if area is None:
        return
    _require_root("turn off swap")
    _require_room(area)
    deadline = time.monotonic() + timeout_s
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", _SWAPOFF, area.path])
    try:
        while True:
            try:
                status = child.wait(timeout=_CHECK_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                _keep_waiting(path, deadline, timeout_s, progress)
    finally:
        if child.poll() is None:
            child.kill()  # a fatal signal interrupts swapoff; the kernel then keeps the file in use
            child.wait()
    if status:
        raise SwapUnavailable(f"{path} cannot be turned off: {os.strerror(status) if status > 0 else 'killed'}")
    if progress:
        progress(0)


def _keep_waiting(path: Path, deadline: float, timeout_s: float, progress: Callable[[int], None] | None) -> None:
    area = swaps.find_active(path)
    used = area.used_bytes if area else 0
    if progress:
        progress(used)
    if time.monotonic() > deadline:
        raise SwapUnavailable(
            f"{path} still holds {used >> 20} MiB after {timeout_s:g} s and stays in use;"
            " stop the workers in it first, or wait longer"
        )


def _require_room(area: SwapArea) -> None:
    others = sum(a.size_bytes - a.used_bytes for a in swaps.active() if a.path != area.path)
    available = _available_bytes() + others
    if area.used_bytes > available:
        raise SwapUnavailable(
            f"{area.path} holds {area.used_bytes >> 20} MiB, but only {available >> 20} MiB could take them;"
            " stop the workers in it first"
        )


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def remove(path: Path) -> None:
    """Delete one of our files that is not in use; nothing if it is not there. Raises SwapUnavailable."""
    if not os.path.lexists(path):
        return
    require_ours(path)
    if swaps.find_active(path):
        raise SwapUnavailable(f"{path} is in use; turn it off first")
    path.unlink()


def _require_root(what: str) -> None:
    if os.geteuid() != 0:
        raise SwapUnavailable(f"only root can {what}; run the node as root, or turn swap on before starting it")
