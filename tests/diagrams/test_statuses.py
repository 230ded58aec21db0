"""What became of states."""

from __future__ import annotations

import pytest

from actorfaas.diagrams.statuses import RANKS, statuses_of
from actorfaas.ids import STATUSES


def visits(*found: tuple[str, int, str]) -> list[dict[str, object]]:
    return [{"name": name, "branch": branch, "status": status} for name, branch, status in found]


def test_every_status_has_a_rank() -> None:
    assert sorted(RANKS) == sorted(STATUSES)


def test_the_latest_visit_counts() -> None:
    found = visits(("a", 0, "failed"), ("b", 0, "succeeded"), ("a", 0, "succeeded"))
    assert statuses_of(found) == {"a": "succeeded", "b": "succeeded"}


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ("succeeded", "running", "running"),
        ("failed", "succeeded", "failed"),
        ("cancelled", "failed", "failed"),
        ("timed_out", "cancelled", "timed_out"),
        ("succeeded", "cancelled", "cancelled"),
    ],
)
def test_of_iterations_what_matters_most(first: str, second: str, shown: str) -> None:
    assert statuses_of(visits(("a", 1, first), ("a", 2, second))) == {"a": shown}
