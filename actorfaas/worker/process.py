"""What a template or worker process asks of the kernel about itself: dying with its parent, limits, names, threads.

Every function here acts on the calling process. None of it is a sandbox: it keeps honest code from harming others.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_OOM_SCORE_FIRST = b"1000"
_MIB = 1024 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int | None = None) -> None:
    """Ask for SIGKILL when the parent ends (prctl(2), PR_SET_PDEATHSIG).

    The parent may have ended before this call: given `parent_pid`, that is noticed and the process ends here.
    """
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if parent_pid is not None and os.getppid() != parent_pid:
        os._exit(1)


def set_name(name: str) -> None:
    """The name in /proc/PID/comm, `ps` and `top`; the kernel keeps 15 bytes."""
    _prctl(_PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]))


def hold_standard_streams() -> None:
    """Have 0, 1 and 2 open, whatever user code closed: what is opened or received next must not become one of them."""
    for standard in (0, 1, 2):
        try:
            os.fstat(standard)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one


def move_to_group(entrance: str) -> None:
    """Move this process, which must have one thread, to the control group with that entrance (cgroups(7)).

    What it touches from now on is counted there, and so are the processes it forks from now on. Raises OSError.
    """
    file = open_group(entrance)
    try:
        enter_group(file)
    finally:
        os.close(file)


def open_group(entrance: str) -> int:
    """A descriptor for `enter_group`. Raises OSError."""
    return os.open(entrance, os.O_WRONLY | os.O_CLOEXEC)


def enter_group(file: int) -> None:
    """Like `move_to_group`. Raises OSError."""
    os.pwrite(file, b"0", 0)


def be_first_for_the_oom_killer() -> None:
    """An instance is killed before any part of the platform is (proc_pid_oom_score_adj(5))."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_OOM_SCORE_FIRST)  # without /proc the memory limit still holds


class MemoryLimit:
    """Memory that the handler may allocate beyond what the process has now; more raises MemoryError.

    RLIMIT_DATA counts private writable memory (getrlimit(2)). The limit holds while the handler runs, not while the
    platform decodes, encodes and reports: a JSON encoder reserves several times what it needs and may crash where
    Python would raise. Only the soft limit is set, so that it can be lifted.
    """

    __slots__ = ("_applied", "_lifted")

    def __init__(self, memory_mb: int) -> None:
        """`memory_mb` in MiB; 0 for no limit."""
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = data_bytes() + memory_mb * _MIB
        self._applied: tuple[int, int] | None = None
        self._lifted = (hard, hard)
        if memory_mb > 0 and (hard == resource.RLIM_INFINITY or soft < hard):
            self._applied = (soft, hard)

    def apply(self) -> None:
        """User code runs from here on."""
        if self._applied is not None:
            self._set(self._applied)

    def lift(self) -> None:
        """The platform's own code runs from here on."""
        if self._applied is not None:
            self._set(self._lifted)

    def _set(self, limits: tuple[int, int]) -> None:
        try:
            resource.setrlimit(resource.RLIMIT_DATA, limits)
        except (ValueError, OSError):  # user code lowered the hard limit; what it set now holds
            self._applied = None


def data_bytes() -> int:
    """VmData: what RLIMIT_DATA counts."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def thread_count() -> int:
    """Threads of this process, Python's and others."""
    return len(os.listdir("/proc/self/task"))


def give_back_free_memory() -> None:
    """Return what malloc holds but does not use, before every instance inherits it (malloc_trim(3))."""
    trim = getattr(_libc, "malloc_trim", None)  # not in every C library
    if trim is not None:
        trim(0)


def handled_signals() -> tuple[int, ...]:
    """Signals that are not as a new process has them. SIGPIPE stays ignored: a broken pipe is then an OSError."""
    left = (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ)
    unchanged = (signal.SIG_DFL, None)
    return tuple(int(n) for n in signal.valid_signals() if n not in left and signal.getsignal(n) not in unchanged)


def default_signals(numbers: tuple[int, ...]) -> None:
    """Give these signals (of `handled_signals`) back their default, and block none."""
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def fresh_random_state() -> None:
    """Two workers of one template must not draw the same numbers.

    `random` itself and `os.urandom` (so uuid4 and secrets) are already safe after a fork; numpy's global generator and
    the clock sequence of uuid1 are not. Generators that user code made before the fork stay copies of each other.
    """
    if (random := sys.modules.get("random")) is not None:
        random.seed()
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()
    if (uuid := sys.modules.get("uuid")) is not None:
        for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
            if hasattr(uuid, name):
                setattr(uuid, name, None)


def _prctl(option: int, argument: ctypes.c_ulong | ctypes.Array[ctypes.c_char]) -> None:
    nothing = ctypes.c_ulong(0)
    if _libc.prctl(option, argument, nothing, nothing, nothing) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl")
