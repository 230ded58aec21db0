"""A plain process with a heap to be paged out and in, and a handle on it; no part of the platform.

Run as a program it fills a heap (every page with its own number and noise), then does what it is told, a line at a
time. `Child` starts one, `Child.fork` has it fork a copy that is told apart. Used by `bench.kernel_facts` and by tests.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Self

PAGE = mmap.PAGESIZE
_MADV_NOHUGEPAGE = 15
_MADV_PAGEOUT = 21
_ANSWER_TIMEOUT_S = 60.0


def touched_pages(pages_in_heap: int, count: int, seed: int) -> list[int]:
    """Which pages a request touches, in its order: runs of 1 to 8 neighbours, scattered over the heap."""
    chance = random.Random(seed)
    order: dict[int, None] = {}
    while len(order) < count:
        first = chance.randrange(pages_in_heap)
        for page in range(first, min(first + chance.randint(1, 8), pages_in_heap)):
            order[page] = None
    return list(order)[:count]


# --- the program --------------------------------------------------------------------------------------------------


class _Heap:
    def __init__(self, size_bytes: int) -> None:
        self.map = mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.map.madvise(_MADV_NOHUGEPAGE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        self.pages = size_bytes // PAGE
        noise = os.urandom(PAGE - 8)
        for page in range(self.pages):
            cut = page % len(noise)
            self.map[page * PAGE : (page + 1) * PAGE] = page.to_bytes(8, "little") + noise[cut:] + noise[:cut]

    def touch(self, pages: list[int], write: bool) -> tuple[float, int]:
        """Time taken and the number of pages that did not hold what they should."""
        wrong = 0
        started = time.perf_counter()
        for page in pages:
            at = page * PAGE
            if self.map[at : at + 8] != page.to_bytes(8, "little"):
                wrong += 1
            if write:
                self.map[at + 8] = 1
        return time.perf_counter() - started, wrong


def _serve(heap: _Heap, commands: IO[str], answers: IO[str]) -> None:
    pages: list[int] = []
    for line in commands:
        verb, *arguments = line.split()
        answer: Any = "done"
        if verb == "choose":  # apart from touching: neither the list nor the imports are part of a request
            pages = touched_pages(heap.pages, int(arguments[0]), int(arguments[1]))
        elif verb == "touch":
            answer = " ".join(map(str, heap.touch(pages, arguments[0] == "write")))
        elif verb == "enter":
            Path(arguments[0]).write_text("0")
        elif verb == "unmap":
            answer = _libc("munmap", heap.address + int(arguments[0]) * PAGE, int(arguments[1]) * PAGE)
        elif verb == "page_out_self":
            answer = _libc("madvise", heap.address, heap.pages * PAGE, _MADV_PAGEOUT)
        elif verb == "grow":
            heap.extra = mmap.mmap(-1, int(arguments[0]))  # type: ignore[attr-defined]  # kept until the end
            heap.extra.write(b"\1" * int(arguments[0]))  # type: ignore[attr-defined]
        elif verb == "fork":
            answer = _fork(heap, arguments[0])
        elif verb == "reap":
            answer = os.waitpid(int(arguments[0]), 0)[1]
        answers.write(f"{answer}\n")
        answers.flush()


def _libc(name: str, *arguments: int) -> int:
    function = getattr(ctypes.CDLL(None), name)
    return int(function(*(ctypes.c_void_p(a) if a > 1 << 31 else ctypes.c_size_t(a) for a in arguments)))


def _fork(heap: _Heap, path: str) -> str:
    started = time.perf_counter()
    pid = os.fork()
    if pid:
        return f"{pid} {time.perf_counter() - started}"
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        _serve(heap, line.makefile("r"), line.makefile("w"))
    os._exit(0)


# --- the handle ---------------------------------------------------------------------------------------------------


class Child:
    """One such process, started here or forked from one. A context manager: it is killed at the end."""

    def __init__(self, pid: int, commands: IO[str], answers: IO[str], parent: Child | None) -> None:
        self.pid = pid
        self._commands, self._answers = commands, answers
        self._parent = parent
        self._process: subprocess.Popen[str] | None = None
        self.heap_start = self.heap_bytes = 0

    @classmethod
    def start(cls, heap_bytes: int, group: Path | None = None) -> Child:
        """A new interpreter with a filled heap, charged to the control group of this folder."""
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(heap_bytes), str(group or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        child = cls(process.pid, process.stdin, process.stdout, None)
        child._process = process
        child.heap_start, child.heap_bytes = int(process.stdout.readline()), heap_bytes
        return child

    def fork(self) -> tuple[Child, float]:
        """A copy of it with its own line, and how long fork took in it, in seconds."""
        with tempfile.TemporaryDirectory(prefix="afaas-") as folder, socket.socket(socket.AF_UNIX) as listener:
            path = f"{folder}/line"
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(_ANSWER_TIMEOUT_S)
            pid, took_s = self.ask("fork", path).split()
            line, _ = listener.accept()
        with line:
            child = Child(int(pid), line.makefile("w"), line.makefile("r"), self)
        child.heap_start, child.heap_bytes = self.heap_start, self.heap_bytes
        return child, float(took_s)

    @property
    def heap(self) -> tuple[int, int]:
        """The heap as (start, length)."""
        return self.heap_start, self.heap_bytes

    def range_of(self, page: int) -> tuple[int, int]:
        """One page of the heap as (start, length)."""
        return self.heap_start + page * PAGE, PAGE

    def ask(self, verb: str, *arguments: object) -> str:
        """Have it do something; its answer."""
        self._commands.write(" ".join(map(str, (verb, *arguments))) + "\n")
        self._commands.flush()
        answer = self._answers.readline()
        if not answer:
            raise ChildProcessError(f"process {self.pid} ended during {verb}")
        return answer.strip()

    def choose(self, pages: int, seed: int) -> list[int]:
        """Settle which pages the next requests touch; the same list, in order."""
        self.ask("choose", pages, seed)
        return touched_pages(self.heap_bytes // PAGE, pages, seed)

    def touch(self, *, write: bool = False) -> float:
        """A request: touch the chosen pages; how long it took inside, in seconds. Raises if memory is not as it was."""
        took_s, wrong = self.ask("touch", "write" if write else "read").split()
        if int(wrong):
            raise AssertionError(f"{wrong} pages of process {self.pid} do not hold what was written")
        return float(took_s)

    def kill(self) -> int:
        """End it and reap it; its wait status, or return code if it was started here."""
        for stream in (self._commands, self._answers):
            try:
                stream.close()
            except BrokenPipeError:
                continue
        if self._process is not None:
            self._process.kill()
            return self._process.wait()
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return 0
        return int(self._parent.ask("reap", self.pid)) if self._parent and self._parent.is_usable() else 0

    def is_usable(self) -> bool:
        """Whether it can still be asked."""
        return not self._commands.closed and (self._process is None or self._process.poll() is None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


if __name__ == "__main__":
    if sys.argv[2]:
        Path(sys.argv[2], "cgroup.procs").write_text(str(os.getpid()))
    _heap = _Heap(int(sys.argv[1]))
    print(_heap.address, flush=True)
    _serve(_heap, sys.stdin, sys.stdout)
