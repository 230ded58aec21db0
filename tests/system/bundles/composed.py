"""A workflow composed in Python: steps at once, for every item, by conditions, with retries and handlers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from actorfaas import Context, choose, each, event, fail, function, parallel, pass_, wait, when, workflow

Json = Any  # a decoded JSON document


class OutOfStock(LookupError):
    """Not to be had."""


class Busy(RuntimeError):
    """Not now."""


@function(timeout_s=20)
def check(order: Json) -> Json:
    if not order["lines"]:
        raise OutOfStock("nothing was ordered")
    return order


@function(timeout_s=20, concurrency=4)
def pack(line: Json) -> Json:
    """Leave a mark for each run; a line that says so waits for the gate."""
    if "folder" in line:
        Path(line["folder"], f"{line['number']}.{time.monotonic_ns()}").touch()
        while line.get("waits") and not Path(line["folder"], "gate").exists():
            time.sleep(0.01)
    return line["grams"]


@function(timeout_s=20)
def bill(order: Json, ctx: Context) -> Json:
    """The till is busy at the first attempt."""
    if ctx.attempt == 1:
        raise Busy
    return {"pieces": len(order["lines"]), "attempts": ctx.attempt}


@function(timeout_s=20)
def total(parts: Json) -> Json:
    grams, invoice = parts
    return {"grams": sum(grams), **invoice}


@function(timeout_s=20)
def carry(parcel: Json) -> Json:
    return {**parcel, "way": "carried"}


@function(timeout_s=20)
def post(parcel: Json) -> Json:
    return {**parcel, "way": "posted"}


@workflow
def shipping() -> Json:
    """Pack and bill at once, then choose the way."""
    return (
        check.catch(OutOfStock, pass_({"status": "empty"}) >> fail("Empty", "an order needs lines"))
        >> parallel(each(pack, items=event.lines, max_concurrency=4), bill.retry(Busy, times=2, delay_s=1))
        >> total
        >> choose(when((event.grams < 100) & event.pieces.is_number(), carry >> wait(0)), otherwise=post)
    )
