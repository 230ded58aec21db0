"""Functions declared so that their workers are let go soon after a call; and each of them behind a pause.

`bench.strategies` puts this file beside the modules of `workflows/functionbench`, whose own `app` it calls `gathered`.
Wherever there is paging, workers are out of memory `LINGER_S` after a call; where there is none, it is long.
"""

import time
from importlib import import_module
from pathlib import Path

from actorfaas import function, workflow

LINGER_S = float((Path(__file__).parent / "linger_s").read_text())
PAUSE_S = 0.1
"""Longer than any prefetch."""


@function(concurrency=4)
def pause(event: object) -> object:
    """Sleep while the next worker is brought in."""
    time.sleep(PAUSE_S)
    return event


gathered = import_module("gathered")
for name in gathered.__all__:
    each = getattr(gathered, name)
    each.warm = 0
    each.idle_timeout_s = LINGER_S
    globals()[name] = each
    globals()[f"ahead_{name}"] = workflow(f"ahead_{name}", pause >> each, durability="express")
