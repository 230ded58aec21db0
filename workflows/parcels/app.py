"""Parcels: an order is packed and billed at once, its way chosen, written as a workflow in Python.

Uses `choose`, `parallel`, `each`, `.retry` and `.catch`; `actorfaas show parcels --asl` tells what it becomes.
"""

from actorfaas import Context, choose, each, event, fail, function, parallel, when, workflow

GRAMS = {"tea": 120, "mug": 350, "kettle": 1400}
EXPRESS_CENTS, POST_CENTS_PER_KG = 1500, 300


class UnknownItem(ValueError):
    """There is no such thing in the shop."""


class TillBusy(RuntimeError):
    """The till does not answer now; try again."""


@function(timeout_s=5)
def check_order(order):
    """Refuse what the shop has not, and count what is to be packed."""
    for line in order["lines"]:
        if line["item"] not in GRAMS:
            raise UnknownItem(line["item"])
    return {**order, "pieces": sum(line["quantity"] for line in order["lines"])}


@function(timeout_s=5)
def suggest(refused):
    """What a customer is told whose order cannot be packed."""
    return {"status": "refused", "unknown": refused["error"]["Cause"], "known": sorted(GRAMS)}


@function(timeout_s=5)
def weigh(line):
    """The weight of one line in grams."""
    return {**line, "grams": GRAMS[line["item"]] * line["quantity"]}


@function(timeout_s=5)
def label(line):
    """What is written on the box."""
    return {"label": f"{line['quantity']} x {line['item']}", "grams": line["grams"]}


@function(timeout_s=5)
def bill(order, ctx: Context):
    """The invoice. The till is busy at the first attempt."""
    if ctx.attempt == 1:
        raise TillBusy("try again")
    return {"customer": order["customer"], "pieces": order["pieces"], "attempts": ctx.attempt}


@function(timeout_s=5)
def collect(parts):
    """Boxes and invoice as one."""
    boxes, invoice = parts
    return {"boxes": boxes, "grams": sum(box["grams"] for box in boxes), "invoice": invoice}


@function(timeout_s=5)
def by_courier(parcel):
    """Light parcels of few boxes: a courier brings them today."""
    return {**parcel, "way": "courier", "cents": EXPRESS_CENTS}


@function(timeout_s=5)
def by_post(parcel):
    """Everything else: by weight."""
    return {**parcel, "way": "post", "cents": -(-parcel["grams"] // 1000) * POST_CENTS_PER_KG}


@function(timeout_s=5)
def confirm(parcel):
    """What the customer is told."""
    return {"status": "sent", **parcel}


def send():
    """An order that can be packed."""
    pack = each(weigh >> label, items=event.lines, max_concurrency=4)
    return (
        parallel(pack, bill.retry(TillBusy, times=2, delay_s=1))
        >> collect
        >> choose(
            when(event.grams > 20_000, fail("TooHeavy", "no parcel weighs more than 20 kg")),
            when((event.grams <= 1_000) & (event.invoice.pieces < 5), by_courier),
            otherwise=by_post,
        )
        >> confirm
    )


@workflow
def parcels():
    """Pack and bill an order at once, then send it the cheapest way."""
    return check_order.catch(UnknownItem, suggest, into="$.error") >> choose(when(event.pieces.exists(), send()))
