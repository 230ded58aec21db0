"""An application to look at: states that wait until a file is there, one that fails until then, and things to log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from actorfaas import Context, each, event, function, parallel, workflow

Json = Any  # decoded JSON


@function
def greet(order: Json, ctx: Context) -> Json:
    """Says so."""
    ctx.logger.info("greeting <b>%s</b>", order["name"])
    return f"Hello, {order['name']}"


@function
def prepare(order: Json, ctx: Context) -> Json:
    """Waits as long as the order says, and until the file that it names is there."""
    ctx.logger.info("preparing order %s", order["number"])
    time.sleep(order.get("takes_s", 0))
    while "gate" in order and not Path(order["gate"]).exists():
        time.sleep(0.01)
    return order


@function
def pack(item: Json, ctx: Context) -> Json:
    """Packs one item."""
    ctx.logger.warning("packing %s", item)
    return f"packed {item}"


@function
def bill(order: Json) -> Json:
    """Costs something."""
    return {"price": 3 * len(order["items"])}


@function
def ship(order: Json, ctx: Context) -> Json:
    """Fails while the file that the order names is not there."""
    if not Path(order["gate"]).exists():
        ctx.logger.error("no lorry has come")
        raise RuntimeError("no lorry <i>has</i> come")
    return "shipped"


shop = workflow("shop", prepare >> parallel(bill, each(pack, items=event.items)))
delivery = workflow("delivery", greet.keeps("$.said") >> ship)
