"""A whole node under a budget of memory: who leaves, who stays, who is back before a call, and what people are told."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.system.kit import Node, eventually, node_with
from tests.system.swap.kit import MIB, called, until_out

BUDGET_MB = 96
HEAP = 8 * MIB
"""What an instance fills in its first call."""
APART_S = 4.5
"""Between the calls of a function that is called regularly: longer than an idle worker is left alone at least."""
TIMES = 9
"""So many calls make enough times between them to expect the next one by."""


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory, swap: object, policy: str, budget_mb: int) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    with node_with(folder, "sizable", paging_policy=policy, memory_budget_mb=budget_mb, log_level="info") as running:
        yield running


def fill(node: Node) -> dict[int, dict[str, int]]:
    """Call all functions at once until each has as many instances as it may; what each instance last said."""
    said: dict[int, dict[str, int]] = {}
    calls = ["whoami", "out_between_calls", "item", "after", "usual", "unusual"] * 4
    with ThreadPoolExecutor(len(calls)) as pool:
        for answer in pool.map(lambda name: called(node, name)[0], calls):
            said[answer["pid"]] = answer
    return said


def memory_of(node: Node) -> tuple[int, int]:
    """What all functions use, and what they may, in bytes."""
    pool = node.get("/v1/workers")
    return int(pool["memory_usage_bytes"]), int(pool["memory_budget_bytes"])


def within_budget(node: Node) -> bool:
    used, budget = memory_of(node)
    return 0 < used <= budget


def states(node: Node) -> set[str]:
    return {one["state"] for one in node.get("/v1/workers")["workers"]}


@pytest.mark.parametrize(("policy", "budget_mb"), [("pressure", BUDGET_MB), ("predictive", BUDGET_MB)])
def test_a_budget_holds_and_every_instance_lives_on(node: Node) -> None:
    fill(node)
    eventually(lambda: within_budget(node) and "swapped" in states(node), "memory within the budget")
    assert memory_of(node)[1] == BUDGET_MB * MIB
    before = {one["pid"] for one in node.get("/v1/workers")["workers"] if one["state"] == "swapped"}
    again = fill(node)
    assert before & again.keys(), "instances that were out are called again"
    eventually(lambda: within_budget(node), "memory within the budget again")


@pytest.mark.parametrize(("policy", "budget_mb"), [("predictive", 2048)])
def test_a_worker_is_brought_in_before_a_call_that_is_expected(node: Node) -> None:
    """Called at regular times, a function's worker leaves memory between them and is back without a call."""
    called(node, "usual")
    for _ in range(TIMES - 1):
        time.sleep(APART_S)  # this is what the node learns
        called(node, "usual")
    until_out(node, "usual")
    eventually(lambda: [one["state"] for one in node.workers("usual")] == ["resident"], "its return before a call")
    _, kind = called(node, "usual")
    assert kind in ("prefetched", "recorded")


@pytest.mark.parametrize(("policy", "budget_mb"), [("immediate", 2048)])
def test_people_are_told_what_is_out_and_how(node: Node) -> None:
    called(node, "whoami")
    until_out(node, "whoami")
    told, *_ = (  # two, if the call came while the first was going out
        one for one in json.loads(command(node, "workers", "-o", "json"))["workers"] if one["function"] == "whoami"
    )
    assert (told["state"], told["usage_bytes"] < HEAP // 2, told["swap_bytes"] != 0) == ("swapped", True, True)
    assert "swapped" in command(node, "workers")
    assert "outside" in command(node, "doctor", "-o", "json")
    metrics = node.http.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert float(values["actorfaas_memory_budget_bytes"]) == 2048 * MIB
    assert float(values['actorfaas_workers{state="swapped"}']) > 0


def command(node: Node, *arguments: str) -> str:
    """What a command of the CLI prints about this node."""
    done: Any = subprocess.run(
        [sys.executable, "-m", "actorfaas", *arguments, "--url", node.url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)
