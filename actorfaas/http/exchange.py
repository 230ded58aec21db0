"""One request and response of the ordinary endpoints: query parameters in, JSON out.

Owns the checks of query parameters and small JSON bodies, and how a caller that waits is watched; the invoke path has
nothing to do with it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from actorfaas.http.bodies import Limits, collect
from actorfaas.http.budget import Budget
from actorfaas.http.calls import Receive
from actorfaas.http.problems import Problem

Handler = Callable[[Request], Awaitable[Response]]

MAX_JSON_BYTES = 64 * 1024
MAX_WAIT_S = 60.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no", "")


def json_response(document: object, status: int = 200) -> Response:
    """A document as the response."""
    return Response(orjson.dumps(document), status, media_type="application/json")


def name(request: Request, parameter: str) -> str:
    """A name from the path. Raises Problem "invalid"."""
    value: str = request.path_params[parameter]
    if not _NAME.fullmatch(value):
        detail = f"{value!r} is not a name: letters, digits, dots, _ and -, beginning with a letter or digit"
        raise Problem("invalid", detail)
    return value


def text(request: Request, parameter: str, allowed: tuple[str, ...] = ()) -> str:
    """A query parameter, "" when it is not given. Raises Problem "invalid" when it must be another."""
    value = request.query_params.get(parameter, "")
    if value and allowed and value not in allowed:
        raise Problem("invalid", f"{parameter} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def whole(request: Request, parameter: str, default: int, low: int, high: int) -> int:
    """A whole number from the query. Raises Problem "invalid"."""
    value = request.query_params.get(parameter, "")
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or len(value) > 19 or not low <= int(value) <= high:
        raise Problem("invalid", f"{parameter} must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


def truth(request: Request, parameter: str) -> bool:
    """A yes-or-no query parameter, no when it is not given. Raises Problem "invalid"."""
    value = request.query_params.get(parameter, "").lower()
    if value not in _TRUE + _FALSE:
        raise Problem("invalid", f"{parameter} must be true or false, not {value!r}")
    return value in _TRUE


def wait_s(request: Request) -> float:
    """Seconds that the caller is willing to wait, at most `MAX_WAIT_S`. Raises Problem "invalid"."""
    return min(_seconds(request, "wait"), MAX_WAIT_S)


def since_at_ms(request: Request) -> int:
    """The wall clock so many seconds ago as `since` says, 0 when it is not given. Raises Problem "invalid"."""
    return at_ms_ago(since_s(request))


def since_s(request: Request) -> float:
    """The seconds that `since` says, 0 when it is not given. Raises Problem "invalid"."""
    return _seconds(request, "since")


def at_ms_ago(seconds: float) -> int:
    """The wall clock so many seconds ago; 0 of 0, which stands for any time."""
    return max(1, int(max(0.0, time.time() - seconds) * 1000)) if seconds else 0


def _seconds(request: Request, parameter: str) -> float:
    value = request.query_params.get(parameter, "") or "0"
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise Problem("invalid", f"{parameter} must be a number of seconds, not {value!r}")
    return seconds


def refuse_other_sites(request: Request) -> None:
    """For what costs the node much: a page of another site cannot read the answer, but have its reader's browser ask.
    Raises Problem "forbidden"."""
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Problem("forbidden", f"a page of another site may not ask for {request.url.path}")


async def json_object(
    request: Request, timeout_s: float, max_bytes: int = MAX_JSON_BYTES
) -> dict[str, Any]:  # mixed JSON values
    """A small JSON object from the body, {} for an empty body. Raises Problem "bad_payload" and `collect`'s."""
    limits = Limits(max_bytes, timeout_s)
    body = await collect(request.receive, dict(request.scope["headers"]), limits, Budget(max_bytes).share())
    if not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("bad_payload", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Problem("invalid", "the body must be a JSON object")
    return document


async def hung_up(receive: Receive) -> None:
    """Wait until the caller, whose request has been read, hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass
