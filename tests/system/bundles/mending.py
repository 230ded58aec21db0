"""A workflow that fails until a file is there: for redrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actorfaas import Context, each, event, function, parallel, wait, workflow

Json = Any  # a decoded JSON document


def note(folder: str, what: str) -> None:
    with Path(folder, "calls").open("a") as calls:
        calls.write(what + "\n")


@function
def good(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """Always works."""
    note(order["folder"], ctx.state)
    return order


@function
def broken(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """Works once it is mended."""
    note(order["folder"], ctx.state)
    if not Path(order["folder"], "mended").exists():
        raise RuntimeError("not mended yet")
    return order


@function
def item(one: dict[str, Json], ctx: Context) -> int:
    """One of the items fails."""
    note(one["folder"], f"item{one['value']}")
    if one["value"] == 3 and not Path(one["folder"], "mended").exists():
        raise RuntimeError("not mended yet")
    return int(one["value"])


late = wait(1) >> good.named("late")
mending = workflow(
    "mending",
    good.named("begin") >> parallel(good.named("left"), good.named("right") >> broken >> good.named("after"), late),
)
mapping = workflow("mapping", each(item, items=event.items, max_concurrency=1))
