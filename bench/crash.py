"""`kill -9` a hundred times while a thousand executions run: does each end, once, rightly, with a whole history?

`python -m bench.crash [--quick] [--executions 1000] [--kills 100] [--minutes 5] [--folder DIR] [--json FILE]`:
workflows of every kind (chains, Choice, Wait, Retry and Catch, Parallel, Map, JSONata, composed in Python, large
payloads) are started throughout, each with an `Idempotency-Key` or a name, until the node has accepted it. Its actors,
and in a quarter of the cases the whole node, are killed at random moments, often while what was killed before is still
coming back. In the end everything is compared with what the same workflows give without a node. Tasks are
at-least-once: every call is noted by the function itself, and calls beyond the first are counted.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from actorfaas.packing import pack
from actorfaas.states.model import StateMachine
from actorfaas.states.parsing import parse
from bench import crash_checks as checks
from bench.crash_node import Host, strike
from bench.crash_orders import Order, Starter, orders
from bench.machine import ROOT
from bench.report import Report, options

Json = Any  # a decoded JSON document

STARTERS = 4
LAST_END_S = 90.0
"""How long after the last kill and the last start everything may take to end."""
SHOWN = 20
VOLATILE = {"draw", "id"}
"""Members of outputs that chance decides; the replay compares them."""


@dataclass
class Verdict:
    """What was found. `wrong`: a sentence for each violation."""

    wrong: list[str] = field(default_factory=list)
    ended: int = 0
    tasks: int = 0
    calls: int = 0
    tries: int = 0

    @property
    def duplicates(self) -> int:
        """Calls beyond one for each attempt at a task."""
        return self.calls - self.tasks


class Crash:
    """One run: a node in a folder, what is started on it, what becomes of it."""

    def __init__(self, folder: Path, executions: int, kills: int, duration_s: float, *, seed: int) -> None:
        self.host = Host(folder / "data", settings={"execution_retention": 1_000_000})
        self.host.folder.mkdir(parents=True)
        self.calls = folder / "calls.log"
        self.calls.touch()
        self.orders = orders(executions, self.calls, seed)
        self.kills = kills
        self.duration_s = duration_s
        self.seed = seed
        self.whole_s = 0.0

    def run(self) -> Verdict:
        """Start everything, strike, wait for the ends, judge."""
        self.host.start()
        try:
            self.host.wait_until_ready()
            with self._client() as http:
                deploy(http)
            self._storm()
            return self._judged()
        finally:
            self.host.stop()

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.host.url, timeout=60, trust_env=False)

    def _storm(self) -> None:
        began, spread_s = time.monotonic(), self.duration_s * 0.9
        starters = [
            Starter(self.host.url, self.orders[n::STARTERS], spread_s, f"crash-{self.seed}") for n in range(STARTERS)
        ]
        over = threading.Timer(2 * self.duration_s, lambda: None)
        over.start()
        for starter in starters:
            starter.start()
        strike(self.host, self.kills, self.duration_s / self.kills / 2, self.seed, lambda: not over.is_alive())
        over.cancel()
        deadline = began + spread_s + LAST_END_S
        while any(starter.is_alive() for starter in starters):  # it may have given up after the last kill
            self.host.revive()
            time.sleep(0.1)
            if time.monotonic() > deadline:
                for starter in starters:
                    starter.is_stopping = True
        for starter in starters:
            if starter.failure is not None:
                raise starter.failure

    def _judged(self) -> Verdict:
        self.host.wait_until_ready()
        verdict = Verdict(tries=sum(order.tries for order in self.orders))
        began = time.monotonic()
        with self._client() as http:
            self._wait_for_ends(http)
            self.whole_s = time.monotonic() - began
            machines = {name: machine_of(http, name) for name in {order.workflow for order in self.orders}}
            called = checks.calls_in(self.calls)
            self._count(called, verdict)
            listed = Counter(all_executions(http))
            verdict.wrong += [f"{one} is listed {times} times" for one, times in listed.items() if times > 1]
            wanted = {one for order in self.orders for one in order.ids}
            verdict.wrong += [f"{one} was never asked for" for one in listed.keys() - wanted]
            for order in self.orders:
                found = list(self._wrong_of(http, order, machines[order.workflow], called, set(listed)))
                verdict.wrong += [f"{order.workflow} {order.number}, {sorted(order.ids)}: {what}" for what in found]
                verdict.ended += not any("has not ended" in what for what in found)
        return verdict

    def _count(self, called: Counter[checks.Call], verdict: Verdict) -> None:
        mine = {one for order in self.orders for one in order.ids}
        counts = [times for call, times in called.items() if call[0] in mine]
        verdict.tasks, verdict.calls = len(counts), sum(counts)

    def _wait_for_ends(self, http: httpx.Client) -> None:
        deadline = time.monotonic() + LAST_END_S
        while time.monotonic() < deadline:
            if not get(http, "/v1/executions", status="running", limit="1")["executions"]:
                return
            time.sleep(0.2)

    def _wrong_of(
        self,
        http: httpx.Client,
        order: Order,
        machine: StateMachine,
        called: Counter[checks.Call],
        listed: set[str],
    ) -> Iterator[str]:
        if len(order.ids) != 1:
            yield f"it was accepted as {len(order.ids)} executions"
            return
        (execution_id,) = order.ids
        if execution_id not in listed:
            yield "it is lost"
            return
        execution = get(http, f"/v1/executions/{execution_id}")
        if execution["status"] == "running":
            yield f"it has not ended: {[one['name'] for one in execution['states'] if one['status'] == 'running']}"
            return
        yield from wrong_result(order, execution)
        events = get(http, f"/v1/executions/{execution_id}/history?limit=10000")["events"]
        yield from checks.in_order(events)
        yield from checks.states_whole(events)
        yield from checks.gives_the_same(events, execution, machine, order.input)
        mine = {(call[1], call[3]) for call in called if call[0] == execution_id}
        yield from checks.were_called(events, mine)


def wrong_result(order: Order, execution: Json) -> Iterator[str]:
    """The result of the same workflow without a node, in the record and in the answer."""
    status, output, error = order.expected()
    found = execution["error"] or {"error_type": ""}
    if (execution["status"], found["error_type"]) != (status, error):
        yield f"{execution['status']} ({execution['error']}) instead of {status} ({error})"
    elif stable(execution["output"]) != stable(output):
        yield f"{str(execution['output'])[:200]} instead of {str(output)[:200]}"
    answer = order.answer
    if answer is not None and order.is_sync:
        if answer.is_success and answer.json() != execution["output"]:
            yield f"the caller got {answer.text[:200]} instead of {str(execution['output'])[:200]}"
        if answer.is_success != (status == "succeeded"):
            yield f"the caller got {answer.status_code} {answer.text[:200]}"
    elif answer is not None and answer.status_code != 202:
        yield f"the caller got {answer.status_code} {answer.text[:200]}"


def stable(output: Json) -> Json:
    """An output without what chance decides."""
    if isinstance(output, dict):
        return {key: stable(value) for key, value in output.items() if key not in VOLATILE}
    return [stable(one) for one in output] if isinstance(output, list) else output


def deploy(http: httpx.Client) -> None:
    """Deploy the mixed workflows."""
    bundle = pack(ROOT / "bench" / "mixed")
    http.put(f"/v1/deployments/{bundle.app}", params={"entry": bundle.entry}, content=bundle.archive).raise_for_status()


def get(http: httpx.Client, path: str, **params: str) -> Json:
    """The JSON of a GET; asked again while a part of the node is coming back."""
    for _ in range(100):
        answer = http.get(path, params=params)
        if answer.status_code != 503:
            break
        time.sleep(0.1)
    answer.raise_for_status()
    return answer.json()


def machine_of(http: httpx.Client, name: str) -> StateMachine:
    """A workflow's machine, as the node has it."""
    return parse(orjson.dumps(get(http, f"/v1/workflows/{name}")["definition"]))


def all_executions(http: httpx.Client) -> Iterator[str]:
    """The ids of the whole listing."""
    cursor = ""
    while True:
        page = get(http, "/v1/executions", limit="500", **({"cursor": cursor} if cursor else {}))
        yield from (one["execution_id"] for one in page["executions"])
        cursor = page["next_cursor"] or ""
        if not cursor:
            return


def fill(report: Report, crash: Crash, verdict: Verdict) -> None:
    """Rows, budgets and notes of a run."""
    for victim, times in sorted(crash.host.kills.items()):
        report.rows.append({"killed": victim, "times": times})
    report.rows.append(
        {
            "executions": len(crash.orders),
            "kills": sum(crash.host.kills.values()),
            "requests to start them": verdict.tries,
            "task attempts": verdict.tasks,
            "calls": verdict.calls,
            "duplicate calls": verdict.duplicates,
            "last end after the last kill s": crash.whole_s,
        }
    )
    report.budget("executions that ended", len(crash.orders), verdict.ended, "executions", at_most=False)
    report.budget("violations", 0, len(verdict.wrong), "sentences")
    report.budget("kills", crash.kills, sum(crash.host.kills.values()), "kills", at_most=False)
    report.notes += [f"the node gave up {crash.host.gave_up} times and was started again"]
    report.notes += verdict.wrong[:SHOWN]


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, executions=1000, kills=100, minutes=5.0, folder="")
    report = Report("crash", chosen.seed)
    counts = (100, 10, 25.0) if chosen.quick else (chosen.executions, chosen.kills, chosen.minutes * 60)
    with tempfile.TemporaryDirectory(prefix="actorfaas-crash-") as temporary:
        crash = Crash(Path(chosen.folder or temporary), *counts, seed=chosen.seed)
        verdict = crash.run()
    fill(report, crash, verdict)
    report.finish(chosen)


if __name__ == "__main__":
    main()
