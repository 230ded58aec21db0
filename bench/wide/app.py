"""As many different functions as a person says, each of which knows its number and how often it was called."""

import os
from collections.abc import Callable

from actorfaas import function

COUNT = int(os.environ.get("WIDE_FUNCTIONS", "1000"))
WARM = int(os.environ.get("WIDE_WARM", "2"))


def numbered(number: int) -> Callable[[object], list[int]]:
    """A handler with state of its own."""
    calls = [0]

    def handler(event: object) -> list[int]:
        calls[0] += 1
        return [number, calls[0], os.getpid()]

    return handler


for each in range(COUNT):
    name = f"wide_{each:04}"
    globals()[name] = function(name=name, concurrency=4, warm=WARM)(numbered(each))
