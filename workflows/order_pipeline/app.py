"""Order pipeline: six small states from a basket to a confirmation, as a shop would have them.

`reserve_stock` keeps its counts in the functions' key-value store (compare-and-set, so that concurrent orders
cannot sell the same item twice); `charge_card` logs what it does.
"""

import hashlib

from actorfaas import Context, VersionConflict, function, workflow

PRICES_CENTS = {"tea": 450, "coffee": 620, "mug": 1290, "kettle": 3900, "filter": 310}
VAT_PERCENT = {"GB": 20, "DE": 19, "FR": 20, "US": 0}
INITIAL_STOCK = 1_000_000


class OrderRejected(ValueError):
    """The order cannot be fulfilled; the message says why."""


@function(timeout_s=5)
def validate_order(order: dict) -> dict:
    """Check the customer, the country and every line."""
    if not order.get("customer"):
        raise OrderRejected("the order names no customer")
    if order.get("country") not in VAT_PERCENT:
        raise OrderRejected(f"we do not ship to {order.get('country')!r}")
    for line in order.get("lines") or [{}]:
        if line.get("item") not in PRICES_CENTS or line.get("quantity", 0) < 1:
            raise OrderRejected(f"not a valid order line: {line}")
    return {**order, "status": "valid"}


@function(timeout_s=5)
def price_order(order: dict) -> dict:
    """Price every line; ten or more of one item are 10 % cheaper."""
    lines = []
    for line in order["lines"]:
        cents = PRICES_CENTS[line["item"]] * line["quantity"]
        lines.append({**line, "cents": cents * 9 // 10 if line["quantity"] >= 10 else cents})
    return {**order, "lines": lines, "net_cents": sum(line["cents"] for line in lines)}


@function(timeout_s=5)
def tax_order(order: dict) -> dict:
    """Add value added tax of the country shipped to."""
    vat_cents = order["net_cents"] * VAT_PERCENT[order["country"]] // 100
    return {**order, "vat_cents": vat_cents, "total_cents": order["net_cents"] + vat_cents}


@function(timeout_s=5, retries=3)
def reserve_stock(order: dict, ctx: Context) -> dict:
    """Take every line's quantity out of stock."""
    for line in order["lines"]:
        take_from_stock(ctx, line["item"], line["quantity"])
    return {**order, "status": "reserved"}


def take_from_stock(ctx: Context, item: str, quantity: int) -> None:
    """Lower the count of one item, again if another order was faster."""
    key = f"stock/{item}"
    while True:
        count, version = ctx.data.now.get_versioned(key)
        left = (INITIAL_STOCK if count is None else count) - quantity
        if left < 0:
            raise OrderRejected(f"not enough of {item!r} in stock")
        try:
            ctx.data.now.put(key, left, if_version=version)
        except VersionConflict:
            continue
        return


@function(timeout_s=5)
def charge_card(order: dict, ctx: Context) -> dict:
    """Charge the customer (nobody is called: the reference is derived from the order)."""
    text = f"{order['customer']}:{order['total_cents']}:{len(order['lines'])}"
    reference = hashlib.sha256(text.encode()).hexdigest()[:12]
    ctx.logger.info("charged %d cents to %s, reference %s", order["total_cents"], order["customer"], reference)
    return {**order, "status": "charged", "payment": reference}


@function(timeout_s=5)
def confirm_order(order: dict) -> dict:
    """What the customer is told."""
    return {
        "customer": order["customer"],
        "total": f"{order['total_cents'] / 100:.2f}",
        "payment": order["payment"],
        "items": sum(line["quantity"] for line in order["lines"]),
        "status": "confirmed",
    }


order_pipeline = workflow(
    "order_pipeline",
    validate_order >> price_order >> tax_order >> reserve_stock >> charge_card >> confirm_order,
)
