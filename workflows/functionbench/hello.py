"""The smallest function: what is measured is the platform."""

from actorfaas import function


@function
def hello(event: dict | None) -> str:
    """Greet `name`."""
    return f"Hello, {(event or {}).get('name', 'world')}!"
