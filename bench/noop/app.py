"""A function that does nothing: what is measured is the platform."""

from actorfaas import function


@function(concurrency=4, queue_limit=10_000)
def noop(event: object) -> None:
    """Return nothing."""
