"""Load for random_average: the whole workflow, and beside it, three times as often, its first function alone.

`actorfaas load workflows/random_average/load.py`, once it is deployed; `--closed` for as fast as it goes.
"""

from random import Random

from actorfaas.load import Load, call


def numbers(chance: Random) -> dict[str, int]:
    """Between one and a thousand numbers, of a seed of their own."""
    return {"count": chance.randint(1, 1000), "seed": chance.randrange(1 << 30)}


load = Load(
    call("random_average", numbers),
    call("generate_numbers", numbers, weight=3),
    arrivals="constant 40/s 10s, burst 20 every 1s 5s",
    fail_if=["errors>0"],
)
