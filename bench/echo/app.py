"""A function whose calls last long enough for some to be under way at any moment."""

import time

from actorfaas import function

LASTS_S = 0.005


@function(timeout_s=5, concurrency=8)
def echo(event: object) -> object:
    """Return the event, after a moment."""
    time.sleep(LASTS_S)
    return event
