"""Functions as a trace describes them: each has state of its own, works through some of it, and takes its time.

`functions.json`, beside this file, lists them: a name, how much state an instance makes at its first call (MiB), and
how long a call takes (ms).
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from actorfaas import function

PAGE_BYTES = 4096
TOUCHED = 4
"""A call writes to one in so many pages of the state."""


def traced(state_mib: float, duration_ms: float) -> Callable[[object], int]:
    """A handler with a state of its own."""
    state = bytearray()

    def handler(event: object) -> int:
        began_s = time.perf_counter()
        if not state:
            state.extend(b"\x01" * int(state_mib * (1 << 20)))
        touched = range(0, len(state) // TOUCHED, PAGE_BYTES)
        for at in touched:
            state[at] = (state[at] + 1) & 0xFF
        time.sleep(max(0.0, duration_ms / 1000 - (time.perf_counter() - began_s)))
        return len(touched)

    return handler


for name, state_mib, duration_ms in json.loads((Path(__file__).parent / "functions.json").read_text()):
    globals()[name] = function(name=name, concurrency=4, warm=0)(traced(state_mib, duration_ms))
