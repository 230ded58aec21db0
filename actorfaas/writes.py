"""What changes to functions' data there are, how large they may be, and whose data a namespace is.

A namespace is an owner (an application's name, or `TENANT` for what all applications of the node share), alone for
plain keys, or followed by "/map/NAME", "/set/NAME" or "/counter". Workers leave their own application's name out, so
that they cannot name another one's.
"""

from __future__ import annotations

from actorfaas.errors import RequestRefused

TENANT = "@tenant"
KINDS = ("value", "map", "set", "counter")

PUT, DELETE, ADD = "put", "delete", "add"
ANY_VERSION = -1
ABSENT = 0

KEY_LIMIT_BYTES = 1024
NAME_LIMIT_BYTES = 256
NAMESPACE_LIMIT_BYTES = 512
COUNTER_LIMIT = 2**63 - 1

MAX_WRITES = 1000
"""Changes that one task may make together."""

MAX_WRITES_BYTES = 8 * 1024 * 1024
"""Bytes that they may have, packed."""


def namespace_of(owner: str, kind: str, name: str = "") -> str:
    """Where data of a kind is kept; `owner` "": the worker's own application; `name`: of a map or set."""
    if kind == "value":
        return owner
    return f"{owner}/counter" if kind == "counter" else f"{owner}/{kind}/{name}"


def qualified(namespace: str, app: str) -> str:
    """A namespace as a worker of `app` named it, in full. Raises RequestRefused "unauthorized"."""
    if not namespace or namespace.startswith("/"):
        return app + namespace
    if namespace == TENANT or namespace.startswith(f"{TENANT}/"):
        return namespace
    raise RequestRefused("unauthorized", f"the data of {namespace!r} belongs to another application")
