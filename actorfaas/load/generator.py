"""A generator process: `python -m actorfaas.load.generator NUMBER`, started by `running`.

Reads from standard input the length of its plan in eight bytes, the plan (pickled by the process that started it), and
a line with the time at which to begin; anything more, and the end of the input, mean that it is to stop. Writes lines
of JSON: `ready`, `progress` now and then, at the end `result` or `error`.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import pickle
import resource
import signal
import sys
import time
from typing import Any

import uvloop

from actorfaas.load.engine import Engine
from actorfaas.load.plan import Plan
from actorfaas.load.tally import Tally

PROGRESS_S = 0.5


def main() -> None:
    """Run the plan's share of one process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this one says when to stop
    with open(0, "rb", buffering=0, closefd=False) as source:  # unbuffered: the loop is to see what comes later
        plan: Plan = pickle.loads(_exactly(source, int.from_bytes(_exactly(source, 8), "big")))
        number = int(sys.argv[1])
        _raise_descriptor_limit()
        _say(ready=number)
        line = source.readline()
    if not line:
        return
    gc.collect()
    gc.freeze()  # a collection would hold calls up: what is here by now is not looked through again
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_generate(plan, number, float(line)))


async def _generate(plan: Plan, number: int, begin_s: float) -> None:
    tally = Tally(plan.width_s, plan.late_s, begin_s, plan.is_open)
    engine = Engine(plan, number, tally)
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), lambda: _stop(engine, loop))
    reporting = loop.create_task(_report(tally, engine), name="load: progress")
    began_cpu_s = time.process_time()
    try:
        await engine.run(begin_s)
    except OSError as error:
        _say(error=f"{plan.endpoint.host}:{plan.endpoint.port}: {error.strerror or error}")
        return
    finally:
        reporting.cancel()
    took_s = time.monotonic() - begin_s
    _say(
        result={
            "tally": tally.to_json(),
            "most_at_once": engine.most_at_once,
            "processor": (time.process_time() - began_cpu_s) / took_s if took_s > 0 else 0.0,
            "was_stopped": engine.was_stopped,
        }
    )


def _stop(engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
    loop.remove_reader(sys.stdin.fileno())
    engine.stop()


async def _report(tally: Tally, engine: Engine) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        interval = tally.course[-1].latency if tally.course else None
        _say(
            progress={
                "sent": tally.sent + engine.outstanding,
                "ok": tally.ok,
                "failed": tally.failed,
                "dropped": tally.dropped_count,
                "late": tally.late,
                "outstanding": engine.outstanding,
                "recent_max_ms": interval.max_s * 1000 if interval else 0.0,
            }
        )


def _exactly(source: io.RawIOBase, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = source.read(size - len(data))
        if not piece:
            raise EOFError("the input ended within the plan")
        data += piece
    return data


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _say(**document: Any) -> None:  # what a message holds is its receiver's matter
    try:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever started this one is gone, and nobody is left to tell
        os._exit(1)


if __name__ == "__main__":
    main()
