"""An auction: who bids is known only when it begins, and what is sold stays sold, whatever crashes.

`open_lot` has one `bid` run for each bidder and one `auctioneer`, at once; bids reach the auctioneer as messages; and
`settle` records the sale. Its changes are committed together, with its success: a lot is sold once, and counted once.
"""

from actorfaas import Context, VersionConflict, fail, function, workflow


@function(timeout_s=10)
def open_lot(lot: dict, ctx: Context) -> dict:
    """Have everybody bid, and somebody listen."""
    bidders = lot["bidders"]
    for bidder in bidders:
        ctx.add_next("bid", {"item": lot["item"], "least": lot["least"], **bidder})
    if bidders:
        ctx.add_next("auctioneer", {"item": lot["item"], "bids": len(bidders)})
    ctx.data.map("lots").put(lot["item"], lot, ttl_s=3600)
    return {"item": lot["item"], "sold": False}


@function(timeout_s=10, concurrency=8)
def bid(event: dict, ctx: Context) -> dict:
    """Offer what one has, if that is enough."""
    ctx.data.set("bidders").add(event["name"])
    amount = event["purse"] if event["purse"] >= event["least"] else 0
    ctx.send("auctioneer", {"name": event["name"], "amount": amount})
    return {"name": event["name"], "amount": amount}


@function(timeout_s=10)
def auctioneer(event: dict, ctx: Context) -> dict:
    """Hear every bid; the highest wins, of equal ones the first by name."""
    bids = [ctx.receive(timeout_s=5) for _ in range(event["bids"])]
    best = min(bids, key=lambda one: (-one["amount"], one["name"]))
    ctx.logger.info("%d bids for %s, the highest is %d", len(bids), event["item"], best["amount"])
    return {"item": event["item"], "sold": best["amount"] > 0, **best}


@function(timeout_s=5)
def settle(results: dict | list, ctx: Context) -> dict:
    """Record the sale. What has been sold before cannot be sold again: the sale must be the item's first."""
    outcome = results[-1] if isinstance(results, list) else results  # the auctioneer's, if there was one
    if not outcome["sold"]:
        return {"item": outcome["item"], "sold": False}
    ctx.data.map("sales").put(outcome["item"], outcome, if_version=0)
    ctx.data.map("lots").delete(outcome["item"])
    ctx.data.counter("sold").add(1)
    ctx.data.scope("tenant").counter("turnover").add(outcome["amount"])
    return {"item": outcome["item"], "sold": True, "to": outcome["name"], "for": outcome["amount"]}


auction = workflow(
    "auction",
    open_lot.adding(potential_next=(bid, auctioneer))
    >> settle.catch(VersionConflict, fail("AlreadySold", "this item was sold in an auction before")),
)
