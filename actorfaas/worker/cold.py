"""A worker in a new interpreter (strategy cold): `python -m actorfaas.worker.cold CONNECTION SPEC`.

Both are descriptors: of the socket to the LocalQueue, and of the pipe with its order.
"""

from __future__ import annotations

import sys

from actorfaas.errors import WireError
from actorfaas.messages import ColdStart
from actorfaas.wire import decode_one
from actorfaas.worker import process
from actorfaas.worker.output import Output, limit_from_environment
from actorfaas.worker.startup import Plan, guarded, start_cold_worker


def main() -> None:
    """Read the one `ColdStart` from the spec pipe, then serve."""
    connection, spec = map(int, sys.argv[1:])
    order = _read_order(spec)
    output = Output(limit_from_environment())
    output.install()
    plan = Plan(order.bundle, order.spec, None, process.handled_signals())
    guarded(lambda: start_cold_worker(plan, connection, output), "a cold worker")


def _read_order(descriptor: int) -> ColdStart:
    with open(descriptor, "rb") as pipe:
        data = pipe.read()
    try:
        order = decode_one(data).message
    except WireError as error:
        raise SystemExit(f"actorfaas: the order of a cold worker cannot be read: {error}") from error
    if not isinstance(order, ColdStart):
        raise SystemExit(f"actorfaas: a cold worker was given {type(order).__name__}")
    return order


if __name__ == "__main__":
    main()
