"""Two hundred different functions that all import numpy and keep some megabytes each."""

from collections.abc import Callable

import numpy as np

from actorfaas import function

COUNT = 200
SIDE = 512
"""Of a matrix of floats that each instance makes for itself: two megabytes."""


def numbered(number: int) -> Callable[[object], float]:
    """A handler with numbers of its own."""
    kept: list[np.ndarray] = []

    def handler(event: object) -> float:
        if not kept:
            kept.append(np.random.default_rng(number).random((SIDE, SIDE)))
        return float((kept[0] @ kept[0][:, 0]).sum())

    return handler


for each in range(COUNT):
    name = f"many_{each:03}"
    globals()[name] = function(name=name, concurrency=4)(numbered(each))
