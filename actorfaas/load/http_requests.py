"""The bytes of HTTP requests. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from actorfaas.errors import ConfigError

_PATH = "/%:@!$&'()*+,;=~-._"
"""What stands in a path as it is (RFC 3986)."""


def render(method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole request. Raises ConfigError for a header that would break it."""
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_PATH) + (f"?{quote(parts.query, safe=_PATH + '?')}" if parts.query else "")
    given = {"Host": parts.netloc.rpartition("@")[2], "User-Agent": "actorfaas-load", **(headers or {})}
    if body or method not in ("GET", "DELETE"):
        given.setdefault("Content-Type", "application/json")
        given["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ConfigError("a header, a method or a path with a line break cannot be sent")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def invocation_url(node_url: str, name: str) -> str:
    """Where a function or workflow of a node is called."""
    return f"{node_url.rstrip('/')}/v1/invoke/{quote(name, safe='')}"
