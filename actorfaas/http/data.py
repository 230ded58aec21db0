"""Endpoints about the functions' data: what a handler has as `context.data`, for people and other programs."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from actorfaas.batches import packed
from actorfaas.http.bodies import Limits, collect
from actorfaas.http.budget import Budget
from actorfaas.http.exchange import json_response, name, text, whole
from actorfaas.http.links import DATA_LAYER, Links, Office
from actorfaas.http.problems import Problem
from actorfaas.http.render import Document, json_or_none
from actorfaas.messages import KvCommit, KvCommitted, KvGet, KvKeys, KvList, KvNames, KvValue, KvWrite
from actorfaas.writes import ADD, ANY_VERSION, COUNTER_LIMIT, DELETE, KINDS, PUT, TENANT, namespace_of

MAX_KEYS = 1000
MAX_VERSION = 2**63 - 1
MAX_TTL_MS = 100 * 365 * 24 * 3_600_000


class DataEndpoints:
    """Each method answers one operation of `http.surface`."""

    def __init__(self, office: Office, links: Links, budget: Budget) -> None:
        """`budget`: what all request bodies together may hold."""
        self._links = links
        self._limits = Limits(office.settings.max_body_bytes, office.settings.body_timeout_s)
        self._budget = budget

    async def data_keys(self, request: Request) -> Response:
        """A page of keys; without the name of a map or set, a page of their names."""
        app, kind, name_ = _place(request)
        prefix, after = text(request, "prefix"), text(request, "after")
        limit = whole(request, "limit", 100, 1, MAX_KEYS)
        if kind in ("map", "set") and not name_:
            above = namespace_of(app, kind)
            question = KvNames(above + prefix, above + after if after else "", limit)
            keys = [one.removeprefix(above) for one in (await self._ask_keys(question)).keys]
        else:
            listing = KvList(namespace_of(app, kind, name_), prefix, after, limit)
            keys = list((await self._ask_keys(listing)).keys)
        next_after = keys[-1] if len(keys) == limit else None
        return json_response({"app": app, "kind": kind, "name": name_, "keys": keys, "next_after": next_after})

    async def data_get(self, request: Request) -> Response:
        """One value with its version."""
        app, kind, name_ = _named_place(request)
        key = _key(request)
        found = await self._links.ask(DATA_LAYER, KvGet(namespace_of(app, kind, name_), key), KvValue)
        if not found.version:
            raise Problem("not_found", f"{app} has no {_in_words(kind, name_)} {key!r}")
        return json_response(_entry(request, found.version, found.payload))

    async def data_put(self, request: Request) -> Response:
        """Set a value, or put a member into a set."""
        _, kind, _ = _named_place(request)
        share = self._budget.share()
        try:
            body = await collect(request.receive, dict(request.scope["headers"]), self._limits, share)
            value = b"" if kind == "set" else _value(kind, body)
            version = await self._change(request, PUT, value=value, ttl_ms=_ttl_ms(request))
        finally:
            share.release()
        return json_response(_entry(request, version))

    async def data_add(self, request: Request) -> Response:
        """Add to a counter."""
        if text(request, "kind") != "counter":
            raise Problem("invalid", "only counters can be added to: kind=counter")
        digits = text(request, "amount") or "1"
        if not digits.removeprefix("-").isdecimal() or len(digits) > 20 or abs(int(digits)) > COUNTER_LIMIT:
            raise Problem("invalid", f"amount must be a whole number of at most 64 bits, not {digits!r:.60}")
        number = await self._change(request, ADD, amount=int(digits))
        return json_response(_entry(request, None, b"%d" % number))

    async def data_delete(self, request: Request) -> Response:
        """Remove a key, a member or a counter; no error when there is none."""
        await self._change(request, DELETE)
        return Response(status_code=204)

    async def _ask_keys(self, question: KvList | KvNames) -> KvKeys:
        return await self._links.ask(DATA_LAYER, question, KvKeys)

    async def _change(
        self, request: Request, action: str, *, value: bytes = b"", ttl_ms: int = 0, amount: int = 0
    ) -> int:
        """Make one change; its number as in `KvCommitted`. Raises Problem."""
        app, kind, name_ = _named_place(request)
        expected = whole(request, "if_version", ANY_VERSION, 0, MAX_VERSION)
        write = KvWrite(namespace_of("", kind, name_), _key(request), action, expected, ttl_ms, amount, value)
        is_repeatable = action != ADD and expected == ANY_VERSION
        message = KvCommit(app, is_repeatable, packed([write]))
        done = await self._links.ask(DATA_LAYER, message, KvCommitted, repeat=is_repeatable)
        if done.conflict >= 0:
            raise Problem("precondition_failed", f"{write.key!r} is not version {expected} any more")
        return done.numbers[0]


def _place(request: Request) -> tuple[str, str, str]:
    """Whose data, of which kind, and the name of the map or set. Raises Problem "invalid"."""
    app: str = request.path_params["app"]
    if app != TENANT:
        app = name(request, "app")
    return app, text(request, "kind", KINDS) or "value", text(request, "name")


def _named_place(request: Request) -> tuple[str, str, str]:
    app, kind, name_ = _place(request)
    if kind in ("map", "set") and not name_:
        raise Problem("invalid", f"name must say which {kind}")
    return app, kind, name_


def _key(request: Request) -> str:
    key = text(request, "key")
    if not key:
        raise Problem("invalid", "key must say which one")
    return key


def _value(kind: str, body: bytes) -> bytes:
    """A value from the body. Raises Problem "bad_payload"."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("bad_payload", f"the body is not JSON: {error}") from error
    if kind == "counter" and (isinstance(value, bool) or not isinstance(value, int) or abs(value) > COUNTER_LIMIT):
        raise Problem("bad_payload", "a counter is a whole number of at most 64 bits")
    return body


def _ttl_ms(request: Request) -> int:
    """How long the value lives, 0 for ever. Raises Problem "invalid"."""
    given = text(request, "ttl_s")
    if not given:
        return 0
    try:
        milliseconds = round(float(given) * 1000)
    except (ValueError, OverflowError):
        milliseconds = 0
    if not 0 < milliseconds <= MAX_TTL_MS:
        raise Problem("invalid", f"ttl_s must be a number of seconds above 0, not {given!r:.60}")
    return milliseconds


def _entry(request: Request, version: int | None, payload: bytes = b"") -> Document:
    """One entry; of a put, and of a set's member, without a value."""
    app, kind, name_ = _place(request)
    entry: Document = {"app": app, "kind": kind, "name": name_, "key": _key(request), "version": version}
    return entry | ({"value": json_or_none(payload)} if payload else {})


def _in_words(kind: str, name_: str) -> str:
    return f"{kind} {name_!r} with" if name_ else "value of key" if kind == "value" else kind
