"""What the crash test starts, so that each is accepted exactly once whatever happens, and what must come out.

The right result is that of the same workflow in this process (`Workflow.test`).
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from actorfaas.declarations import Workflow
from bench.mixed import app

Json = Any  # a decoded JSON document

WORKFLOWS: dict[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        *(app.chain, app.choosing, app.waiting, app.retrying, app.catching, app.branching),
        *(app.mapping, app.failing, app.large, app.composed, app.queries),
    )
}
TIMEOUT_S = 20.0
RETRY_S = 0.1
CONFLICT = 409
SYNC_SHARE = 0.1
AGAIN_SHARE = 0.1
"""How many are asked for once more after they were accepted: the same key must name the same execution."""


@dataclass
class Order:
    """One execution that is wanted. `ids`: by what it was answered with; one, if all is well."""

    number: int
    workflow: str
    input: Json
    is_sync: bool
    is_repeated: bool
    ids: set[str] = field(default_factory=set)
    tries: int = 0
    answer: httpx.Response | None = None

    @property
    def is_named(self) -> bool:
        """Whether it is started by a name, and not by a key."""
        return self.number % 2 == 1

    def expected(self) -> tuple[str, Json, str]:
        """Its status, output and error."""
        done = WORKFLOWS[self.workflow].test(self.input)
        return done.status, done.output, done.error


def orders(count: int, calls: Path, seed: int) -> list[Order]:
    """So many, of all workflows in turn, in random order."""
    chance = random.Random(seed)
    names = [name for name, _ in zip(_endless(list(WORKFLOWS)), range(count), strict=False)]
    chance.shuffle(names)
    return [
        Order(number, name, _input(number, calls), chance.random() < SYNC_SHARE, chance.random() < AGAIN_SHARE)
        for number, name in enumerate(names)
    ]


def _endless(names: list[str]) -> Any:  # an iterator of names
    while True:
        yield from names


def _input(number: int, calls: Path) -> Json:
    until = datetime.now(UTC) + timedelta(seconds=5 + number % 20)
    lines = [{"item": item, "value": number + item, "calls": str(calls)} for item in range(4)]
    return {
        "n": number,
        "calls": str(calls),
        "trail": [],
        "lines": lines,
        "until": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class Starter(threading.Thread):
    """Starts its orders one after the other, spread over a time, each until it is accepted."""

    def __init__(self, url: str, mine: list[Order], duration_s: float, key: str) -> None:
        super().__init__(name="starter", daemon=True)
        self._url = url
        self._mine = mine
        self._duration_s = duration_s
        self._key = key
        self.failure: BaseException | None = None
        self.is_stopping = False
        """No further request is sent; what was not accepted by then is missing in the end."""

    def run(self) -> None:
        began = time.monotonic()
        try:
            with httpx.Client(base_url=self._url, timeout=TIMEOUT_S, trust_env=False) as http:
                for position, order in enumerate(self._mine):
                    time.sleep(max(0.0, began + self._duration_s * position / len(self._mine) - time.monotonic()))
                    self._start(http, order)
                    if order.is_repeated:
                        self._start(http, order)
        except BaseException as error:  # told to who waits for this thread
            self.failure = error
            raise

    def _start(self, http: httpx.Client, order: Order) -> None:
        header = "Actorfaas-Execution-Name" if order.is_named else "Idempotency-Key"
        headers = {header: f"{self._key}-{order.number}"}
        if not order.is_sync:
            headers["Prefer"] = "respond-async"
        while not self.is_stopping:
            order.tries += 1
            try:
                answer = http.post(f"/v1/invoke/{order.workflow}", json=order.input, headers=headers)
            except httpx.TransportError:  # the node is away, or was killed in the middle
                time.sleep(RETRY_S)
                continue
            if named := answer.headers.get("actorfaas-execution"):
                order.ids.add(named)
            if answer.status_code in (502, 503, 504):
                time.sleep(RETRY_S)
                continue
            if answer.status_code == CONFLICT and order.is_named:  # it ended before this repeat of its start
                order.ids.add(answer.json()["execution_id"])
            else:
                order.answer = answer
            return
