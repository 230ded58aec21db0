"""What became of states, as pictures of executions show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

RANKS = ("succeeded", "cancelled", "timed_out", "failed", "running")
"""What may have become of a visit to a state. Of several visits at once the last of these that one of them has is
shown."""


def statuses_of(visits: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The status of each state, from an execution's `states`: that of its latest visit; of a state in branches and
    iterations, of the latest visit in each."""
    latest: dict[tuple[str, int], str] = {(visit["name"], visit["branch"]): visit["status"] for visit in visits}
    found: dict[str, str] = {}
    for (name, _), status in latest.items():
        found[name] = max(found.get(name, status), status, key=RANKS.index)
    return found
