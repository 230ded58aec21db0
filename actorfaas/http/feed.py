"""Live news for many viewers from one source each: who watches what, and what each viewer has yet to take.

A source is asked only while somebody watches its topic, by one task however many watch, and never for more than a
tenth of the time. Every viewer first gets the whole and then what changes. A viewer that does not take its news is
dropped: it may come again, and begins with the whole again. What sources say is `http.live`'s business, the form on
the connection `http.events`'.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from actorfaas.http.problems import Problem
from actorfaas.logs import Logger

MAX_VIEWERS = 64
"""Connections that watch something at once; more are refused."""

MAX_WAITING_BYTES = 1024 * 1024
"""What may wait for one viewer beyond a single piece of news. More, and it is dropped."""

REST_SHARE = 9
"""A source rests so many times as long as its last answer took, so that watching costs a tenth of the time at most."""

MAX_REST_S = 10.0

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that can be watched: its name, and which part of it as (parameter, value)."""

    name: str
    filters: tuple[tuple[str, str], ...] = ()

    def filter(self, parameter: str) -> str:
        """The value of a parameter, "" when it was not given."""
        return dict(self.filters).get(parameter, "")


class Source(Protocol):
    """One topic as it goes on."""

    @property
    def period_s(self) -> float:
        """The time from one answer to the next question, if no viewer joins meanwhile."""

    async def news(self) -> bytes:
        """What changed since the last call; b"": nothing. Raises Problem."""

    def whole(self) -> bytes:
        """Everything known, for a viewer that has seen nothing; b"": nothing is known yet."""

    def trouble(self, problem: Problem) -> bytes:
        """What to tell instead of news that could not be had."""


class Viewer:
    """What waits for one connection."""

    def __init__(self) -> None:
        self.is_dropped = False
        self.changed = asyncio.Event()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0

    def give(self, frame: bytes) -> None:
        """Add news; a viewer that left too much untaken is dropped instead."""
        if not frame or self.is_dropped:
            return
        if self._waiting and self._waiting_bytes + len(frame) > MAX_WAITING_BYTES:
            self.is_dropped = True
            self._waiting.clear()
        else:
            self._waiting.append(frame)
            self._waiting_bytes += len(frame)
        self.changed.set()

    def take(self) -> bytes:
        """Everything that waits; b"": nothing does."""
        taken = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self.changed.clear()
        return taken


@dataclass(slots=True)
class _Watched:
    source: Source
    task: asyncio.Task[None] | None = None
    viewers: set[Viewer] = field(default_factory=set)
    joined: asyncio.Event = field(default_factory=asyncio.Event)


class Feed:
    """All viewers and what they watch. `open_source` makes a topic's source, and refuses unknown topics."""

    def __init__(self, open_source: Callable[[Topic], Source], spawn: Spawn, log: Logger) -> None:
        self._open_source = open_source
        self._spawn = spawn
        self._log = log
        self._watched: dict[Topic, _Watched] = {}
        self._viewers: set[Viewer] = set()

    @property
    def topics(self) -> frozenset[Topic]:
        """What is watched now."""
        return frozenset(self._watched)

    def join(self, topics: Iterable[Topic]) -> Viewer:
        """A new viewer of these. Raises Problem "overloaded"."""
        if len(self._viewers) >= MAX_VIEWERS:
            raise Problem("overloaded", f"{MAX_VIEWERS} viewers are watching this node already")
        viewer = Viewer()
        self._viewers.add(viewer)
        for topic in topics:
            watched = self._watched.get(topic)
            if watched is None:
                watched = self._watched[topic] = _Watched(self._open_source(topic))
                watched.task = self._spawn(self._follow(topic, watched), f"watch {topic.name}")
            viewer.give(watched.source.whole())
            watched.viewers.add(viewer)
            watched.joined.set()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """A viewer is gone; what nobody else watches is not asked any more."""
        self._viewers.discard(viewer)
        for topic, watched in list(self._watched.items()):
            watched.viewers.discard(viewer)
            if not watched.viewers:
                del self._watched[topic]
                if watched.task is not None:
                    watched.task.cancel()

    async def _follow(self, topic: Topic, watched: _Watched) -> None:
        loop = asyncio.get_running_loop()
        source = watched.source
        in_trouble = False
        while True:
            watched.joined.clear()
            began_s = loop.time()
            try:
                # that a trouble is over is news, even if there is no other
                frame = await source.news() or (source.whole() if in_trouble else b"")
                in_trouble = False
            except Problem as problem:
                frame, in_trouble = source.trouble(problem), True
            except Exception as error:  # noqa: BLE001 - the guard of a source: a view that fails must not end the actor
                self._log.error("what is watched could not be told", topic=topic.name, exc_info=error)
                unknown = Problem("internal", "the node failed to tell this; its log has the reason")
                frame, in_trouble = source.trouble(unknown), True
            for viewer in watched.viewers:
                viewer.give(frame)
            await _rest(watched, min((loop.time() - began_s) * REST_SHARE, MAX_REST_S))


async def _rest(watched: _Watched, least_s: float) -> None:
    """Wait out the period; a viewer that joins ends it, but not before the source has rested for `least_s`."""
    await asyncio.sleep(least_s)
    try:
        async with asyncio.timeout(max(0.0, watched.source.period_s - least_s)):
            await watched.joined.wait()
    except TimeoutError:
        return
