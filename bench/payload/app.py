"""Two states with one megabyte of JSON between them."""

from actorfaas import function, workflow

MEBIBYTE = 1024 * 1024


@function
def make_payload(event: object) -> str:
    """A JSON string of one mebibyte."""
    return "x" * MEBIBYTE


@function
def measure_payload(event: str) -> int:
    """How long it was."""
    return len(event)


payload = workflow("payload", make_payload >> measure_payload)
