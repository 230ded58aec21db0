"""A function called in a process of its own, which is killed when it takes too long.

For work whose length nobody can foretell: the expressions that people try, the flow of many traces. Only the end of a
process stops a loop in Python, and a thread would take turns with the event loop beside it. The process is made for the
call. It limits itself as well, in case that whoever asked is gone: its processor time, and its memory.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import sys
from collections.abc import Callable
from math import ceil
from typing import ParamSpec, TypeVar

from actorfaas.errors import ActorFaasError

P = ParamSpec("P")
T = TypeVar("T")

MAX_MEMORY_BYTES = 1024 * 1024 * 1024
"""Address space of such a process (setrlimit(2), RLIMIT_AS)."""


class WorkFailed(ActorFaasError):
    """The process ended without an answer; its traceback is in the log."""


async def apart(limit_s: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work`, a function of a module, returns. Raises the ActorFaasError that it raises, TimeoutError after
    `limit_s`, MemoryError beyond `MAX_MEMORY_BYTES`, and WorkFailed."""
    question = await asyncio.to_thread(pickle.dumps, (work, args, kwargs))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "actorfaas.runtime.apart", str(ceil(limit_s) + 1)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(limit_s):
            answer, _ = await process.communicate(question)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise WorkFailed(f"{work.__name__} ended with status {process.returncode}")
    result, error = pickle.loads(answer)
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]  # it is what `work` returned


def main() -> None:
    """The process: one question on standard input, one answer on standard output."""
    processor_s = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    result, error = None, None
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # what is printed belongs to the log
        try:
            work, args, kwargs = pickle.load(sys.stdin.buffer)
            result = work(*args, **kwargs)
        except (ActorFaasError, MemoryError) as caught:
            error = caught
        answer.write(pickle.dumps((result, error)))


if __name__ == "__main__":
    main()
