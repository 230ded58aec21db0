"""Workflows of every kind whose functions note their calls in a file, for `bench.crash`.

What they are given: {"n", "calls": the file, "trail": [], "lines": [...], "until": a timestamp}. Every function's
result depends on its input alone, also when it runs again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from actorfaas import (
    Context,
    choose,
    each,
    event,
    fail,
    function,
    parallel,
    wait,
    when,
    workflow,
)

Json = Any  # a decoded JSON document

LARGE_BYTES = 300_000
"""More than a payload in the database may have: it is written to a file."""


def note(order: dict[str, Json], ctx: Context) -> None:
    """Add a line about this call to the file; one write, so that lines of several workers do not mix."""
    item = order.get("item", -1)
    line = json.dumps([ctx.execution_id, ctx.state, item, ctx.attempt]) + "\n"
    out = os.open(order["calls"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(out, line.encode())
    finally:
        os.close(out)


def walked(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """Note the call; the order with this state in its trail."""
    note(order, ctx)
    return {**order, "trail": [*order["trail"], ctx.state]}


@function(timeout_s=20, concurrency=4, queue_limit=2000)
def begin(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """The first state of most workflows."""
    return walked(order, ctx)


@function(timeout_s=20, concurrency=6, queue_limit=2000)
def work(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """A state in the middle."""
    return walked(order, ctx)


@function(timeout_s=20, concurrency=4, queue_limit=2000)
def close(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """The last state: what the caller is told."""
    done = walked(order, ctx)
    return {"n": done["n"], "trail": done["trail"]}


@function(timeout_s=20, concurrency=4, queue_limit=2000)
def flaky(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """Fails twice."""
    if ctx.attempt < 3:
        note(order, ctx)
        raise ConnectionError(f"attempt {ctx.attempt}")
    return walked(order, ctx)


@function(timeout_s=20, concurrency=4, queue_limit=2000)
def doomed(order: dict[str, Json], ctx: Context) -> None:
    """Fails always."""
    note(order, ctx)
    raise ValueError("as planned")


@function(timeout_s=20, concurrency=4, queue_limit=2000)
def once(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """Fails until a mark of this execution is there; leaves the mark."""
    mark = Path(order["calls"] + "." + ctx.execution_id)
    was_there = mark.exists()
    mark.touch()
    if not was_there:
        note(order, ctx)
        raise TimeoutError("the first time")
    return walked(order, ctx)


@function(timeout_s=20, concurrency=6, queue_limit=2000)
def double(line: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """One item of a Map state."""
    note(line, ctx)
    return {**line, "value": line["value"] * 2}


@function(timeout_s=20, concurrency=6, queue_limit=2000)
def price(line: dict[str, Json], ctx: Context) -> int:
    """What becomes of an item."""
    note(line, ctx)
    return int(line["value"]) + 1


@function(timeout_s=20, concurrency=2, queue_limit=2000)
def inflate(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """Much data."""
    return {**walked(order, ctx), "padding": chr(97 + order["n"] % 26) * LARGE_BYTES}


@function(timeout_s=20, concurrency=2, queue_limit=2000)
def deflate(order: dict[str, Json], ctx: Context) -> dict[str, Json]:
    """How much data it was."""
    done = walked(order, ctx)
    return {"n": done["n"], "trail": done["trail"], "size": len(done["padding"])}


chain = workflow("chain", begin >> work >> close)
choosing = workflow(
    "choosing", begin >> choose(when(event.n > 500, work.named("much")), otherwise=work.named("little")) >> close
)
waiting = workflow("waiting", begin >> wait(1) >> work >> wait(until=event.until) >> close)
retrying = workflow("retrying", begin >> flaky.retry(ConnectionError, times=3, delay_s=1) >> close)
catching = workflow(
    "catching",
    begin >> doomed.retry(ValueError, times=1, delay_s=1).catch(ValueError, work.named("rescue"), into="$.e") >> close,
)
branching = workflow(
    "branching", begin >> parallel(work.named("left"), work.named("right") >> close, wait(1) >> work.named("late"))
)
mapping = workflow("mapping", begin >> each(double >> price, items=event.lines, max_concurrency=3))
failing = workflow("failing", begin >> work >> fail("Refused", "as planned"))
large = workflow("large", begin >> inflate >> work >> deflate)
composed = workflow(
    "composed",
    begin
    >> parallel(
        each(double.named("first") >> wait(1) >> price.named("second"), items=event.lines, max_concurrency=2),
        (work.named("pre") >> once >> close).retry(TimeoutError, times=3, delay_s=1),
        choose(
            when(event.n < 300, doomed.named("bad").catch(ValueError, work.named("good"), into="$.e")),
            otherwise=flaky.named("shaky").retry(ConnectionError, times=3, delay_s=1),
        )
        >> close.named("last"),
    ),
)

QUERIES = {
    "StartAt": "Count",
    "QueryLanguage": "JSONata",
    "States": {
        "Count": {
            "Type": "Pass",
            "Assign": {"left": 3, "id": "{% $uuid() %}", "sum": 0, "order": "{% $states.input %}"},
            "Next": "Step",
        },
        "Step": {
            "Type": "Task",
            "Resource": "work",
            "Arguments": "{% $order %}",
            "Assign": {"left": "{% $left - 1 %}", "sum": "{% $sum + $count($states.result.trail) * $order.n %}"},
            "Output": {"at": "{% $states.result.trail[0] %}"},
            "Next": "More?",
        },
        "More?": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $left > 0 %}", "Next": "Pause"}],
            "Default": "Both",
        },
        "Pause": {"Type": "Wait", "Seconds": "{% $left - 1 %}", "Next": "Step"},
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "One",
                    "States": {"One": {"Type": "Task", "Resource": "close", "Arguments": "{% $order %}", "End": True}},
                },
                {
                    "StartAt": "Two",
                    "States": {
                        "Two": {"Type": "Pass", "Output": {"draw": "{% $random() %}", "id": "{% $id %}"}, "End": True}
                    },
                },
            ],
            "Output": {"one": "{% $states.result[0] %}", "two": "{% $states.result[1] %}", "sum": "{% $sum %}"},
            "End": True,
        },
    },
}
queries = workflow("queries", asl=QUERIES)
