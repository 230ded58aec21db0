"""A run: generator processes are started, begin at the same instant, report, and what they found is put together."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from actorfaas.errors import LoadFailed
from actorfaas.load.plan import Plan
from actorfaas.load.tally import Outcome, Tally

START_TIMEOUT_S = 30.0
LEAD_S = 0.1
"""From when all are ready to the begin."""
STOP_TIMEOUT_S = 10.0
LONGEST_LINE_BYTES = 256 << 20

Json = dict[str, Any]  # a JSON object


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. `recent_max_ms`: the longest latency of late."""

    elapsed_s: float
    sent: int = 0
    ok: int = 0
    failed: int = 0
    dropped: int = 0
    late: int = 0
    outstanding: int = 0
    recent_max_ms: float = 0.0


def run(plan: Plan, on_progress: Callable[[Progress], None] = lambda progress: None) -> Outcome:
    """Carry a plan out; an interrupt ends it early, with what was found so far.

    A second interrupt, or one before the begin, raises KeyboardInterrupt.
    Raises LoadFailed when a generator process ends early, or cannot find the server's address.
    """
    return asyncio.run(_Run(plan, on_progress).run())


class _Generator:
    """One generator process as this one sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.progress: Json = {}
        self.result: Json = {}

    @classmethod
    async def start(cls, plan: Plan, number: int) -> _Generator:
        """Start it and give it its plan."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "actorfaas.load.generator", str(number)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for this process, which asks the others to stop
        )
        generator = cls(process)
        data = pickle.dumps(plan)
        generator.say(len(data).to_bytes(8, "big") + data)
        return generator

    def say(self, data: bytes) -> None:
        """Write to it; that it has ended is noticed by who reads."""
        assert self.process.stdin is not None
        with suppress(ConnectionError):
            self.process.stdin.write(data)

    async def hear(self) -> Json:
        """Its next line. Raises LoadFailed when there is none, or it says what failed."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            status = await self.process.wait()
            raise LoadFailed(f"a generator process ended early, with status {status}; what it said is above")
        message: Json = json.loads(line)
        if "error" in message:
            raise LoadFailed(str(message["error"]))
        return message

    async def follow(self) -> None:
        """Read what it reports until it has its result."""
        while not self.result:
            message = await self.hear()
            self.progress = message.get("progress", self.progress)
            self.result = message.get("result", {})

    async def end(self) -> None:
        """Make sure that it has ended."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT_S if self.result else 0)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            await self.process.wait()


class _Run:
    """All generator processes of one run."""

    def __init__(self, plan: Plan, on_progress: Callable[[Progress], None]) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._generators: list[_Generator] = []
        self._interrupts = 0
        self._has_begun = False

    async def run(self) -> Outcome:
        """From start to end."""
        loop = asyncio.get_running_loop()
        working = asyncio.current_task()
        assert working is not None
        with suppress(ValueError):  # not in the main thread: nobody's interrupts are to be taken
            loop.add_signal_handler(signal.SIGINT, self._interrupt, working)
        try:
            return await self._generate()
        except asyncio.CancelledError:
            if not self._interrupts:
                raise
            raise KeyboardInterrupt from None
        finally:
            with suppress(ValueError):
                loop.remove_signal_handler(signal.SIGINT)
            await asyncio.gather(*(one.end() for one in self._generators))

    async def _generate(self) -> Outcome:
        for number in range(self._plan.processes):
            self._generators.append(await _Generator.start(self._plan, number))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await asyncio.gather(*(one.hear() for one in self._generators))
        except TimeoutError:
            raise LoadFailed(f"a generator process was not ready after {START_TIMEOUT_S:g} s") from None
        began_at = time.time() + LEAD_S
        begin_s = time.monotonic() + LEAD_S
        for one in self._generators:
            one.say(f"{begin_s!r}\n".encode())
        self._has_begun = True
        await self._follow(begin_s)
        return self._outcome(began_at, begin_s)

    async def _follow(self, begin_s: float) -> None:
        following = [asyncio.create_task(one.follow(), name="load: follow a generator") for one in self._generators]
        try:
            while True:
                done, pending = await asyncio.wait(following, timeout=0.5, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
                if not pending:
                    return
                self._on_progress(self._progress(time.monotonic() - begin_s))
        finally:
            for task in following:
                task.cancel()

    def _progress(self, elapsed_s: float) -> Progress:
        said = [one.progress for one in self._generators if one.progress]
        names = ("sent", "ok", "failed", "dropped", "late", "outstanding")
        recent_max_ms = max((one["recent_max_ms"] for one in said), default=0.0)
        sums = {name: sum(one[name] for one in said) for name in names}
        return Progress(elapsed_s=elapsed_s, recent_max_ms=recent_max_ms, **sums)

    def _outcome(self, began_at: float, begin_s: float) -> Outcome:
        results = [one.result for one in self._generators]
        tally = Tally(self._plan.width_s, self._plan.late_s, begin_s, self._plan.is_open)
        for result in results:
            tally.merge(Tally.from_json(result["tally"]))
        return Outcome(
            self._plan,
            tally,
            began_at,
            [result["processor"] for result in results],
            sum(result["most_at_once"] for result in results),
            any(result["was_stopped"] for result in results),
        )

    def _interrupt(self, working: asyncio.Task[Outcome]) -> None:
        self._interrupts += 1
        if self._interrupts > 1 or not self._has_begun:
            working.cancel()
            return
        for one in self._generators:
            one.say(b"stop\n")
