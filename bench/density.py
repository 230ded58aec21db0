"""How many initialised instances live under one hard limit of memory, resident and with the idle ones in swap.

`python -m bench.density [--quick] [--json FILE]` needs root, control groups and 12 GB of disk. The limit, 512 MiB, is
the kernel's, on the control group of all functions: workers and templates. Instances are added one by one, until the
first failure or until there are enough for the goal; each makes state of its own at its first call and keeps a token.
When all are idle, each is called once more, in the order in which the node happens to have brought them out, after they
were let go at random. No two calls meet the same instance, as each waits until all have answered; in the run with swap,
the benchmark has the memory of those that wait brought out meanwhile, as their node would if they were idle.

Three kinds: one with next to no state, a pandas table, and 100 MB as a model has. "MB an idle one" is what its control
group is charged, on average, and made of what follows it: page tables, other memory of the kernel (a stack, and what it
keeps of each mapping), and pages that are still there. "MB in all" also has the template.
"""

from __future__ import annotations

import json
import random
import resource
import selectors
import socket
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from actorfaas.errors import ProcessGone
from actorfaas.swap import cgroup
from actorfaas.swap.cgroup import Tree
from actorfaas.swap.pager import Pager
from actorfaas.swap.target import Target
from bench.measure import Summary
from bench.node import Node, running
from bench.paging import bundle, tree_of, workers
from bench.report import Report, options

MIB = 1 << 20
MOST = {"plain": 2400, "pandas": 700, "model": 60}
"""More are not tried: by then the goal is met, or the limit is full of page tables."""

SWAP_MB = {"plain": 10 * 1024, "pandas": 12 * 1024, "model": 8 * 1024}
AIM = 11
"""So many times the resident instances are tried in swap."""

MEASURED = (
    "% out",
    "MB an idle one",
    "page tables MB",
    "kernel's other MB",
    "pages MB",
    "MB in all",
    "call again p50 ms",
    "lost or wrong",
)
AGAIN = 1_000_000
"""Tokens of the second calls, which no instance keeps."""

FULL = 0.95
SPARE_BYTES = 16 * MIB
"""Nobody is added once less than this is free below that share of the limit, with all that waits reclaimed."""

RECLAIMS = 3
"""So often an instance that waits is reclaimed: what is still being written the first time stays."""

AT_ONCE = 4
"""So many are let go together: all of them would fight for the memory there is."""

VISIT_TIMEOUT_S = 600.0
ANSWER_TIMEOUT_S = 60.0
OUT_TIMEOUT_S = 300.0


@dataclass
class Visit:
    """Calls under way, one for each instance, and what these answered."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    meetings: list[socket.socket] = field(default_factory=list)
    calls: list[HTTPConnection] = field(default_factory=list)
    failure: str = ""


class Meeting:
    """Where instances report. With paging, `tree` is of whose waiting ones the memory is brought out."""

    def __init__(self, node: Node, folder: Path, tree: Tree | None, limit_bytes: int) -> None:
        self._address = node.url.removeprefix("http://")
        self.path = folder / "meet"
        self._tree = tree
        self._pager = Pager(tree, node.process.pid)
        self._limit_bytes = limit_bytes
        strategy = "reap" if tree is not None else "resident"  # auto may prefer a new instance to an old one
        self._headers = {"Content-Type": "application/json", "Actorfaas-Strategy": strategy}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(16)

    def visit(self, count: int, first_token: int, *, adds: bool) -> Visit:
        """Call `count` instances one after the other, none twice. Ends early at the first failure, and if it `adds`
        instances when there is no room for more."""
        visit = Visit()
        deadline = time.monotonic() + VISIT_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            for token in range(first_token, first_token + count):
                event = {"meet": str(self.path), "token": token}
                call = HTTPConnection(self._address, timeout=ANSWER_TIMEOUT_S)
                call.connect()
                selector.register(call.sock, selectors.EVENT_READ)
                visit.calls.append(call)
                sent_s = time.perf_counter()
                call.request("POST", "/v1/invoke/instance", json.dumps(event), self._headers)
                visit.failure = self._await(visit, sent_s, selector)
                if time.monotonic() > deadline:
                    visit.failure = visit.failure or f"not done in {VISIT_TIMEOUT_S:g} s"
                if visit.failure or (adds and self.is_full(visit)):
                    break
        return visit

    def _await(self, visit: Visit, sent_s: float, selector: selectors.BaseSelector) -> str:
        """Wait for an instance to answer the last call; why that was in vain, or another one was lost, else ""."""
        ready = selector.select(ANSWER_TIMEOUT_S)
        if [key.fileobj for key, _ in ready] != [self._listener]:
            return "an instance was lost" if ready else f"no answer in {ANSWER_TIMEOUT_S:g} s"
        meeting, _ = self._listener.accept()
        with meeting.makefile("rb") as lines:
            line = lines.readline()
        if not line:
            return "an instance was lost"
        visit.latencies_ms.append((time.perf_counter() - sent_s) * 1000)
        visit.answers.append(json.loads(line))
        visit.meetings.append(meeting)
        selector.register(meeting, selectors.EVENT_READ)
        self._bring_out(visit.answers[-RECLAIMS:])
        return ""

    def _bring_out(self, answers: list[dict[str, Any]]) -> None:
        """As the node does it with idle ones."""
        for answer in answers if self._tree is not None else ():
            process = self._pager.open(answer["pid"])
            self._pager.page_out(process, None, remember=False)
            self._pager.close(process)

    def is_full(self, visit: Visit) -> bool:
        """Whether there is not enough memory for one more, not even when all that waits is reclaimed once again."""
        tree, top = self._tree, FULL * self._limit_bytes
        if tree is None or tree.top().usage_bytes() <= top:
            return False
        self._bring_out(visit.answers)
        return tree.top().usage_bytes() > top - SPARE_BYTES

    def let_go(self, visit: Visit, chance: random.Random) -> int:
        """End the calls, at random, a few at once; how many did not end well."""
        pairs = list(zip(visit.calls, visit.meetings, strict=False))
        chance.shuffle(pairs)
        failed = 0
        for first in range(0, len(pairs), AT_ONCE):
            some = pairs[first : first + AT_ONCE]
            for _, meeting in some:
                meeting.close()
            failed += sum(not is_answered(call) for call, _ in some)
        return failed


def is_answered(call: HTTPConnection) -> bool:
    """Whether a call ends well."""
    try:
        response = call.getresponse()
        response.read()
    except (OSError, HTTPException):
        return False
    finally:
        call.close()
    return 200 <= response.status < 300


def limit(tree: Tree, limit_bytes: int, *, is_paged: bool) -> None:
    """The hard limit. The node's own processes, if they are in the tree, are not to be among what it limits."""
    node = tree.group(tree.root / "node")
    own_bytes = node.usage_bytes() if node.exists() else 0
    tree.top().set_limit(limit_bytes + own_bytes, None if is_paged else 0)


def made_of(tree: Tree, pids: list[int]) -> dict[str, float]:
    """What instances are charged, in MB, on average of those that live."""
    found: list[tuple[int, ...]] = []
    for pid in pids:
        with suppress(ProcessGone), Target(pid) as target:
            leaf = cgroup.leaf_of(tree, target)
            if leaf is not None:
                kernel = leaf.stat().kernel_bytes or 0
                found.append((leaf.usage_bytes(), kernel, target.status_bytes("VmPTE")["VmPTE"]))
    usage, kernel, tables = (sum(each) / len(found) / 1e6 for each in zip(*found, strict=True))
    return {
        "MB an idle one": usage,
        "page tables MB": tables,
        "kernel's other MB": kernel - tables,
        "pages MB": usage - kernel,
    }


def wait_until_idle(node: Node, *, is_paged: bool) -> float:
    """Until nobody is called, and with paging everybody is out, or that takes too long; the share that is."""
    wanted = "swapped" if is_paged else "resident"
    deadline = time.monotonic() + OUT_TIMEOUT_S
    while True:
        states = [worker["state"] for worker in workers(node)]
        share: float = sum(state == wanted for state in states) / max(1, len(states))
        if share == 1.0 or time.monotonic() > deadline:
            return share
        time.sleep(0.5)


def fill(kind: str, most: int, limit_bytes: int, report: Report, *, is_paged: bool) -> int:
    """Add instances under the limit, then call each again; how many there were."""
    paging: dict[str, str | float] = {"paging": "off"}
    if is_paged:
        paging = {"paging_policy": "immediate", "swap_mb": SWAP_MB[kind], "memory_budget_mb": limit_bytes // MIB}
    measured: dict[str, Any] = dict.fromkeys(MEASURED, "")
    with ExitStack() as stack:
        node = stack.enter_context(running(max_workers=most, **paging))
        with bundle("bench/dense", {"kind": kind}) as app:
            node.deploy(str(app))
        tree = tree_of(node)
        limit(tree, limit_bytes, is_paged=is_paged)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="actorfaas-bench-")))
        meeting = Meeting(node, folder, tree if is_paged else None, limit_bytes)
        first = meeting.visit(most, 1, adds=True)
        alive = len(first.answers)  # until the failure, if there was one
        if not first.failure:
            chance = random.Random(report.seed)
            failed = meeting.let_go(first, chance)
            measured["% out"] = wait_until_idle(node, is_paged=is_paged) * 100
            measured |= made_of(tree, [answer["pid"] for answer in first.answers])
            measured["MB in all"] = tree.top().usage_bytes() / 1e6
            again = meeting.visit(alive, AGAIN, adds=False)
            measured["call again p50 ms"] = Summary.of(again.latencies_ms).p50
            failed_again = meeting.let_go(again, chance)
            measured["lost or wrong"] = wrong(first, again) + failed + failed_again
            if measured["lost or wrong"]:
                report.notes.append(
                    f"{kind}: {failed} and {failed_again} calls failed; the second time {len(again.answers)} of "
                    f"{alive} answered, until: {again.failure or 'the end'}"
                )
    row: dict[str, Any] = {"kind": kind, "idle ones are": "swapped" if is_paged else "resident", "instances": alive}
    row |= {
        "ended by": first.failure or ("enough" if alive == most else "no room"),
        "first call p50 ms": Summary.of(first.latencies_ms).p50,
    }
    report.rows.append({**row, **measured})
    judge(kind, measured, report, is_paged=is_paged)
    return alive


def judge(kind: str, measured: dict[str, Any], report: Report, *, is_paged: bool) -> None:
    """What is expected of instances that could all be called again."""
    if measured["lost or wrong"] != "":
        report.budget(f"{kind}: lost or wrong when each is called again", 0, float(measured["lost or wrong"]), "")
    if is_paged and measured["MB an idle one"] != "":
        report.budget(f"{kind}: memory of an idle instance in swap", 0.3, measured["MB an idle one"], "MB")


def wrong(first: Visit, again: Visit) -> int:
    """How many instances of the first visit did not answer the second one with their own token and right state."""
    token_of = {answer["pid"]: answer["token"] for answer in first.answers}
    right = {
        answer["pid"] for answer in again.answers if answer["right"] and answer["token"] == token_of.get(answer["pid"])
    }
    return len(token_of.keys() - right) + sum(not answer["right"] for answer in first.answers)


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, kinds="plain pandas model", limit_mib=512.0)
    report = Report("density", chosen.seed)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit_bytes = int(chosen.limit_mib) * MIB // (2 if chosen.quick else 1)
    for kind in ("model",) if chosen.quick else chosen.kinds.split():
        resident = fill(kind, MOST[kind], limit_bytes, report, is_paged=False)
        swapped = fill(kind, min(MOST[kind], AIM * resident), limit_bytes, report, is_paged=True)
        report.budget(f"{kind}: instances in swap against resident ones", 10, swapped / resident, "×", at_most=False)
    report.notes.append(f"the limit is {limit_bytes // MIB} MiB for workers and templates")
    report.finish(chosen)


if __name__ == "__main__":
    main()
