"""Actors alone in a test: real Unix sockets in a folder of the test, in the test's own event loop.

    async def test_something(kit):                    # the fixture is in conftest.py
        peer = await kit.fake("data_layer", peers=("local_queue",))   # a scriptable actor
        queue = await kit.start(LocalQueue(kit.settings))
        done = await peer.ask("local_queue", DeclareTopic(...), Done)
        task = await peer.expect(TopicDemand)

Everything started is stopped at the end, in reverse order; a failed task of an actor fails the test.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from actorfaas.config import Settings
from actorfaas.messages import Message
from actorfaas.runtime.actor import Actor, Connection, Overflow, Sender
from tests.patience import SLOWNESS

M = TypeVar("M", bound=Message)
A = TypeVar("A", bound=Actor)
T = TypeVar("T")

PATIENCE_S = 10.0 * SLOWNESS
"""How long a test waits for an event before it fails; never waited for when all is well."""


class FakePeer(Actor):
    """An actor that does what the test says: it records what arrives, and answers as scripted."""

    accepts_handover = True
    overflow = Overflow.PAUSE

    def __init__(self, settings: Settings, name: str, peers: tuple[str, ...] = ()) -> None:
        self.name = name  # type: ignore[misc]  # a class attribute of real actors; one class plays many here
        self.peers = peers  # type: ignore[misc]  # as above
        super().__init__(settings)
        self.messages: deque[tuple[Message, Sender]] = deque()
        self.sockets: deque[tuple[Message, socket.socket]] = deque()
        self.callers: dict[str, Connection] = {}
        self.gone: list[str] = []
        self._answers: dict[type[Message], Callable[[Message], Message | None]] = {}
        self._notifier: asyncio.Event = asyncio.Event()

    # --- script ------------------------------------------------------------------------------------------------

    def answer(self, asked: type[M], reply: Message | Callable[[M], Message | None]) -> None:
        """From now on answer every ask of this type, with a message or with what a function makes of it.

        A function that returns None leaves the ask to the test (`expect_ask`).
        """
        make = reply if callable(reply) else lambda _: reply
        self._answers[asked] = make  # type: ignore[assignment]  # called only with messages of type `asked`

    async def expect(self, kind: type[M], where: Callable[[M], bool] = lambda _: True) -> M:
        """The oldest recorded message of this type (and fulfilling `where`), now or when it comes."""
        message, _ = await self.expect_ask(kind, where)
        return message

    async def expect_ask(self, kind: type[M], where: Callable[[M], bool] = lambda _: True) -> tuple[M, Sender]:
        """As `expect`, with the sender, to reply to it."""

        def take() -> tuple[M, Sender] | None:
            for item in self.messages:
                if isinstance(item[0], kind) and where(item[0]):
                    self.messages.remove(item)
                    return item[0], item[1]
            return None

        return await self.until(take, f"a {kind.__name__}")

    async def expect_socket(self) -> tuple[Message, socket.socket]:
        """The next descriptor handed over, which the test then owns."""
        return await self.until(lambda: self.sockets.popleft() if self.sockets else None, "a descriptor")

    async def expect_caller(self, actor: str) -> Connection:
        """The connection of an actor that called this one."""
        return await self.until(lambda: self.callers.get(actor), f"a call of {actor}")

    def received(self, kind: type[M]) -> list[M]:
        """What was recorded of a type and not yet expected; nothing is waited for."""
        return [message for message, _ in self.messages if isinstance(message, kind)]

    async def until(self, take: Callable[[], T | None], what: str) -> T:
        """Wait until `take` finds something in what was recorded."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (found := take()) is None:
                    self._notifier.clear()
                    await self._notifier.wait()
                return found
        except TimeoutError:
            seen = [type(message).__name__ for message, _ in self.messages]
            raise AssertionError(f"{self.name} waited for {what}; it has {seen}") from None

    # --- actor -------------------------------------------------------------------------------------------------

    def receive(self, message: Message, sender: Sender) -> Awaitable[None] | None:
        make = self._answers.get(type(message))
        reply = make(message) if make is not None else None
        if reply is not None and sender.is_ask:
            sender.reply(reply)
        else:
            self.messages.append((message, sender))
        self._notifier.set()
        return None

    def peer_connected(self, connection: Connection) -> None:
        if not connection.is_outgoing:
            self.callers[connection.actor] = connection
        self._notifier.set()

    def peer_disconnected(self, connection: Connection) -> None:
        self.gone.append(connection.actor)
        if self.callers.get(connection.actor) is connection:
            del self.callers[connection.actor]
        self._notifier.set()

    def handed_over(self, message: Message, sock: socket.socket) -> None:
        self.sockets.append((message, sock))
        self._notifier.set()

    async def tear_down(self) -> None:
        for _, sock in self.sockets:
            sock.close()


class Kit:
    """Starts actors for one test and stops them."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder / "data", run_dir=folder / "run", ask_timeout_s=PATIENCE_S)
        self._started: list[Actor] = []

    def configure(self, **changes: object) -> Settings:
        """Change settings for the actors made after this."""
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]  # names are checked by replace
        return self.settings

    async def start(self, actor: A) -> A:
        """Start an actor; wait until the fake peers it names and that are running are connected to it."""
        self._started.append(actor)
        await actor.start()
        running = {other.name for other in self._started}
        for peer in actor.peers:
            if peer in running:
                await actor.wait_for_peer(peer, PATIENCE_S)
        for other in self._started:
            if actor.name in other.peers and other is not actor:
                await other.wait_for_peer(actor.name, PATIENCE_S)
        return actor

    async def fake(self, name: str, peers: tuple[str, ...] = ()) -> FakePeer:
        """Start a scriptable actor."""
        return await self.start(FakePeer(self.settings, name, peers))

    def started(self, name: str) -> Actor:
        """The running actor of that name."""
        return next(actor for actor in self._started if actor.name == name)

    async def stop(self, actor: Actor, deadline_s: float = 1.0) -> None:
        """Stop one actor now, as a graceful stop of its process would."""
        self._started.remove(actor)
        await actor.stop(deadline_s)

    async def close(self) -> None:
        """Stop everything; raise the failure of a task, if there was one."""
        failures = [actor.failure for actor in self._started if actor.failure is not None]
        while self._started:
            await self._started.pop().stop(deadline_s=0.2)
        if failures:
            raise failures[0]
