"""Load for the order pipeline: more and more customers, each with a basket of their own.

`actorfaas load workflows/order_pipeline/load.py --html report.html`, once it is deployed.
"""

from random import Random
from typing import Any

from actorfaas.load import Load, call

ITEMS = ("tea", "coffee", "mug", "kettle", "filter")
COUNTRIES = ("GB", "DE", "FR", "US")


def basket(chance: Random) -> dict[str, Any]:
    """An order of one to five lines."""
    items = chance.sample(ITEMS, chance.randint(1, len(ITEMS)))
    return {
        "customer": f"customer-{chance.randrange(1000)}",
        "country": chance.choice(COUNTRIES),
        "lines": [{"item": item, "quantity": chance.randint(1, 12)} for item in items],
    }


load = Load(
    call("order_pipeline", basket),
    arrivals="poisson 5..50/s 10s, poisson 50/s 20s",
    fail_if=["errors>0"],
)
