"""All seven strategies beside each other: eleven functions, from "hello" to a pandas group-by.

`python -m bench.strategies [--quick] [--json FILE]` needs root, control groups and 2 GiB of disk. Two nodes run at
once: one with everything resident, and one whose idle workers are all out, while their templates are in memory. Every
round calls each function once by each strategy; before a call of `swap`, `reap`, `faasnap` or `auto` the function's
workers are really out. Working sets are recorded with one input and measured with another.

"after prefetch" is a function as a workflow's second state, after a pause of 100 ms in which look-ahead has its worker
brought in; its time is from the end of the pause to its own, and is held against the same workflow with everything
resident. Faults are those of the worker called, if it was there before the call; "read back" is what the whole machine
read. A cold start imports what all eleven need, because they are one application.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field

from bench.machine import ROOT
from bench.measure import Summary
from bench.node import Node, running
from bench.paging import LINGER_S, Call, bundle, call, faults, read_back_bytes, wait_until_out, workers
from bench.report import Report, options

INPUTS = ROOT / "workflows" / "functionbench" / "inputs"
FUNCTIONS = sorted(path.name.removesuffix("-a.json") for path in INPUTS.glob("*-a.json"))
SINGLE = ("cold", "fork", "swap", "reap", "faasnap")
STRATEGIES = ("resident", *SINGLE, "auto")
PAGED = ("swap", "reap", "faasnap", "auto")
AHEAD, AHEAD_RESIDENT = "after prefetch", "the same, resident"
LEARNING_CALLS = 4
ROUNDS = 20
SHORT_MS, MOST_ADDED_MS, MOST_RATIO = 4.0, 1.0, 1.25


@dataclass
class Series:
    """What was measured of one function by one strategy."""

    calls: list[Call] = field(default_factory=list)
    major_faults: list[int] = field(default_factory=list)
    minor_faults: list[int] = field(default_factory=list)
    read_back_bytes: list[int] = field(default_factory=list)
    page_in_ms: list[float] = field(default_factory=list)

    @property
    def p50_ms(self) -> float:
        """The median from request to result."""
        return Summary.of([one.total_ms for one in self.calls]).p50

    def kinds(self) -> str:
        """How instances were had, the most frequent first."""
        return ", ".join(f"{kind} {count}" for kind, count in Counter(one.kind for one in self.calls).most_common())


Measured = dict[tuple[str, str], Series]


def body(function: str, which: str) -> bytes:
    """One of a function's two inputs."""
    return (INPUTS / f"{function}-{which}.json").read_bytes()


def prepare(resident: Node, paged: Node) -> None:
    """Deploy, call everything often enough that prices are known, and record with the first input."""
    for node, is_paged in ((resident, False), (paged, True)):
        with bundle("workflows/functionbench", {"linger_s": LINGER_S[is_paged]}) as folder:
            (folder / "app.py").rename(folder / "gathered.py")
            shutil.copy(ROOT / "bench" / "idle" / "app.py", folder)
            node.deploy(str(folder))
    for function in FUNCTIONS:
        call(resident, function, body(function, "a"), "resident")
        call(resident, f"ahead_{function}", body(function, "a"))
        call(paged, function, body(function, "a"), "reap")
    for strategy in (*(["reap"] * LEARNING_CALLS), "fork", "auto"):
        for function in FUNCTIONS:
            wait_until_out(paged, function)
            call(paged, function, body(function, "a"), strategy)
    for function in FUNCTIONS:
        wait_until_out(paged, function)
        call(paged, f"ahead_{function}", body(function, "a"))


def measure(node: Node, function: str, strategy: str, into: Series) -> None:
    """One call with the second input."""
    before = wait_until_out(node, function) if strategy in PAGED else workers(node, function)
    faults_before = faults(worker["pid"] for worker in before)
    read_before = read_back_bytes()
    into.calls.append(call(node, function, body(function, "b"), strategy))
    into.read_back_bytes.append(read_back_bytes() - read_before)
    for pid, after in faults(faults_before).items():
        if after != faults_before[pid]:
            into.major_faults.append(after.major - faults_before[pid].major)
            into.minor_faults.append(after.minor - faults_before[pid].minor)
    if into.calls[-1].kind in ("prefetched", "concurrent"):
        taken = [w["last_page_in_ms"] for w in workers(node, function) if w["last_page_in_ms"] is not None]
        into.page_in_ms.append(into.calls[-1].parts.get("page-in") or max(taken, default=0.0))


def measure_ahead(node: Node, function: str, into: Series, *, is_paged: bool) -> None:
    """One run of pause, then the function: from the end of the one to the end of the other."""
    if is_paged:
        wait_until_out(node, function)
    response = node.invoke(f"ahead_{function}", json.loads(body(function, "b")))
    state = node.get(f"/v1/executions/{response.headers['Actorfaas-Execution']}")["states"][1]
    parts = {"queue": state["gap_ms"], "run": state["run_ms"]}
    into.calls.append(Call(state["gap_ms"] + state["run_ms"], parts, state["start_kind"]))


def measure_all(resident: Node, paged: Node, rounds: int, seed: int) -> Measured:
    """Every function by every strategy, once a round, in an order of the round's own: after a call by `swap` a worker's
    pages lie less well in swap, which should not always be the same strategy's loss."""
    measured: Measured = {(f, s): Series() for f in FUNCTIONS for s in (*STRATEGIES, AHEAD, AHEAD_RESIDENT)}
    turns = [*STRATEGIES, AHEAD]
    chance = random.Random(seed)
    for _ in range(rounds):
        for strategy in chance.sample(turns, len(turns)):
            for function in FUNCTIONS:
                if strategy == AHEAD:
                    measure_ahead(paged, function, measured[function, AHEAD], is_paged=True)
                    measure_ahead(resident, function, measured[function, AHEAD_RESIDENT], is_paged=False)
                else:
                    node = resident if strategy == "resident" else paged
                    measure(node, function, strategy, measured[function, strategy])
    return measured


def tabulate(measured: Measured, report: Report) -> None:
    """One line for every function and strategy."""
    for (function, strategy), series in measured.items():
        total = Summary.of([one.total_ms for one in series.calls])
        resident = measured[function, AHEAD_RESIDENT if strategy == AHEAD else "resident"]
        row = {
            "function": function,
            "strategy": strategy,
            "p50 ms": total.p50,
            "p90 ms": total.p90,
            "start p50 ms": Summary.of([one.start_ms for one in series.calls]).p50,
            "run p50 ms": Summary.of([one.parts.get("run", 0.0) for one in series.calls]).p50,
            "× resident": total.p50 / resident.p50_ms,
            "started": series.kinds(),
        }
        if strategy in STRATEGIES:
            report.rows.append({**row, **costs(series)})
        elif strategy == AHEAD:
            report.rows.append({**row, "resident p50 ms": resident.p50_ms, "added ms": total.p50 - resident.p50_ms})


def costs(series: Series) -> dict[str, float | int | str]:
    """What paging did during the calls."""
    return {
        "major faults p50": Summary.of(series.major_faults).p50 if series.major_faults else "",
        "minor faults p50": Summary.of(series.minor_faults).p50 if series.minor_faults else "",
        "read back p50 MB": Summary.of(series.read_back_bytes).p50 / 1e6,
        "page-in p50 ms": Summary.of(series.page_in_ms).p50 if series.page_in_ms else "",
    }


def judge(measured: Measured, report: Report) -> None:
    """The goals; of every one that is missed, by which functions and where their time went."""
    judge_prefetched(measured, report)
    against_fork, against_best = [], []
    demand_ms = batch_ms = 0.0
    for function in FUNCTIONS:
        p50_ms = {strategy: measured[function, strategy].p50_ms for strategy in STRATEGIES}
        name = min(("reap", "faasnap"), key=p50_ms.__getitem__)
        demand_ms += p50_ms["swap"] - p50_ms["resident"]
        batch_ms += p50_ms[name] - p50_ms["resident"]
        against_fork.append(p50_ms[name] / p50_ms["fork"])
        best = min(SINGLE, key=p50_ms.__getitem__)
        against_best.append(p50_ms["auto"] / p50_ms[best])
        if against_fork[-1] > 1.0:
            report.notes.append(f"{function}: {name} slower than fork: {split(measured, function, name, 'fork')}")
        if against_best[-1] > 1.1:
            report.notes.append(f"{function}: auto slower than {best}: {split(measured, function, 'auto', best)}")
    faster = demand_ms / batch_ms
    report.budget("swap-in without look-ahead against demand, added to resident", 3.7, faster, "×", at_most=False)
    report.budget("swap-in without look-ahead against fork, worst function", 1.0, max(against_fork), "×")
    report.budget("auto against the best single strategy, worst function", 1.1, max(against_best), "×")


def judge_prefetched(measured: Measured, report: Report) -> None:
    """After a prefetch against resident: a ratio, or for short calls what is added."""
    ratios, added = [0.0], [0.0]
    for function in FUNCTIONS:
        ahead_ms = measured[function, AHEAD].p50_ms
        resident_ms = measured[function, AHEAD_RESIDENT].p50_ms
        is_short = resident_ms < SHORT_MS
        (added if is_short else ratios).append(ahead_ms - resident_ms if is_short else ahead_ms / resident_ms)
        if ahead_ms > (resident_ms + MOST_ADDED_MS if is_short else resident_ms * MOST_RATIO):
            where = split(measured, function, AHEAD, AHEAD_RESIDENT)
            report.notes.append(f"{function}: slow after prefetch: {where}")
    report.budget("after prefetch against resident, calls from 4 ms, worst function", MOST_RATIO, max(ratios), "×")
    report.budget("after prefetch, added to calls under 4 ms, worst function", MOST_ADDED_MS, max(added), "ms")


def split(measured: Measured, function: str, one: str, other: str) -> str:
    """Where the time of two strategies went, in words."""
    return "; ".join(f"{strategy} {_parts(measured[function, strategy])}" for strategy in (one, other))


def _parts(series: Series) -> str:
    names = sorted({part for one in series.calls for part in one.parts})
    parts = {name: Summary.of([one.parts.get(name, 0.0) for one in series.calls]).p50 for name in names}
    shown = ", ".join(f"{name} {value:.2f}" for name, value in parts.items())
    return f"{series.p50_ms:.2f} ms ({shown}; {series.kinds()})"


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("strategies", chosen.seed)
    with running(paging="off") as resident, running(paging_policy="pressure", swap_mb=2048) as paged:
        prepare(resident, paged)
        measured = measure_all(resident, paged, 1 if chosen.quick else ROUNDS, chosen.seed)
    tabulate(measured, report)
    judge(measured, report)
    report.finish(chosen)


if __name__ == "__main__":
    main()
