"""How many initialised instances live under one hard limit of memory, resident and with the idle ones in swap.

`python -m bench.density [--quick] [--json FILE]` needs root, control groups and 12 GB of disk. The limit, 512 MiB, is
the kernel's, on the control group of all functions: workers and templates. Instances are added one by one, until the
first failure or until there are enough for the goal; each makes state of its own at its first call and keeps a token.
When all are idle, each is called once more, in the order in which the node happens to have brought them out, after they
were let go at random; no two calls meet the same instance, as each waits until all have answered.

Three kinds: one with next to no state, a pandas table, and 100 MB as a model has. "MB an idle one" is what the group
is charged beyond its template, over the number of instances; page tables are part of it.
"""

from __future__ import annotations

import json
import random
import resource
import selectors
import socket
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actorfaas.swap.cgroup import Tree
from bench import load
from bench.measure import Summary
from bench.node import Node, running
from bench.paging import bundle, tree_of, workers
from bench.report import Report, options

MIB = 1 << 20
MOST = {"plain": 1500, "pandas": 600, "model": 60}
"""More are not tried: by then the goal is met, or the limit is full of page tables."""

SWAP_MB = {"plain": 6 * 1024, "pandas": 12 * 1024, "model": 8 * 1024}
AIM = 11
"""So many times the resident instances are tried in swap."""

ANSWER_TIMEOUT_S = 60.0
OUT_TIMEOUT_S = 300.0


@dataclass
class Visit:
    """Calls under way, one for each instance, and what these answered."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    meetings: list[socket.socket] = field(default_factory=list)
    calls: list[load.Connection] = field(default_factory=list)
    failure: str = ""


class Meeting:
    """Where instances report."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.url = f"{node.url}/v1/invoke/instance"
        self.path = folder / "meet"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(16)

    def visit(self, count: int, first_token: int) -> Visit:
        """Call `count` instances one after the other, none twice; ends early at the first failure."""
        visit = Visit()
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            for token in range(first_token, first_token + count):
                event = {"meet": str(self.path), "token": token}
                call = load.Connection(load.address(self.url))
                selector.register(call.sock, selectors.EVENT_READ)
                visit.calls.append(call)
                call.send(load.post(self.url, json.dumps(event).encode()))
                if not self._await(visit, call, selector):
                    break
        return visit

    def _await(self, visit: Visit, call: load.Connection, selector: selectors.BaseSelector) -> bool:
        """Whether an instance has answered the last call, and all others still hold."""
        ready = selector.select(ANSWER_TIMEOUT_S)
        if [key.fileobj for key, _ in ready] != [self.listener]:
            visit.failure = "an instance was lost" if ready else f"no answer in {ANSWER_TIMEOUT_S:g} s"
            return False
        meeting, _ = self.listener.accept()
        with meeting.makefile("rb") as lines:
            line = lines.readline()
        if not line:
            visit.failure = "an instance was lost"
            return False
        visit.latencies_ms.append((time.perf_counter() - call.sent_at) * 1000)
        visit.answers.append(json.loads(line))
        visit.meetings.append(meeting)
        selector.register(meeting, selectors.EVENT_READ)
        return True

    def let_go(self, visit: Visit, chance: random.Random) -> int:
        """End the calls, at random; how many did not end well."""
        chance.shuffle(visit.meetings)
        for meeting in visit.meetings:
            meeting.close()
        failed = 0
        for call in visit.calls:
            with call.sock:
                try:
                    while (status := call.receive()) == 0:
                        pass
                except OSError:
                    status = 0
                failed += not 200 <= status < 300
        return failed


def is_held(meeting: socket.socket) -> bool:
    """Whether the instance at the other end is still there."""
    try:
        return meeting.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True


def limit(tree: Tree, limit_bytes: int, *, is_paged: bool) -> None:
    """The hard limit. The node's own processes, if they are in the tree, are not to be among what it limits."""
    node = tree.group(tree.root / "node")
    own_bytes = node.usage_bytes() if node.exists() else 0
    tree.top().set_limit(limit_bytes + own_bytes, None if is_paged else 0)


def page_tables_bytes(pids: list[int]) -> int:
    """Page tables of one process, on average."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmPTE:"))
    return total // max(1, len(pids))


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
    chance = random.Random(report.seed)
    paging: dict[str, str | float] = {"paging": "off"}
    if is_paged:
        paging = {"paging_policy": "immediate", "swap_mb": SWAP_MB[kind], "memory_budget_mb": limit_bytes // MIB}
    with ExitStack() as stack:
        node = stack.enter_context(running(max_workers=most, **paging))
        with bundle("bench/dense", {"kind": kind}) as folder:
            node.deploy(str(folder))
        tree = tree_of(node)
        limit(tree, limit_bytes, is_paged=is_paged)
        template_bytes = tree.top().usage_bytes()
        meeting = Meeting(node, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="actorfaas-bench-"))))
        first = meeting.visit(most, 1)
        alive = sum(is_held(one) for one in first.meetings)
        row: dict[str, Any] = {
            "kind": kind,
            "idle ones are": "swapped" if is_paged else "resident",
            "instances": alive,
            "ended by": first.failure or "enough",
            "first call p50 ms": Summary.of(first.latencies_ms).p50,
        }
        if first.failure:
            report.rows.append({**row, **dict.fromkeys(_MEASURED, "")})
            return alive
        failed = meeting.let_go(first, chance)
        share_out = wait_until_idle(node, is_paged=is_paged)
        idle_bytes = (tree.top().usage_bytes() - template_bytes) / alive
        tables_bytes = page_tables_bytes([answer["pid"] for answer in first.answers])
        again = meeting.visit(most, 1_000_000)
        failed += meeting.let_go(again, chance) + wrong(first, again)
        values = [share_out * 100, idle_bytes / 1e6, tables_bytes / 1e6, Summary.of(again.latencies_ms).p50, failed]
        report.rows.append({**row, **dict(zip(_MEASURED, values, strict=True))})
    report.budget(f"{kind}: instances lost or wrong when each is called again", 0, float(failed), "")
    if is_paged:
        report.budget(f"{kind}: memory of an idle instance in swap", 0.3, idle_bytes / 1e6, "MB")
    return alive


_MEASURED = ("% of them out", "MB an idle one", "page tables MB", "call again p50 ms", "lost or wrong")


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
