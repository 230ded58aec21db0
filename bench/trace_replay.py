"""A day of a hundred functions in ten minutes, under a budget of 1 GiB: fork, keep-alive, swap and auto in turn.

`python -m bench.trace_replay [--trace FOLDER] [--minutes 10] [--quick] [--json FILE]` needs root, control groups and
4 GiB of disk; less than ten minutes are the begin of the day, at the same speed. FOLDER holds `100_inv.csv`,
`100_run.csv` and `100_mem.csv` as published with the In-Vitro load generator: samples of the Azure Functions 2019 data
set (CC-BY 4.0; Shahrad et al., USENIX ATC 2020). Without it, a made-up day of the same kind is used: a few functions
that are called all the time, and a long tail.

Scaled: time; memory, so that one instance of each function together takes twice the budget; durations, to a median of
5 ms and 200 ms at most; and functions that would be called more than once in two seconds are thinned to that. What is
rare is not thinned. An instance makes its state at its first call and works through a quarter of it in each.

`fork` forks a template for each call; `keep-alive` keeps as many instances as the budget has room for and replaces the
ones that were not used for longest; `swap` pages out after each call; `auto` decides. Memory is that of all functions,
templates included. "Rare" are functions with at most 24 calls in the day.
"""

from __future__ import annotations

import csv
import json
import random
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from actorfaas.load.histogram import Histogram
from actorfaas.load.http_requests import invocation_url, render
from actorfaas.load.plan import Endpoint, Plan, Target
from actorfaas.load.running import Progress, run
from actorfaas.load.tally import Outcome
from actorfaas.load.traces import Replay, Row, capped, read
from bench.measure import Summary
from bench.node import Node, running
from bench.paging import bundle, read_back_bytes, tree_of, written_bytes
from bench.report import Report, options

BUDGET_MB = 1024
OVERCOMMIT = 2.0
"""How often the budget all states together would fill."""
MEDIAN_MS, LONGEST_MS = 5.0, 200.0
DAY_MINUTES = 1440
RARE_CALLS = 24
MOST_PER_S = 0.5
DAY_S = 600.0
"""How long the day takes."""
WORKER_MIB = 6.0
"""What an instance without state has of its own, about: for how many are kept alive."""


@dataclass(frozen=True, slots=True)
class Traced:
    """One function of the trace: its calls, state and duration, scaled."""

    row: Row
    state_mib: float
    duration_ms: float
    is_rare: bool


@dataclass(frozen=True, slots=True)
class Way:
    """One of those compared: settings of its node, and the strategy of its calls ("" for the function's own)."""

    name: str
    strategy: str
    node: dict[str, str | float]


def scaled(rows: Sequence[Row], memory: Sequence[float], durations: Sequence[float]) -> list[Traced]:
    """Functions as they are to be played, the same in number and order."""
    by_memory = OVERCOMMIT * BUDGET_MB / sum(memory)
    by_duration = MEDIAN_MS / statistics.median(durations)
    return [
        Traced(thin, mib * by_memory, min(max(ms * by_duration, 1.0), LONGEST_MS), sum(row.counts) <= RARE_CALLS)
        for row, thin, mib, ms in zip(rows, capped(rows, int(MOST_PER_S * DAY_S)), memory, durations, strict=True)
    ]


def published(folder: Path) -> tuple[list[Row], list[float], list[float]]:
    """Rows, memory and durations of a sampled trace."""
    with (folder / "100_inv.csv").open(encoding="utf-8", newline="") as lines:
        rows = read(lines)
    memory = column(folder / "100_mem.csv", "AverageAllocatedMb_pct50")
    return rows, memory, column(folder / "100_run.csv", "percentile_Average_50")


def column(file: Path, name: str) -> list[float]:
    """One column of a table, in the order of its rows; values below 1 count as 1."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [max(1.0, float(row[name])) for row in csv.DictReader(lines)]


def made_up(seed: int, count: int = 100) -> tuple[list[Row], list[float], list[float]]:
    """A day of the same kind: by Zipf's law from a call every second down to a few in the day."""
    chance = random.Random(seed)
    rows = []
    for place in range(1, count + 1):
        rate = 60 / place**2  # a minute
        counts = [int(rate) + (chance.random() < rate % 1) for _ in range(DAY_MINUTES)]
        rows.append(Row(f"made_up_{place:03}", tuple(counts)))
    chance.shuffle(rows)
    return rows, [chance.lognormvariate(5, 0.7) for _ in rows], [chance.lognormvariate(6, 1.5) for _ in rows]


def ways(functions: Sequence[Traced]) -> list[Way]:
    """What is compared."""
    mean_mib = statistics.mean(one.state_mib for one in functions) + WORKER_MIB
    kept = int(BUDGET_MB / mean_mib)
    paged: dict[str, str | float] = {"memory_budget_mb": BUDGET_MB, "swap_mb": 4096, "max_workers": 512}
    return [
        Way("fork", "fork", {"paging": "off", "max_workers": 512}),
        Way(f"keep-alive, {kept} instances", "", {"paging": "off", "max_workers": kept}),
        Way("swap", "swap", paged),
        Way("auto", "", paged),
    ]


def name_of(number: int) -> str:
    """What a row's function is called."""
    return f"traced_{number:03}"


def plan(node: Node, functions: Sequence[Traced], way: Way, duration_s: float, seed: int) -> Plan:
    """All calls of the day that fit into the time."""
    minutes = round(duration_s / DAY_S * DAY_MINUTES)
    headers = {"Actorfaas-Strategy": way.strategy} if way.strategy else {}
    targets = []
    for number in range(len(functions)):
        request = render("POST", invocation_url(node.url, name_of(number)), b"null", headers)
        targets.append(Target(name_of(number), (request,)))
    rows = tuple(Row(one.row.key, one.row.counts[:minutes]) for one in functions)
    replay = Replay(rows, DAY_S / DAY_MINUTES)
    return Plan(Endpoint.of(node.url), tuple(targets), replay, seed=seed, timeout_s=60.0)


@contextmanager
def deployed(functions: Sequence[Traced], way: Way) -> Iterator[Node]:
    """A node with all functions."""
    listed = [[name_of(number), one.state_mib, one.duration_ms] for number, one in enumerate(functions)]
    with running(**way.node) as node, bundle("bench/traced", {"functions.json": json.dumps(listed)}) as folder:
        node.deploy(str(folder))
        yield node


def measure(functions: Sequence[Traced], way: Way, duration_s: float, report: Report) -> Outcome:
    """The whole day, one way."""
    used_mib: list[float] = []
    with deployed(functions, way) as node:
        top = tree_of(node).top()

        def look(progress: Progress) -> None:
            used_mib.append(top.usage_bytes() / (1 << 20))

        before = written_bytes(), read_back_bytes()
        outcome = run(plan(node, functions, way, duration_s, report.seed), look)
        moved = written_bytes() - before[0], read_back_bytes() - before[1]
    if outcome.interrupted:
        raise KeyboardInterrupt  # for the other ways, too
    report.rows.append(latencies(way, functions, outcome))
    report.rows.append(costs(way, outcome, used_mib, moved))
    return outcome


def latencies(way: Way, functions: Sequence[Traced], outcome: Outcome) -> dict[str, object]:
    """What callers saw."""
    whole, rare = outcome.tally.latency, Histogram(2)
    for number, part in outcome.tally.parts.items():
        if functions[number].is_rare:
            rare.add(part.latency)
    kinds = sorted(outcome.tally.by_kind.items(), key=lambda item: -item[1].count)
    return {
        "way": way.name,
        "calls": outcome.tally.ok,
        **{f"p{percent:g} ms": whole.percentile_s(percent) * 1000 for percent in (50.0, 99.0, 99.9)},
        "rare p50 ms": rare.percentile_s(50) * 1000,
        "rare p99 ms": rare.percentile_s(99) * 1000,
        "started %": ", ".join(f"{kind} {100 * one.count / whole.count:.3g}" for kind, one in kinds),
    }


def costs(way: Way, outcome: Outcome, used_mib: Sequence[float], moved: tuple[int, int]) -> dict[str, object]:
    """What that took."""
    memory = Summary.of(used_mib)
    tally = outcome.tally
    return {
        "what it took": way.name,
        "memory p50 MiB": memory.p50,
        "p99 MiB": memory.p99,
        "most MiB": memory.maximum,
        "swap written MB": moved[0] / 1e6,
        "read MB": moved[1] / 1e6,
        "failed": tally.failed,
        "not sent": tally.dropped_count,
        "sent late": tally.late,
        "errors": ", ".join(f"{kind} {count}" for kind, count in tally.errors.most_common(3)),
    }


def judge(outcomes: dict[str, Outcome], report: Report) -> None:
    """Goals of `auto`."""
    auto, fork = outcomes["auto"].tally, outcomes["fork"].tally
    report.budget("calls that auto lost or refused", 0, float(auto.failed + auto.dropped_count), "calls")
    for percent in (50.0, 99.0):
        ratio = auto.latency.percentile_s(percent) / fork.latency.percentile_s(percent)
        report.budget(f"p{percent:g} of auto against fork", 1.0, ratio, "×")
    (used,) = (row for row in report.rows if row.get("what it took") == "auto")
    report.budget("memory of all functions with auto, p50", BUDGET_MB, used["memory p50 MiB"], "MiB")
    report.budget("memory of all functions with auto, p99", BUDGET_MB, used["p99 MiB"], "MiB")


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, minutes=10.0, trace="")
    report = Report("trace_replay", chosen.seed)
    duration_s = 5.0 if chosen.quick else chosen.minutes * 60
    rows, memory, durations = published(Path(chosen.trace)) if chosen.trace else made_up(chosen.seed)
    functions = scaled(rows, memory, durations)
    outcomes = {way.name: measure(functions, way, duration_s, report) for way in ways(functions)}
    judge(outcomes, report)
    source = "the published sample" if chosen.trace else "a made-up day"
    before, after = (sum(sum(row.counts) for row in some) for some in (rows, [one.row for one in functions]))
    states_mib = [one.state_mib for one in functions]
    report.notes += [
        f"{source}: {len(functions)} functions, {sum(one.is_rare for one in functions)} of them rare; {after:,} calls "
        f"in the day ({before:,} before thinning), of which the first {duration_s:g} of {DAY_S:g} s were played",
        f"states of {min(states_mib):.1f} to {max(states_mib):.1f} MiB",
    ]
    report.finish(chosen)


if __name__ == "__main__":
    main()
