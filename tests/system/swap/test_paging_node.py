"""A whole node whose idle workers leave memory: every strategy, look-ahead, a lost Swapper, restarts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorfaas.flow.documents import spans_of
from actorfaas.flow.spans import PAGE_IN, PREFETCH, STATE, Span
from actorfaas.swap import swapfile, swaps
from actorfaas.swap.swaps import SwapArea
from tests.patience import SLOWNESS
from tests.system.kit import Node, code_of, eventually, node_with, problem_of
from tests.system.swap.kit import MIB, called, until_out

HEAP = 8 * MIB
PAGE = 4096
LIMIT_MB = 32
BEYOND = 2 * (LIMIT_MB + 160) * MIB
"""More than `memory_mb`, what the template has loaded, and the allowance of homes.py, in memory and as much in swap."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, swap: object) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node"), "sizable", paging_policy="immediate", log_level="info") as running:
        yield running


def test_workers_of_reap_are_out_between_calls_and_come_back_with_their_working_set(node: Node) -> None:
    until_out(node, "out_between_calls")
    kinds, pids = [], set()
    for _ in range(6):
        result, kind = called(node, "out_between_calls")
        kinds.append(kind)
        pids.add(result["pid"])
        workers = until_out(node, "out_between_calls")
        assert {one["pid"] for one in workers} >= pids, "the same instances live on"
    assert "recorded" in kinds
    assert kinds[-1] == "prefetched", kinds
    used = next(one for one in workers if one["pid"] == result["pid"])
    assert used["usage_bytes"] < HEAP // 4
    assert used["swap_bytes"] is None or used["swap_bytes"] > HEAP // 2
    assert used["working_set_bytes"] > 0
    assert used["last_page_in_ms"] > 0


@pytest.mark.parametrize(("strategy", "kind"), [("swap", "swapped"), ("faasnap", "concurrent"), ("reap", "prefetched")])
def test_a_strategy_for_one_call(node: Node, strategy: str, kind: str) -> None:
    for _ in range(8):  # until each of the function's workers has been called, and its working set recorded
        result, got = called(node, "whoami", strategy=strategy)
        until_out(node, "whoami")
        if got == kind and result["calls"] > 1:
            return
    pytest.fail(f"no call was {kind}")


def test_strategy_resident_stays(node: Node) -> None:
    first, _ = called(node, "stays")
    until_out(node, "whoami")  # everything else goes out meanwhile
    again, kind = called(node, "stays")
    assert (again["pid"], again["calls"], kind) == (first["pid"], first["calls"] + 1, "resident")
    assert [one["state"] for one in node.workers("stays")] == ["resident"]


def test_the_next_state_is_brought_in_while_the_one_before_runs(node: Node) -> None:
    """Of several runs with a slow first state, the last ones find the second state's worker in memory."""
    kinds = []
    for _ in range(6):
        until_out(node, "after")
        ended = node.ended(node.start("two_states", 0.3))
        assert ended["status"] == "succeeded"
        kinds.append(ended["states"][-1]["start_kind"])
    assert "prefetched" in kinds[2:], kinds


def run_with_span(node: Node, kind: str, function: str, event: float, **headers: str) -> tuple[str, list[Span], Span]:
    """Run `two_states` until a function's memory was read back under a span of a kind: the run's Server-Timing, all
    its spans, and that one."""
    for _ in range(8):  # until the working set is recorded
        for one in ("before", "after"):
            until_out(node, one)
        answer = node.call("two_states", event, **headers)
        spans = spans_of(node.get(f"/v1/traces/{answer.headers['traceresponse'][3:35]}")["spans"])
        for span in spans:
            if (span.kind, span.name) == (kind, function) and span.told:
                return answer.headers["Server-Timing"], spans, span
    pytest.fail(f"{function} had no {kind}: {spans}")


def test_a_state_that_waits_for_its_workers_memory_has_a_span_for_that(node: Node) -> None:
    timing, spans, page_in = run_with_span(node, PAGE_IN, "before", 0.01, Actorfaas_Strategy="reap")
    state = next(span for span in spans if (span.kind, span.name) == (STATE, "before"))
    assert (page_in.parent_id, state.told["start_kind"]) == (state.span_id, "prefetched")
    assert state.began_ns <= page_in.began_ns < page_in.ended_ns <= state.ended_ns
    assert int(page_in.told["read_bytes"]) >= PAGE
    told = re.search(r'page-in;dur=([\d.]+), start;dur=[\d.]+;desc="(prefetched|recorded)"', timing)
    assert told is not None, timing
    assert float(told[1]) == pytest.approx(sum(one.took_ns for one in spans if one.kind == PAGE_IN) / 1e6, abs=0.01)


def test_memory_that_is_read_back_while_the_state_before_runs_has_a_span_there(node: Node) -> None:
    _, spans, prefetch = run_with_span(node, PREFETCH, "after", 0.3)
    before, after = (
        next(span for span in spans if (span.kind, span.name) == (STATE, name)) for name in ("before", "after")
    )
    assert before.began_ns < prefetch.began_ns < prefetch.ended_ns <= after.began_ns
    assert int(prefetch.told["read_bytes"]) >= PAGE
    assert PAGE_IN not in {span.kind for span in spans if span.parent_id == after.span_id}


def looked_ahead(node: Node, name: str, functions: tuple[str, ...], event: float = 0.3) -> tuple[list[str], int, int]:
    """Run a workflow whose later workers are all out: how each of these was had, how many were reserved, how many of
    these wrongly."""
    for one in functions:
        until_out(node, one)
    before = node.get("/v1/workers")
    ended = node.ended(node.start(name, event))
    after = node.get("/v1/workers")
    assert ended["status"] == "succeeded", ended
    kinds = [state["start_kind"] for state in ended["states"] if state["worker"] and state["name"] != "before"]
    reserved, wrong = (after[count] - before[count] for count in ("reservations", "wrong_guesses"))
    return kinds, reserved, wrong


def test_the_usual_side_of_a_choice_is_brought_in_and_given_up_when_it_was_wrong(node: Node) -> None:
    for _ in range(10):  # nothing is guessed at before it has happened a few times
        found = looked_ahead(node, "chosen", ("usual", "unusual"))
    assert found == (["prefetched"], 1, 0)
    _, reserved, wrong = looked_ahead(node, "chosen", ("usual", "unusual"), 0.45)
    assert (reserved, wrong) == (1, 1)
    until_out(node, "usual")


@pytest.mark.parametrize(
    ("name", "functions", "count"), [("parted", ("usual", "unusual"), 2), ("mapped", ("item",), 3)]
)
def test_workers_for_all_branches_are_brought_in(node: Node, name: str, functions: tuple[str, ...], count: int) -> None:
    for _ in range(6):  # until all working sets are recorded, and the number of items is known
        found = looked_ahead(node, name, functions, 0.3 * SLOWNESS)
        if found == (["prefetched"] * count, count, 0):
            return
    pytest.fail(f"the last run had {found}")


def test_a_node_without_its_swapper_calls_what_is_out_as_it_is(node: Node) -> None:
    until_out(node, "out_between_calls")
    pids = {one["pid"] for one in node.workers("out_between_calls")}
    node.kill(node.actor_pids()["swapper"])
    result, _ = called(node, "out_between_calls")
    assert result["pid"] in pids
    node.actor_pids()
    called(node, "out_between_calls")
    until_out(node, "out_between_calls")


def test_workers_that_were_out_are_used_by_an_execution_manager_that_restarts(node: Node) -> None:
    until_out(node, "whoami")
    pids = {one["pid"] for one in node.workers("whoami")}
    node.kill(node.actor_pids()["execution_manager"])
    node.until_serving("stays")
    result, _ = called(node, "whoami")
    assert result["pid"] in pids


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_while_it_is_out_is_replaced(node: Node) -> None:
    called(node, "out_between_calls")
    workers = {one["pid"] for one in until_out(node, "out_between_calls")}
    for pid in workers:
        node.kill(pid)
    answer = eventually(lambda: served(node, "out_between_calls"), "an answer of another worker")
    assert answer["wrong"] == 0
    assert answer["pid"] not in workers


def test_an_instance_beyond_its_limit_is_killed_alone_and_its_caller_is_told(node: Node) -> None:
    called(node, "limited", 0)
    pids = {one["pid"] for one in node.workers("limited")}
    problem = problem_of(node.call("limited", BEYOND))
    assert code_of(problem) == "memory"
    assert f"out of memory (limit {LIMIT_MB} MB)" in problem["detail"]
    assert eventually(lambda: served(node, "limited", 0), "an answer of another worker")["wrong"] == 0
    assert len(pids & {one["pid"] for one in node.workers("limited")}) >= len(pids) - 1


def test_swap_that_is_turned_off_under_a_node_and_on_again(node: Node, swap: SwapArea) -> None:
    if others := [area.path for area in swaps.active() if area.path != swap.path]:
        pytest.skip(f"this machine has swap of its own: {others[0]}")
    path = Path(swap.path)
    until_out(node, "out_between_calls")
    pids = {one["pid"] for one in node.workers("out_between_calls")}
    swapfile.turn_off(path, timeout_s=60)
    try:
        eventually(lambda: paging_mode(node) == "none", "the node's word that it cannot page")
        for _ in range(3):
            result, _ = called(node, "out_between_calls")
            assert result["pid"] in pids
        assert [one for one in node.workers("out_between_calls") if one["state"] == "paging_out"] == []
    finally:
        swapfile.turn_on(path, swap.priority)
    eventually(lambda: paging_mode(node) == "outside", "the node's word that it can page again")
    called(node, "out_between_calls")
    until_out(node, "out_between_calls")
    called(node, "out_between_calls")


def served(node: Node, function: str, value: Any = None) -> Any:
    """What a call returns; None if it is to be tried again."""
    answer = node.call(function, value)
    if answer.status_code != 200:
        assert problem_of(answer)["retryable"], answer.text
        return None
    return answer.json()


def paging_mode(node: Node) -> str:
    return str(node.get("/v1/node")["mechanisms"]["paging_mode"])


def test_a_node_that_was_killed_with_workers_out_starts_again(folder: Path) -> None:
    try:
        with node_with(folder, "sizable", swap_mb=128, paging_policy="immediate") as killed:
            called(killed, "out_between_calls")
            until_out(killed, "out_between_calls")
            killed.kill_everything()
        with node_with(folder, swap_mb=128, paging_policy="immediate") as node:
            node.until_serving("out_between_calls")
            until_out(node, "out_between_calls")
            called(node, "out_between_calls")
        assert not (folder / "swapfile").exists()
    finally:
        swapfile.turn_off(folder / "swapfile", timeout_s=60)
