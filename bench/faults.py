"""`kill -9` while calls run: each actor, a template and a worker in turn. What callers see, when the node serves again.

`python -m bench.faults [--quick] [--calls 2000] [--json FILE]`: for every victim, 8 callers make `--calls` calls to a
function that echoes; the victim is killed once a quarter of them is done. `serving again s` is the time from the kill
to the end of the first successful call that began after it, `whole again s` that until every actor answers and the
function has a template and a worker. Calls are not repeated: every failure is counted.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from bench.node import Node, running
from bench.report import Report, Row, options

ACTORS = ("data_layer", "swapper", "local_queue", "fw_supervisor", "execution_manager", "frontend")
VICTIMS = (*ACTORS, "template", "worker")
CALLERS = 8
CALL_LIMIT_S = 5.0
"""The time limit of `echo`; no caller may wait much longer, whatever happens to the node."""
SERVING_AGAIN_S = 5.0
PATIENCE_S = 30.0
POLL_S = 0.01
RETRYABLE = frozenset({502, 503, 504})
LOST = "connection lost"
WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call: "200", "502", "503" or "504", `LOST`, or `WRONG` with what was wrong in `detail`."""

    kind: str
    detail: str
    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """What happened around one kill."""

    victim: str
    outcomes: list[Outcome]
    serving_again_s: float
    whole_again_s: float


class Callers:
    """Threads that call `echo`, each call after the one before, until `stop`; every call's outcome is kept."""

    def __init__(self, url: str, count: int = CALLERS) -> None:
        self.outcomes: list[Outcome] = []
        self._url = url
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"caller {n}") for n in range(count)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the calls under way end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, condition: Callable[[list[Outcome]], bool], what: str) -> None:
        """Until `condition` holds for the outcomes so far. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self.outcomes), PATIENCE_S):
                raise TimeoutError(f"{what}: not within {PATIENCE_S:g} s")

    def served_after(self, instant_s: float) -> float:
        """When the first successful call that began after `instant_s` ended; 0.0 while there is none."""
        return min((one.ended_s for one in self.begun_after(instant_s) if one.kind == "200"), default=0.0)

    def begun_after(self, instant_s: float) -> list[Outcome]:
        """The calls that began after `instant_s` and have ended."""
        return [one for one in self.outcomes if one.began_s >= instant_s]

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=CALL_LIMIT_S * 4, trust_env=False) as http:
            while not self._stopping.is_set():
                outcome = one_call(http, next(self._numbers))
                with self._changed:
                    self.outcomes.append(outcome)
                    self._changed.notify_all()


def one_call(http: httpx.Client, number: int) -> Outcome:
    """Call `echo` with a number."""
    began_s = time.monotonic()
    try:
        answer = http.post("/v1/invoke/echo", json=number)
    except httpx.TimeoutException as error:
        return Outcome(WRONG, f"no answer: {error!r}", began_s, time.monotonic())
    except httpx.TransportError as error:
        return Outcome(LOST, repr(error), began_s, time.monotonic())
    kind, detail = _judged(answer, number)
    return Outcome(kind, detail, began_s, time.monotonic())


def _judged(answer: httpx.Response, number: int) -> tuple[str, str]:
    if answer.status_code == 200:
        return ("200", "") if answer.json() == number else (WRONG, f"{answer.text[:80]} instead of {number}")
    problem = answer.headers.get("content-type") == "application/problem+json"
    if answer.status_code in RETRYABLE and problem and answer.json()["retryable"]:
        return str(answer.status_code), str(answer.json()["detail"])
    return WRONG, f"{answer.status_code} {answer.text[:200]}"


def pid_of(node: Node, victim: str) -> int:
    """The process to kill, now. Raises StopIteration when there is none."""
    if victim == "worker":
        workers = [one for one in node.get("/v1/workers")["workers"] if one["function"] == "echo"]
        return int(next(one["pid"] for one in workers if one["activity"] == "busy"))
    described = node.get("/v1/node")
    if victim == "template":
        return int(next(one["pid"] for one in described["mechanisms"]["templates"] if one["topic"] == "echo@1"))
    return int(next(one["pid"] for one in described["actors"] if one["actor"] == victim))


def _kill(node: Node, victim: str) -> float:
    """Kill it; the instant of that."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            pid = pid_of(node, victim)
            killed_s = time.monotonic()
            os.kill(_one_process(pid), signal.SIGKILL)
        except (StopIteration, ProcessLookupError):  # no worker is busy at this moment
            if time.monotonic() > deadline_s:
                raise
        else:
            return killed_s


def wait_until_whole(node: Node) -> None:
    """Until every actor answers, and `echo` has a template and a worker. Raises TimeoutError."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not _is_whole(node):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the node was not whole again in {PATIENCE_S:g} s")
        time.sleep(POLL_S)


def _is_whole(node: Node) -> bool:
    try:
        described = node.get("/v1/node")
        workers = node.get("/v1/workers")["workers"]
    except httpx.HTTPError:
        return False
    templates = described["mechanisms"]["templates"]
    return all(one.get("pid") for one in (*described["actors"], *templates)) and bool(templates) and bool(workers)


def _one_process(pid: int) -> int:
    """kill(2) takes 0 and negative numbers for groups."""
    if pid <= 1:
        raise ProcessLookupError(pid)
    return pid


def run_with(node: Node, victim: str, calls: int) -> Run:
    """`calls` calls or more, with `victim` killed in between."""
    wait_until_whole(node)
    with Callers(node.url) as callers:
        callers.wait_for(lambda done: len(done) >= calls // 4, "the first quarter of the calls")
        killed_s = _kill(node, victim)
        wait_until_whole(node)
        whole_s = time.monotonic()
        callers.wait_for(lambda _: callers.served_after(killed_s) > 0, f"a call served after the kill of {victim}")
        callers.wait_for(lambda done: len(done) >= calls, "the rest of the calls")
    return Run(victim, callers.outcomes, callers.served_after(killed_s) - killed_s, whole_s - killed_s)


def row(run: Run) -> Row:
    """One line of the table."""
    outcomes = run.outcomes
    counts = Counter(one.kind for one in outcomes)
    return {
        "killed": run.victim,
        "calls": len(outcomes),
        "ok": counts["200"],
        "502": counts["502"],
        "503": counts["503"],
        "504": counts["504"],
        LOST: counts[LOST],
        WRONG: counts[WRONG],
        "slowest s": max(one.ended_s - one.began_s for one in outcomes),
        "serving again s": run.serving_again_s,
        "whole again s": run.whole_again_s,
    }


def judge(report: Report) -> None:
    """The budgets: nothing but answers that can be retried, nobody waits beyond the limit, soon serving again."""
    rows = report.rows
    report.budget("wrong answers", 0, float(sum(one[WRONG] for one in rows)), "calls")
    lost = sum(one[LOST] for one in rows if one["killed"] != "frontend")
    report.budget("connections lost, except with the frontend", 0, float(lost), "calls")
    report.budget("slowest call", CALL_LIMIT_S + 1.0, max(one["slowest s"] for one in rows), "s")
    for one in rows:
        report.budget(f"serving again after {one['killed']}", SERVING_AGAIN_S, one["serving again s"], "s")


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, calls=2000)
    report = Report("faults", chosen.seed)
    calls = 400 if chosen.quick else chosen.calls
    with running() as node:
        node.deploy("bench/echo")
        for victim in VICTIMS:
            run = run_with(node, victim, calls)
            report.rows.append(row(run))
            details = Counter(f"{one.kind}: {one.detail}" for one in run.outcomes if one.kind != "200")
            report.notes += [f"{victim}: {count} × {text}" for text, count in details.most_common(4)]
    judge(report)
    report.finish(chosen)


if __name__ == "__main__":
    main()
