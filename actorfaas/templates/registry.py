"""The bundle templates that are alive, shared by the functions of a bundle and ended when none uses them.

A template nobody uses is kept for a while: a deploy imports the bundle first and asks for its functions later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from actorfaas.errors import DeployError
from actorfaas.messages import BundleRef
from actorfaas.templates.bundle import BundleTemplate
from actorfaas.templates.exits import OomWatch
from actorfaas.templates.launching import Start

LINGER_S = 30.0


class Key(NamedTuple):
    """What makes two bundles share a process: the same code, entry and interpreter."""

    sha256: str
    entry: str
    python: str
    bare: bool


class BundleTemplates:
    """One live template per key. `user` names whoever uses one: a function topic."""

    def __init__(
        self,
        start: Start,
        oom_watch: OomWatch,
        take_line: Callable[[BundleTemplate, str, bytes], None],
        *,
        timeout_s: float,
        linger_s: float = LINGER_S,
    ) -> None:
        self._how = start
        self._oom_watch = oom_watch
        self._take_line = take_line
        self._timeout_s = timeout_s
        self._linger_s = linger_s
        self._closed = False
        self._live: dict[Key, BundleTemplate] = {}
        self._users: dict[Key, set[str]] = {}
        self._locks: dict[Key, asyncio.Lock] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    async def acquire(self, bundle: BundleRef, bare: bool, user: str) -> BundleTemplate:
        """The bundle's template, started when there is none; kept until `release`. Raises DeployError."""
        if self._closed:
            raise DeployError("the supervisor is stopping")
        key = Key(bundle.sha256, bundle.entry, bundle.python, bare)
        self._users.setdefault(key, set()).add(user)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                template = self._live.get(key)
                if template is None or not template.is_alive:
                    template = await self._start(key, bundle)
        except BaseException:  # also when the wait is cancelled: who gets no template must not count as its user
            self._forget_user(key, user)
            raise
        return template

    def release(self, user: str) -> None:
        """`user` needs no bundle template any more."""
        for key in [key for key, users in self._users.items() if user in users]:
            self._forget_user(key, user)

    def processes(self) -> list[BundleTemplate]:
        """All that are alive or ending."""
        return list(self._live.values())

    def end_all(self, reason: str) -> list[BundleTemplate]:
        """End every template and start none any more; those whose `ended` is still to come."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for template in self._live.values():
            template.end(reason)
        return self.processes()

    async def _start(self, key: Key, bundle: BundleRef) -> BundleTemplate:
        def take_line(stream: str, line: bytes) -> None:
            self._take_line(template, stream, line)

        def after_end() -> None:
            if self._live.get(key) is template:
                del self._live[key]

        template = BundleTemplate(bundle, key.bare, self._oom_watch, take_line, after_end)
        self._live[key] = template
        try:
            await template.start(self._how, self._timeout_s)
        finally:
            if template.ended.is_set():
                after_end()
        return template

    def _forget_user(self, key: Key, user: str) -> None:
        users = self._users.get(key, set())
        users.discard(user)
        if not users and key not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(self._linger_s, self._end_if_unused, key)

    def _end_if_unused(self, key: Key) -> None:
        self._timers.pop(key, None)
        if self._users.get(key):
            return
        self._users.pop(key, None)
        lock = self._locks.get(key)
        if lock is not None and not lock.locked():
            del self._locks[key]
        template = self._live.get(key)
        if template is not None:
            template.end("no function uses it")
