"""Chains of two states: one that takes a while, asleep or busy, and one whose worker is out of memory by then."""

import time
from collections.abc import Callable
from pathlib import Path

from actorfaas import function, workflow

LASTS_MS = (0, 5, 20, 100)
ENTRIES = 40_000
LINGER_S = float((Path(__file__).parent / "linger_s").read_text())
"""How long the second state's worker stays after a call."""

index: dict[str, int] = {}


def fill() -> None:
    """Some megabytes of objects."""
    index.update((f"entry {number}", number) for number in range(ENTRIES))


def sleeping(lasts_ms: int) -> Callable[[object], None]:
    """A handler that sleeps."""

    def sleeper(event: object) -> None:
        time.sleep(lasts_ms / 1000)

    return sleeper


def busy(lasts_ms: int) -> Callable[[object], None]:
    """A handler that keeps a processor busy."""

    def worker(event: object) -> None:
        until = time.perf_counter() + lasts_ms / 1000
        while time.perf_counter() < until:
            pass

    return worker


@function(warm=0, idle_timeout_s=LINGER_S, init=fill)
def follow(event: object) -> int:
    """Touch every entry, and with it a page that belongs to this worker alone."""
    return sum(index.values())


for each_ms in LASTS_MS:
    for make in (sleeping, busy):
        before = function(name=f"{make.__name__}_{each_ms}")(make(each_ms))
        globals()[before.name] = before
        globals()[f"after_{before.name}"] = workflow(f"after_{before.name}", before >> follow, durability="express")
