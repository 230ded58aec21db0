"""Two hundred different functions with numpy under a budget of 1 GiB, called as people do: a few often, most seldom.

`python -m bench.many_functions [--quick] [--minutes 10] [--rate 20] [--json FILE]` needs root, control groups and 4 GiB
of disk. Calls come at random (Poisson), each for a function by Zipf's law, and do not wait for each other's answers;
latencies count from when a call was to be sent. They begin when every function has its first instance, and no page-out
is under way. The budget is the platform's, not the kernel's: nothing but the policy keeps memory below it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from actorfaas.load import arrivals
from actorfaas.load.http_requests import invocation_url
from actorfaas.load.plan import Endpoint, Plan, Target
from bench import load
from bench.load import Answer
from bench.measure import Summary
from bench.node import Node, running
from bench.paging import kind_of, read_back_bytes, tree_of, workers, written_bytes
from bench.report import Report, options

FUNCTIONS = 200
"""As in `bench/many/app.py`."""

SKEW = 1.1
BUDGET_MB = 1024
SAMPLE_S = 0.1
LONG_S = 5.0
"""An excursion above the budget longer than this is one for long."""

SETTLE_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 60.0


@dataclass
class Memory:
    """The functions' memory over time."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    def longest_s(self, limit_bytes: int) -> float:
        """The longest time without a sample below the limit."""
        longest = 0.0
        since = None
        for at, usage_bytes in self.samples:
            since = None if usage_bytes <= limit_bytes else at if since is None else since
            longest = max(longest, at - since if since is not None else 0.0)
        return longest


def plan(url: str, rate: float, duration_s: float, seed: int) -> Plan:
    """When which function is called."""
    names = [f"many_{number:03}" for number in range(FUNCTIONS)]
    random.Random(seed).shuffle(names)
    targets = []
    for place, name in enumerate(names, 1):
        targets.append(Target(name, (load.post(invocation_url(url, name), b"null"),), 1.0 / place**SKEW))
    phases = arrivals.parse(f"poisson {rate:g}/s {duration_s:g}s")
    return Plan(Endpoint.of(url), tuple(targets), phases, seed=seed, timeout_s=ANSWER_TIMEOUT_S)


def wait_until_settled(node: Node) -> None:
    """Until every function has an instance and nothing moves. Raises RuntimeError if that takes too long."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        found = workers(node)
        at_rest = all(worker["state"] in ("resident", "swapped") for worker in found)
        if at_rest and len({worker["function"] for worker in found}) == FUNCTIONS:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not settled after {SETTLE_TIMEOUT_S:g} s: {Counter(one['state'] for one in found)}")
        time.sleep(0.5)


def tabulate(answers: list[Answer], report: Report) -> None:
    """Latencies by how the instance was had."""
    by_kind: dict[str, list[float]] = {}
    for answer in answers:
        if not answer.error:
            by_kind.setdefault(kind_of(answer.timing), []).append(answer.latency_s * 1000)
    by_kind["all"] = [latency for latencies in by_kind.values() for latency in latencies]
    for kind, latencies in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        summary = Summary.of(latencies)
        report.rows.append(
            {
                "started": kind,
                "calls": summary.count,
                "share %": 100 * summary.count / len(by_kind["all"]),
                "p50 ms": summary.p50,
                "p90 ms": summary.p90,
                "p99 ms": summary.p99,
                "most ms": summary.maximum,
            }
        )


def judge(memory: Memory, report: Report) -> None:
    """Memory against the budget."""
    limit_bytes = BUDGET_MB << 20
    used = [usage_bytes / (1 << 20) for _, usage_bytes in memory.samples]
    summary = Summary.of(used)
    above = sum(mib > BUDGET_MB for mib in used) / len(used)
    report.rows.append(
        {
            "memory of all functions": f"budget {BUDGET_MB} MiB",
            "p50 MiB": summary.p50,
            "p99 MiB": summary.p99,
            "most MiB": summary.maximum,
            "% of the time above": 100 * above,
            "longest above s": memory.longest_s(limit_bytes),
        }
    )
    report.budget("longest time above the memory budget", LONG_S, memory.longest_s(limit_bytes), "s")


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, minutes=10.0, rate=20.0)
    report = Report("many_functions", chosen.seed)
    duration_s = 30.0 if chosen.quick else chosen.minutes * 60
    memory = Memory()
    with running(memory_budget_mb=BUDGET_MB, swap_mb=4096, max_workers=1024) as node:
        node.deploy("bench/many")
        wait_until_settled(node)
        top = tree_of(node).top()
        at_rest_mib = top.usage_bytes() / (1 << 20)
        read_bytes, out_bytes = read_back_bytes(), written_bytes()
        made = plan(node.url, chosen.rate, duration_s, chosen.seed)
        noted = load.watched(made, SAMPLE_S, lambda: memory.samples.append((time.monotonic(), top.usage_bytes())))
        read_bytes, out_bytes = read_back_bytes() - read_bytes, written_bytes() - out_bytes
        states = Counter(worker["state"] for worker in workers(node))
    tabulate(noted.answers, report)
    judge(memory, report)
    failures = Counter(answer.error for answer in noted.answers if answer.error)
    report.budget("calls lost or failed", 0, float(failures.total() + noted.dropped_count), "")
    report.notes += [
        f"{len(noted.answers):,} calls of {FUNCTIONS} functions, {chosen.rate:g}/s; "
        f"at most {noted.most_at_once} under way",
        f"memory before the first call {at_rest_mib:.0f} MiB; at the end {dict(states)}; failures: {dict(failures)}",
        f"swap: {out_bytes / 1e6:,.0f} MB written, {read_bytes / 1e6:,.0f} MB read",
    ]
    report.finish(chosen)


if __name__ == "__main__":
    main()
