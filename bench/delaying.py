"""A server of known delays: `python -m bench.delaying SPECIFICATION` prints its port and serves until it is killed.

The specification is JSON: `delays_ms`, each with its share (answers are drawn from them by `seed`), and `every_s` and
`stall_s`: in every period, what arrives during its first `stall_s` is held until they are over, as by a server that
does nothing at all. Answers leave to the microsecond when they are due (timerfd), however many wait.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from actorfaas.load.timer import Timer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull"


@dataclass(frozen=True, slots=True)
class Delays:
    """What a server does to its callers. `delays_ms`: pairs of a delay and its share of all calls."""

    delays_ms: tuple[tuple[float, float], ...]
    every_s: float = 0.0
    stall_s: float = 0.0
    seed: int = 1

    def percentile_ms(self, percent: float) -> float:
        """What the given percentile must be where calls arrive independently: exact for the delays alone; with a
        stall, for a single delay."""
        part = percent / 100
        if self.stall_s:
            free = 1 - self.stall_s / self.every_s
            held_s = max(0.0, part - free) * self.every_s  # those held longest arrived right at the stall's begin
            return held_s * 1000 + self.delays_ms[0][0]
        below = 0.0
        for delay_ms, share in sorted(self.delays_ms):
            below += share
            if part <= below + 1e-12:
                return delay_ms
        return max(delay_ms for delay_ms, _ in self.delays_ms)

    def due_s(self, now_s: float, chance: random.Random) -> float:
        """When a call that arrived now is answered; stalls begin at whole multiples of the period."""
        delay_ms = self.delays_ms[0][0]
        if len(self.delays_ms) > 1:
            (delay_ms,) = chance.choices(
                [one for one, _ in self.delays_ms], weights=[share for _, share in self.delays_ms]
            )
        into_s = now_s % self.every_s if self.every_s else self.stall_s
        return now_s + max(0.0, self.stall_s - into_s) + delay_ms / 1000


class _Answers:
    """Answers that are due later."""

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._chance = random.Random(delays.seed)
        self._due: list[tuple[float, int, asyncio.Transport]] = []
        self._numbers = itertools.count()
        self._timer = Timer(self._give)

    def ask(self, transport: asyncio.Transport) -> None:
        """A call arrived."""
        due_s = self._delays.due_s(time.monotonic(), self._chance)
        heapq.heappush(self._due, (due_s, next(self._numbers), transport))
        if self._due[0][0] == due_s:
            self._timer.set(due_s)

    def _give(self) -> None:
        now_s = time.monotonic()
        while self._due and self._due[0][0] <= now_s:
            heapq.heappop(self._due)[2].write(ANSWER)
        if self._due:
            self._timer.set(self._due[0][0])


class _Caller(asyncio.Protocol):
    """A connection whose requests come in one piece each, without a body or with a small one."""

    def __init__(self, answers: _Answers) -> None:
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._answers.ask(self._transport)


async def serve(delays: Delays) -> None:
    """Serve until cancelled."""
    answers = _Answers(delays)
    server = await asyncio.get_running_loop().create_server(lambda: _Caller(answers), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(delays: Delays) -> Iterator[str]:
    """The URL of such a server, in a process of its own."""
    command = [sys.executable, "-m", "bench.delaying", json.dumps(asdict(delays))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.kill()


def main() -> None:
    """Serve as told."""
    given = json.loads(sys.argv[1])
    given["delays_ms"] = tuple((delay_ms, share) for delay_ms, share in given["delays_ms"])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Delays(**given)))


if __name__ == "__main__":
    main()
