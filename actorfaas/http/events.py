"""`GET /v1/events`: what goes on, as server-sent events (WHATWG HTML, section 9.2).

Owns the query and the connection of a viewer, from its first byte until it hangs up, is dropped because it takes too
little, or the node stops. Events have no ids: whoever comes again gets the whole of everything first.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from actorfaas.http.calls import Receive, Send
from actorfaas.http.exchange import hung_up, refuse_other_sites, since_s, text
from actorfaas.http.feed import Feed, Topic, Viewer
from actorfaas.http.invoke import Scope
from actorfaas.http.links import Links
from actorfaas.http.live import WATCHES
from actorfaas.http.problems import Problem
from actorfaas.ids import STATUSES

MEDIA_TYPE = "text/event-stream"
HELLO = b"retry: 1000\n\n"
"""Clients that come again by themselves wait for so many milliseconds first."""

QUIET_S = 15.0
"""After so long without news a comment is sent: proxies keep the connection, and one whose client is gone ends."""


class EventEndpoints:
    """Each method answers one operation of `http.surface`."""

    def __init__(self, feed: Feed, links: Links) -> None:
        self._feed = feed
        self._links = links

    async def events(self, request: Request) -> Response:
        """News of everything that `watch` names, until the client hangs up."""
        topics = topics_of(request)
        refuse_other_sites(request)
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE)
        return _EventStream(self._feed, topics, self._links)


def topics_of(request: Request) -> list[Topic]:
    """What the query asks for. Raises Problem "invalid"."""
    names = dict.fromkeys(filter(None, text(request, "watch").split(",")))
    if not names:
        raise Problem("invalid", f"watch must name what to tell: one or more of {', '.join(WATCHES)}")
    text(request, "status", STATUSES)
    since_s(request)
    topics = []
    for name in names:
        if name not in WATCHES:
            raise Problem("invalid", f"watch must be one or more of {', '.join(WATCHES)}, not {name!r}")
        given = tuple((one, value) for one in WATCHES[name] if (value := text(request, one)))
        if name == "execution" and not given:
            raise Problem("invalid", "execution must be the id of the execution to watch")
        topics.append(Topic(name, given))
    return topics


class _EventStream(Response):
    """The response: as long as the client stays."""

    def __init__(self, feed: Feed, topics: list[Topic], links: Links) -> None:
        super().__init__()
        self._feed = feed
        self._topics = topics
        self._links = links

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        viewer = self._feed.join(self._topics)
        gone = asyncio.create_task(hung_up(receive), name="watch a viewer's connection")
        try:
            headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": HELLO, "more_body": True})
            await self._tell(viewer, gone, send)
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            self._feed.leave(viewer)

    async def _tell(self, viewer: Viewer, gone: asyncio.Task[None], send: Send) -> None:
        ends: tuple[asyncio.Future[None], ...] = gone, self._links.stopping
        while not viewer.is_dropped and not any(end.done() for end in ends):
            news = viewer.take()
            if not news:
                is_quiet = await _wait(viewer, ends)
                news = b":\n\n" if is_quiet else b""
            if news:
                await send({"type": "http.response.body", "body": news, "more_body": True})


async def _wait(viewer: Viewer, ends: tuple[asyncio.Future[None], ...]) -> bool:
    """Until there is news or the end, or nothing for so long that a sign of life is due."""
    changed = asyncio.create_task(_news(viewer), name="wait for a viewer's news")
    try:
        done, _ = await asyncio.wait((changed, *ends), timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        changed.cancel()
    return not done


async def _news(viewer: Viewer) -> None:
    await viewer.changed.wait()
