"""Instances that can be told apart: each keeps a token from its first call, and state of its own made from it.

The file `kind` beside this one says which state. A call tells the benchmark its answer over a socket and then waits to
be let go, so that every call meets another instance.
"""

import json
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actorfaas import function

KIND = (Path(__file__).parent / "kind").read_text()
PATIENCE_S = 900
MODEL_BYTES = 100 << 20
PAGE = 4096
SAMPLES = 256

mine: dict[str, Any] = {}
"""The token and the state of this instance."""


def plain_state(token: int) -> Callable[[int], int]:
    """Next to nothing."""
    entries = {number: token + number for number in range(100)}
    return lambda seed: sum(entries.values())


def pandas_state(token: int) -> Callable[[int], int]:
    """A table of ten thousand rows, grouped at each call."""
    table = pandas.DataFrame({"key": [number % 7 for number in range(10_000)], "value": token})
    return lambda seed: int(table.groupby("key")["value"].sum().sum())


def model_state(token: int) -> Callable[[int], int]:
    """A hundred megabytes, of which each call reads some pages anywhere."""
    weights = bytearray(MODEL_BYTES)
    page = token.to_bytes(4, "big") + os.urandom(PAGE - 4)
    for at in range(0, MODEL_BYTES, PAGE):
        weights[at : at + PAGE] = page

    def infer(seed: int) -> int:
        pages = random.Random(seed).sample(range(MODEL_BYTES // PAGE), SAMPLES)
        return sum(int.from_bytes(weights[page * PAGE : page * PAGE + 4], "big") for page in pages)

    return infer


if KIND == "pandas":
    import pandas

STATES = {"plain": plain_state, "pandas": pandas_state, "model": model_state}
WORTH = {"plain": (100, 4950), "pandas": (10_000, 0), "model": (SAMPLES, 0)}
"""What the right answer is: so many times the token, and so much."""


@function(warm=0, concurrency=10_000, queue_limit=10_000, timeout_s=PATIENCE_S, idle_timeout_s=PATIENCE_S)
def instance(event: dict[str, Any]) -> None:
    """Answer over the socket `meet` with this instance's token and whether its state is right; wait to be let go."""
    if not mine:
        mine.update(token=event["token"], state=STATES[KIND](event["token"]))
    times, more = WORTH[KIND]
    answer = {"pid": os.getpid(), "token": mine["token"]}
    answer["right"] = mine["state"](event["token"]) == times * mine["token"] + more
    with socket.socket(socket.AF_UNIX) as meeting:
        meeting.connect(event["meet"])
        meeting.sendall(json.dumps(answer).encode() + b"\n")
        meeting.recv(1)
