"""Random average: one state makes random numbers, the next averages them.

The smallest workflow with a payload between two states; the platform's hand-off is most of its time.
"""

import random

from actorfaas import function, workflow

DEFAULT_COUNT = 1000


@function(timeout_s=10)
def generate_numbers(event: dict | None) -> dict:
    """`count` random numbers in [0, 1); the same ones for the same `seed`."""
    event = event or {}
    source = random.Random(event.get("seed"))
    return {"numbers": [source.random() for _ in range(event.get("count", DEFAULT_COUNT))]}


@function(timeout_s=10)
def average_numbers(event: dict) -> dict:
    """Mean of `numbers`, and how many there were."""
    numbers = event["numbers"]
    if not numbers:
        raise ValueError("there is no average of no numbers: 'count' must be at least 1")
    return {"average": sum(numbers) / len(numbers), "count": len(numbers)}


random_average = workflow("random_average", generate_numbers >> average_numbers)
