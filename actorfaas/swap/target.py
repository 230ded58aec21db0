"""A handle on another process that cannot turn into a different one when its id is used again.

It holds a pidfd and the folder /proc/PID, which the kernel ties to the process itself, not to the number. Calls that
take only a number (process_vm_readv) are made after asking the pidfd. What is read and advised is up to the callers.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from actorfaas.errors import ProcessGone
from actorfaas.swap.maps import Mapping, parse

_PARENT, _MINOR_FAULTS, _MAJOR_FAULTS, _START_TIME, _RESIDENT_PAGES = 3, 9, 11, 21, 23
GONE = frozenset({errno.ESRCH, errno.ENOENT})


@dataclass(frozen=True, slots=True)
class Faults:
    """Page faults of a process since its start: minor ones found the page in memory, major ones read it."""

    minor: int
    major: int


class Target:
    """One process. Close it, or use it as a context manager; it holds two or three descriptors."""

    __slots__ = ("_pagemap_fd", "_proc_fd", "pid", "pidfd", "start_time")

    def __init__(self, pid: int, start_time: int | None = None) -> None:
        """Open process `pid`; with `start_time` (of a Target before, clock ticks), only if it is still that one.

        Raises ProcessGone, or PermissionError if this process may not look at it.
        """
        self.pid = pid
        self._pagemap_fd = -1
        self.pidfd = self._proc_fd = -1
        try:
            self.pidfd = os.pidfd_open(pid)
            self._proc_fd = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self.check()  # alive after both were opened: both mean the same process
            self.start_time = int(self._stat()[_START_TIME])
        except OSError as error:
            self.close()
            if error.errno in GONE or error.errno == errno.EINVAL:
                raise ProcessGone(pid) from None
            raise
        except ProcessGone:
            self.close()
            raise
        if start_time is not None and start_time != self.start_time:
            self.close()
            raise ProcessGone(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptors back; may be called again."""
        for name in ("_pagemap_fd", "_proc_fd", "pidfd"):
            if (fd := getattr(self, name)) >= 0:
                setattr(self, name, -1)
                os.close(fd)

    def is_alive(self) -> bool:
        """Whether it has not exited (a zombie has)."""
        poll = select.poll()  # one of its own for every call: several threads may ask at once
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def check(self) -> None:
        """Raise ProcessGone if it has exited."""
        if not self.is_alive():
            raise ProcessGone(self.pid)

    def kill(self) -> None:
        """SIGKILL to this process and no other."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            raise ProcessGone(self.pid) from None

    def pagemap_fd(self) -> int:
        """/proc/PID/pagemap, opened once."""
        if self._pagemap_fd < 0:
            self._pagemap_fd = self.open("pagemap")
        return self._pagemap_fd

    def mappings(self) -> list[Mapping]:
        """The memory map now."""
        return parse(self.read("maps").decode("utf-8", "replace"))

    def faults(self) -> Faults:
        """Page faults so far."""
        fields = self._stat()
        return Faults(int(fields[_MINOR_FAULTS]), int(fields[_MAJOR_FAULTS]))

    def resident_bytes(self) -> int:
        """RSS: what is mapped now, shared pages included. After a page-out it says little; a cgroup's usage counts."""
        return int(self._stat()[_RESIDENT_PAGES]) * os.sysconf("SC_PAGE_SIZE")

    def parent_pid(self) -> int:
        """The process that forked it, or whoever has adopted it since."""
        return int(self._stat()[_PARENT])

    def state(self) -> str:
        """One letter as in proc_pid_stat(5): R running, S asleep, D waiting for the disk, Z exited, ..."""
        return self._stat()[2].decode()

    def status_bytes(self, *names: str) -> dict[str, int]:
        """Sizes by name from /proc/PID/status (VmSwap, VmPTE, RssAnon, ...); absent ones are left out."""
        found = {}
        for line in self.read("status").decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name in names and value.endswith("kB"):
                found[name] = int(value.split()[0]) * 1024
        return found

    def read(self, name: str) -> bytes:
        """The whole of /proc/PID/NAME."""
        with os.fdopen(self.open(name), "rb") as file:
            try:
                return file.read()
            except ProcessLookupError:
                raise ProcessGone(self.pid) from None

    def open(self, name: str) -> int:
        """A descriptor of /proc/PID/NAME, the caller's to close. Raises ProcessGone and PermissionError."""
        try:
            return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc_fd)
        except OSError as error:
            if error.errno in GONE:
                raise ProcessGone(self.pid) from None
            raise

    def _stat(self) -> list[bytes]:
        """Fields of /proc/PID/stat; index i is field i+1. The name (field 2) may hold blanks and brackets."""
        pid, _, rest = self.read("stat").partition(b" (")
        name, _, fields = rest.rpartition(b") ")
        return [pid, name, *fields.split()]
