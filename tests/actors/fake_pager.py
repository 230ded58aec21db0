"""A pager without a kernel: what it does is scripted, and each step can be held until the test lets it go on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from actorfaas.config import Settings
from actorfaas.errors import ProcessGone
from actorfaas.swap.measuring import OUTSIDE, Mode, Sample
from actorfaas.swap.pager import Memory, PagedOut, Pager, Process, never
from actorfaas.swap.recorder import Recorder
from actorfaas.swap.target import Faults, Target
from actorfaas.swap.working_set import Group, WorkingSet

PATIENCE_S = 10.0
LAYOUT = "here"
RECORD = WorkingSet(LAYOUT, (Group(((0x7000_0000, 64 * 4096),)),))
NO_SWAP = Sample(0, -1.0, 0, 0, ())
SOME_SWAP = Sample(5 << 20, 1.5, 1 << 30, 1 << 20, (("/swap", 1 << 30),))


class FakePager(Pager):
    """Records what was done, as (verb, pid), in the order in which it began."""

    def __init__(self) -> None:
        super().__init__(None, os.getpid())
        self.done: list[tuple[str, int]] = []
        self.lives: dict[int, int] = {}  # the ends that keep processes alive, by pid
        self.faults_of: dict[int, Faults] = {}
        self.failures: dict[tuple[str, int], Exception] = {}
        self.mode = Mode(OUTSIDE, "it can be done", 1 << 30)
        self.now = SOME_SWAP
        self.leaves: list[tuple[str, int, Memory]] = []
        self.freed_bytes = 10 << 20
        self.missing = WorkingSet(LAYOUT, ())
        self.read_with: list[WorkingSet | None] = []
        self._held: dict[tuple[str, int], threading.Event] = {}
        self._began = threading.Condition()

    # --- script ------------------------------------------------------------------------------------------------------

    def hold(self, verb: str, pid: int) -> threading.Event:
        """From now on this step waits until the event that comes back is set."""
        self._held[verb, pid] = event = threading.Event()
        return event

    def fail(self, verb: str, pid: int, error: Exception) -> None:
        """From now on this step fails."""
        self.failures[verb, pid] = error

    def has_begun(self, verb: str, pid: int) -> bool:
        """Wait until a step has begun (called in a thread)."""
        with self._began:
            return self._began.wait_for(lambda: (verb, pid) in self.done, PATIENCE_S)

    def end(self, pid: int) -> None:
        """The process exits."""
        os.close(self.lives.pop(pid))
        for verb in ("open", "out", "in", "record", "faults"):
            self.fail(verb, pid, ProcessGone(pid))

    def _step(self, verb: str, pid: int) -> None:
        with self._began:
            self.done.append((verb, pid))
            self._began.notify_all()
        if (held := self._held.get((verb, pid))) is not None:
            assert held.wait(PATIENCE_S)
        if error := self.failures.get((verb, pid)):
            raise error

    # --- pager -------------------------------------------------------------------------------------------------------

    def open(self, pid: int, function_topic: str = "") -> Process:
        self._step("open", pid)
        ends, self.lives[pid] = os.pipe()
        target = cast(Target, SimpleNamespace(pid=pid, pidfd=ends, close=lambda: os.close(ends)))
        return Process(target, None, LAYOUT)

    def close(self, process: Process) -> None:
        pid = process.target.pid
        self.done.append(("close", pid))
        process.target.close()
        if pid in self.lives:
            os.close(self.lives.pop(pid))

    def page_out(
        self, process: Process, record: WorkingSet | None, is_needed: Callable[[], bool] = never, *, remember: bool
    ) -> PagedOut:
        self._step("out", process.target.pid)
        if is_needed():
            return PagedOut(0, 0, "it was needed before it was out")
        return PagedOut(self.freed_bytes, 1 << 18)

    def page_in(self, process: Process, record: WorkingSet, *, remember: bool = False) -> int:
        self._step("in", process.target.pid)
        self.read_with.append(record)
        return record.memory_bytes + record.file_bytes

    def grown(self, process: Process, record: WorkingSet) -> WorkingSet:
        self._step("grown", process.target.pid)
        return record.grown(self.missing)

    def reclaim_rest(self, process: Process) -> int:
        self._step("rest", process.target.pid)
        return 4096

    def read_all(self, process: Process) -> int:
        self._step("all", process.target.pid)
        return 6 << 20

    def start_recording(self, process: Process) -> Recorder:
        self._step("record", process.target.pid)
        found: Any = SimpleNamespace(  # a Recorder by its methods
            layout=LAYOUT, scan=lambda: self._step("scan", process.target.pid), finish=lambda before: RECORD
        )
        return cast(Recorder, found)

    def faults(self, process: Process) -> Faults:
        self._step("faults", process.target.pid)
        return self.faults_of.get(process.target.pid, Faults(0, 0))

    def page_out_function(self, function_topic: str) -> int:
        self._step("function", 0)
        return 40 << 20

    def find_mode(self, settings: Settings) -> Mode:
        return self.mode

    def sample(self) -> Sample:
        return self.now

    def memory_of(self, process: Process) -> Memory:
        return Memory(3 << 20, 7 << 20)

    def memory_by_leaf(self) -> list[tuple[str, int, Memory]]:
        return self.leaves
