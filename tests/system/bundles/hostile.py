"""Handlers that misbehave, one way each."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from actorfaas import function

Json = Any  # a decoded JSON document


@function
def raises(event: Json) -> None:
    """Raise with what the caller sent."""
    raise LookupError(f"no order {event['order']}")


@function
def exits(event: int) -> None:
    """Leave as a script would."""
    sys.exit(event)


@function
def exits_at_once(event: int) -> None:
    """Leave without unwinding."""
    os._exit(event)


@function
def is_shot(event: str) -> None:
    """Die of a signal."""
    os.kill(os.getpid(), signal.Signals[event])


@function
def forks(event: str) -> dict[str, int]:
    """Come back twice: as the parent, and as a child that returns from the handler or raises in it."""
    child = os.fork()
    if child == 0 and event == "raise":
        raise RuntimeError("the child")
    if child:
        os.waitpid(child, 0)
    return {"pid": os.getpid(), "child": child}


@function
def closes_descriptors(event: Json) -> str:
    """Close everything but the standard streams, the platform's connection included."""
    os.closerange(3, 1024)
    return "closed"


@function
def closes_output(event: Json) -> str:
    """Close the standard streams, then print."""
    os.closerange(0, 3)
    print("nobody reads this")
    return "closed"


@function
def prints(event: int) -> int:
    """Print that many megabytes in lines."""
    line = "x" * 999
    for _ in range(event * 1000):
        print(line)
    print("the last line")
    return event


@function
def writes_raw(event: int) -> int:
    """Write that many megabytes to the descriptor, as C code would, without one line end."""
    for _ in range(event):
        os.write(1, b"y" * 1_000_000)
    return event


@function
def returns_object(event: Json) -> Json:
    """Return what is not JSON."""
    return {"answer": [1, {2, 3}]}


@function(timeout_s=1)
def loops(event: Json) -> None:
    """Never end."""
    while True:
        pass


@function(timeout_s=1)
def ignores_signals(event: Json) -> None:
    """Never end, and swallow whatever can be swallowed."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001  # what hostile code does
            pass


@function(memory_mb=64)
def allocates(event: Json) -> None:
    """Take memory without end."""
    taken = []
    while True:
        taken.append(bytearray(1_000_000))
