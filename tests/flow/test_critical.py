"""Critical paths: what each moment waited for."""

from __future__ import annotations

from itertools import pairwise

from actorfaas.flow.critical import OWN, WAIT, critical_path, shares, wholes
from actorfaas.flow.spans import QUEUE, RUN, STATE, Span
from actorfaas.flow.tree import Forest
from tests.flow.kit import MS
from tests.flow.shapes import Traced, mapped

Path = list[tuple[str, str, float, float]]


def path_of(traced: Traced, root: Span) -> Path:
    path = critical_path(Forest(traced.spans), root)
    for before, after in pairwise(path):
        assert before.ended_ns == after.began_ns, "without gaps"
    assert (path[0].began_ns, path[-1].ended_ns) == (root.began_ns, root.ended_ns)
    return [(one.name, one.kind, one.began_ns / MS, one.ended_ns / MS) for one in path]


def test_a_chain_is_its_own_critical_path() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 12))
    traced.state("a", (0, 1), (1, 5), flow)
    traced.state("b", (6, 6), (6, 10), flow)
    assert path_of(traced, flow) == [
        *(("a", QUEUE, 0, 1), ("a", RUN, 1, 5), ("flow", OWN, 5, 6)),
        *(("b", RUN, 6, 10), ("flow", OWN, 10, 12)),
    ]


def test_of_branches_only_the_last_one_counts() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 10))
    both = traced.add(STATE, "both", (0, 10), flow)
    traced.state("quick", (0, 0), (0, 9), both, index="0")
    traced.state("slow", (0, 2), (2, 10), both, index="1")
    assert path_of(traced, flow) == [("slow", QUEUE, 0, 2), ("slow", RUN, 2, 10)]


def test_what_a_handler_calls_is_on_the_path_instead_of_the_handler() -> None:
    traced = Traced()
    run = traced.request("outer", (0, 10), run=(1, 9))
    traced.request("inner", (3, 7), run)
    assert path_of(traced, traced.spans[0]) == [
        *(("outer", OWN, 0, 1), ("outer", RUN, 1, 3), ("inner", RUN, 3, 7), ("outer", RUN, 7, 9)),
        ("outer", OWN, 9, 10),
    ]


def test_a_wait_is_told_apart() -> None:
    traced = Traced()
    flow = traced.execution("flow", (0, 10))
    traced.add(STATE, "pause", (0, 10), flow)
    assert path_of(traced, flow) == [("pause", WAIT, 0, 10)]


def test_shares_of_many_paths_add_up() -> None:
    one, other = mapped(4, 2, 20), mapped(4, 2, 40, began_ms=500, trace_id="b" * 32)
    forest = Forest([*one.spans, *other.spans])
    found = shares(critical_path(forest, root) for root in forest.roots)
    assert abs(sum(share.share for share in found) - 1) < 1e-9
    assert [(share.name, share.kind, share.took_ns / MS) for share in found] == [
        *(("work", QUEUE, 60), ("work", RUN, 60), ("first", RUN, 20), ("last", RUN, 20)),
    ]


def test_no_path_is_lost_in_a_handler_that_calls_for_ever_deeper() -> None:
    traced = Traced()
    above = None
    for depth in range(2000):
        above = traced.request("f", (0, 5000 - depth), above)
    path = critical_path(Forest(traced.spans), traced.spans[0])
    assert sum(segment.took_ns for segment in path) == 5000 * MS


def test_what_is_looked_at() -> None:
    traced = Traced()
    run = traced.request("f", (0, 10))
    inner = traced.execution("flow", (1, 9), run)
    running = traced.add("execution", "flow", (20, 30), None, status="running")
    forest = Forest(traced.spans)
    assert wholes(forest) == [traced.spans[0]]
    assert wholes(forest, "flow") == [inner]
    assert running in forest.roots
