"""A timer of the kernel (timerfd) on an event loop: exact to microseconds, where event loops round to milliseconds."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from contextlib import suppress

_TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1


class _Setting(ctypes.Structure):
    """struct itimerspec of timerfd_settime(2)."""

    _fields_ = (("interval", ctypes.c_long * 2), ("value", ctypes.c_long * 2))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.timerfd_settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Setting), ctypes.c_void_p)


class Timer:
    """Calls `ring` on the running loop when it is time; to be set again each time. Raises OSError without timerfd."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._setting = _Setting()
        self._fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "timerfd_create")
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._rang)

    def set(self, at_s: float) -> None:
        """Ring at that time of `time.monotonic`, or at once if it has passed."""
        seconds = int(at_s)
        self._setting.value[0] = seconds
        self._setting.value[1] = max(1, int((at_s - seconds) * 1e9))  # both zero would turn it off
        _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, self._setting, None)

    def close(self) -> None:
        """Never ring again."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _rang(self) -> None:
        with suppress(BlockingIOError):  # set anew in the meantime
            os.read(self._fd, 8)
        self._ring()
