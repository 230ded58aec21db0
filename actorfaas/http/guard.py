"""Who may talk to the node: bearer token, Host and Origin. Decisions on headers only; no I/O.

A node without a token on the loopback address still must not be driven by a web page that its user happens to look
at. Two checks prevent it: a page on another site sends `Origin`, which must name the very host the request is
addressed to; and a page that made its own name resolve to 127.0.0.1 (DNS rebinding) sends that name as `Host`,
which must be one of this machine's or of the setting `allowed_hosts`.
"""

from __future__ import annotations

import hmac
import ipaddress

from actorfaas.config import Settings
from actorfaas.http.headers import HeaderMap
from actorfaas.http.problems import Problem

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ACCEPTED_LIMIT = 64
_CHALLENGE = [(b"www-authenticate", b'Bearer realm="actorfaas"')]


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address) is only reachable from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: bytes) -> str:
    """The name in a Host header, without port, brackets and case."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    name, _, port = text.rpartition(":")
    return (name if name and port.isdigit() else text).rstrip(".")


class Guard:
    """Checks a request's headers; raises a Problem or lets it pass."""

    def __init__(self, settings: Settings) -> None:
        allowed = {name.lower() for name in settings.allowed_hosts.replace(",", " ").split()}
        restricted = is_loopback(settings.host) or bool(allowed)
        self._any_host = not restricted or "*" in allowed
        self._allowed = frozenset(allowed | _LOCAL_NAMES | {settings.host.lower()})
        self._authorization = f"Bearer {settings.api_token}".encode() if settings.api_token else b""
        self._accepted: set[bytes] = set()  # Host values seen and found good: the usual check is one set lookup

    def check(self, headers: HeaderMap) -> None:
        """Everything that `/v1` asks for. Raises Problem "forbidden" or "unauthorized"."""
        self.check_origin(headers)
        if self._authorization:
            self._check_token(headers)

    def check_origin(self, headers: HeaderMap) -> None:
        """Host and Origin only. Raises Problem "forbidden"."""
        host = headers.get(b"host", b"")
        if host not in self._accepted:
            self._check_host(host)
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2].lower() != host.lower():
            detail = f"a page of {origin.decode('latin-1')} may not call this node (Origin is not the node's own)"
            raise Problem("forbidden", detail)

    def _check_host(self, host: bytes) -> None:
        name = host_name(host)
        if not (self._any_host or not name or name in self._allowed or name.endswith(".localhost")):
            detail = f"this node does not answer to the host name {name!r}; add it to the setting allowed_hosts"
            raise Problem("forbidden", detail)
        if len(self._accepted) < _ACCEPTED_LIMIT:
            self._accepted.add(host)

    def _check_token(self, headers: HeaderMap) -> None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if not hmac.compare_digest(scheme.title() + b" " + token.strip(), self._authorization):
            detail = "send the header Authorization: Bearer TOKEN with this node's api_token"
            raise Problem("unauthorized", detail, headers=[*_CHALLENGE])
