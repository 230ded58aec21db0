"""Request headers of an invocation: parsing and checking, without I/O.

Header names and values are bytes as ASGI hands them over, names in lower case.
"""

from __future__ import annotations

import math
import re

from actorfaas.http.problems import Problem
from actorfaas.ids import STRATEGIES, STRATEGY_MEANINGS, new_id

HeaderMap = dict[bytes, bytes]

MAX_TIMEOUT_S = 86_400.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_EXECUTION_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,80}")
_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


def request_id(headers: HeaderMap) -> str:
    """The caller's `X-Request-Id` when it is sane (1 to 64 letters, digits, `._-`), else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return new_id("req")


def timeout_s(headers: HeaderMap, limit_s: float) -> float:
    """How long the caller waits: `Actorfaas-Timeout`, but never longer than `limit_s`. Raises Problem "invalid"."""
    given = headers.get(b"actorfaas-timeout")
    if given is None:
        return limit_s
    try:
        wanted = float(given)
    except ValueError:
        wanted = math.nan
    if not 0 < wanted <= MAX_TIMEOUT_S:
        raise Problem("invalid", f"Actorfaas-Timeout must be seconds above 0 and at most {MAX_TIMEOUT_S:.0f}")
    return min(wanted, limit_s)


def strategy(headers: HeaderMap, default: str) -> str:
    """How an instance is to be obtained: `Actorfaas-Strategy` or the function's own. Raises Problem "invalid"."""
    given = headers.get(b"actorfaas-strategy")
    if given is None:
        return default
    wanted = given.decode("latin-1").strip().lower()
    if wanted not in STRATEGIES:
        raise Problem("invalid", f"Actorfaas-Strategy must be one of {', '.join(STRATEGY_MEANINGS)}")
    return wanted


def responds_async(headers: HeaderMap) -> bool:
    """Whether `Prefer` (RFC 7240) asks for a 202 instead of the result."""
    given = headers.get(b"prefer")
    if given is None:
        return False
    return any(part.split(b";")[0].strip().lower() == b"respond-async" for part in given.split(b","))


def idempotency_key(headers: HeaderMap) -> str:
    """The `Idempotency-Key`, or "" when there is none. Raises Problem "invalid"."""
    given = headers.get(b"idempotency-key")
    if given is None:
        return ""
    if not _IDEMPOTENCY_KEY.fullmatch(given):
        raise Problem("invalid", "Idempotency-Key must be 1 to 255 visible ASCII characters")
    return given.decode("ascii")


def execution_name(headers: HeaderMap) -> str:
    """`Actorfaas-Execution-Name` (UTF-8), or "" when there is none. Raises Problem "invalid"."""
    given = headers.get(b"actorfaas-execution-name")
    if given is None:
        return ""
    name = given.decode("utf-8", "replace")
    if not _EXECUTION_NAME.fullmatch(name) or "\ufffd" in name:
        detail = 'an execution name has 1 to 80 characters, no white space and none of <>{}[]?*"#%\\^|~`$&,;:/'
        raise Problem("invalid", detail)
    if b"idempotency-key" in headers:
        raise Problem("invalid", "give an execution a name or an Idempotency-Key, not both")
    return name
