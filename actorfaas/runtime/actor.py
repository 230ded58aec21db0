"""An actor: one inbox, one owner of its state, connections to its peers, and tasks that end with it.

A subclass says what it is (`name`, `peers`, `overflow`) and what it does (`set_up`, `receive`, `drain`, `tear_down`);
everything else here is provided. The kernel answers `DescribeActor` of other actors itself, answers every ask that
would otherwise stay open, and reports the failure of a spawned task to the process, which then ends and is restarted.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from actorfaas import logs
from actorfaas.config import Settings
from actorfaas.logs import Logger
from actorfaas.messages import ActorDescription, DescribeActor, Message, Refused
from actorfaas.runtime import introspect
from actorfaas.runtime.channel import Connection, Credentials, attach
from actorfaas.runtime.clock import SYSTEM_CLOCK, Clock
from actorfaas.runtime.handover import HandoverClient, HandoverListener
from actorfaas.runtime.listener import Listener
from actorfaas.runtime.mailbox import Mailbox, Overflow
from actorfaas.runtime.peers import PeerLink
from actorfaas.runtime.tasks import Tasks
from actorfaas.runtime.trust import Trust
from actorfaas.wire import MAX_HEADER_BYTES

__all__ = ["Actor", "Connection", "Overflow", "Sender"]

M = TypeVar("M", bound=Message)
T = TypeVar("T")

_CLOSE_TIMEOUT_S = 1.0


class Sender:
    """Where a message came from, and the ask it belongs to."""

    __slots__ = ("_ask_id", "connection")

    def __init__(self, connection: Connection, ask_id: int) -> None:
        self.connection = connection
        self._ask_id = ask_id

    @property
    def actor(self) -> str:
        """The name its connection is known by."""
        return self.connection.actor

    @property
    def is_ask(self) -> bool:
        """Whether an answer is owed."""
        return self._ask_id != 0

    def reply(self, message: Message) -> None:
        """Answer the ask, exactly once. Nothing happens for a tell, or when the asker is gone."""
        if self._ask_id:
            self.connection.answer(self._ask_id, message)

    def refuse(self, code: str, detail: str, *, retryable: bool = False, retry_after_s: float = 0.0) -> None:
        """Answer with `Refused`; the codes are listed there."""
        self.reply(Refused(error=code, detail=detail, retryable=retryable, retry_after_s=retry_after_s))

    def refuse_if_open(self, code: str, detail: str, *, retryable: bool = False) -> None:
        """Answer with `Refused` unless an answer was already given."""
        if self._ask_id and not self.connection.is_answered(self._ask_id):
            self.refuse(code, detail, retryable=retryable)


Delivery = tuple[Message, Sender] | Callable[[], None]
"""What an inbox holds: a message, or a fact about a connection."""


class Actor:
    """Base of every actor; see the module's docstring, and docs/architecture.md for the whole contract."""

    name: ClassVar[str]
    peers: ClassVar[tuple[str, ...]] = ()
    overflow: ClassVar[Overflow] = Overflow.PAUSE
    accepts_handover: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log: Logger = logs.get(self.name)
        self.clock: Clock = SYSTEM_CLOCK
        self.trust = Trust()
        self.failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._tasks = Tasks(self.name, self._task_failed)
        self._inbox: Mailbox[Delivery] = Mailbox(self._handle, settings.mailbox_limit, self._has_room)
        self._connections: set[Connection] = set()
        self._guests: set[Connection] = set()  # adopted ones: who is at the other end is no actor
        self._paused: set[Connection] = set()
        self._refused = 0
        self._stopping = False
        self._listener: Listener | None = None
        self._handover_listener: HandoverListener | None = None
        self._handover_clients: dict[str, HandoverClient] = {}
        self._lag = introspect.LoopLag()
        self._links = {peer: self._link(peer) for peer in self.peers}

    # --- what a subclass says ------------------------------------------------------------------------------------

    async def set_up(self) -> None:
        """Before the first message. Peers are being connected meanwhile; see `wait_for_peer`."""

    def receive(self, message: Message, sender: Sender) -> Awaitable[None] | None:
        """One message. Return at once (long work is spawned), or an awaitable for which the inbox then waits."""
        raise NotImplementedError

    def peer_connected(self, connection: Connection) -> None:
        """A peer was connected (`connection.is_outgoing`), or somebody called; in inbox order."""

    def peer_disconnected(self, connection: Connection) -> None:
        """A connection ended, also an adopted one; its messages came before."""

    def handed_over(self, message: Message, sock: socket.socket) -> None:
        """A descriptor arrived; the actor owns it now."""
        raise NotImplementedError

    async def drain(self, deadline_s: float) -> None:
        """Asked to stop: refuse new work, finish what is under way. Messages still arrive; cut off at the deadline."""

    async def tear_down(self) -> None:
        """After the last message; connections still work. What stays unanswered is then refused."""

    # --- what the kernel provides --------------------------------------------------------------------------------

    def tell(self, peer: str, message: Message) -> None:
        """Send to a peer without waiting. Raises PeerUnavailable."""
        self._link_to(peer).connection.tell(message)

    async def ask(self, peer: str, message: Message, expect: type[M], timeout_s: float | None = None) -> M:
        """Ask a peer. Raises PeerUnavailable (at once when it is not connected), AskTimeout, RequestRefused."""
        return await self._link_to(peer).connection.ask(message, expect, timeout_s)

    def is_connected(self, peer: str) -> bool:
        """Whether a peer can be told something now."""
        return self._link_to(peer).is_up

    async def wait_for_peer(self, peer: str, timeout_s: float | None = None) -> Connection:
        """Wait until a peer is connected. Raises PeerUnavailable after `timeout_s` (default: ask_timeout_s)."""
        seconds = self.settings.ask_timeout_s if timeout_s is None else timeout_s
        return await self._link_to(peer).wait_until_up(seconds)

    async def hand_over(self, peer: str, message: Message, sock: socket.socket, timeout_s: float | None = None) -> None:
        """Give any actor that accepts handovers a copy of `sock`, with a message; back once it has both.

        Calls to one actor arrive in order. Raises PeerUnavailable, AskTimeout, RequestRefused.
        """
        client = self._handover_clients.get(peer)
        if client is None:
            path = handover_path(self.settings, peer)
            client = self._handover_clients[peer] = HandoverClient(peer, path, self.log, self._trusts)
        seconds = self.settings.ask_timeout_s if timeout_s is None else timeout_s
        await client.hand_over(message, sock, seconds)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run long work as a task of this actor. Its failure crashes the actor; at tear-down it is cancelled."""
        return self._tasks.spawn(coroutine, name)

    def adopt(self, sock: socket.socket, name: str, max_header_bytes: int = MAX_HEADER_BYTES) -> Connection:
        """A connection from a connected socket, which it owns; usable at once, its messages come from `name`.

        No introduction and no `peer_connected`: whoever adopts knows. `peer_disconnected` follows at its end.
        """
        connection = Connection(
            name, self, self.log, ask_timeout_s=self.settings.ask_timeout_s, max_header_bytes=max_header_bytes
        )
        self._connections.add(connection)
        self._guests.add(connection)
        self._tasks.spawn(self._attach(connection, sock), f"adopt {name}")
        return connection

    # --- life: set up, run, tear down ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect to the peers, set up, and only then open the door. Raises what `set_up` raises."""
        self._lag.start()
        for link in self._links.values():
            self._tasks.spawn(link.run(), f"link to {link.peer}")
        await self.set_up()
        self._inbox.open()
        path = self.settings.socket_path(self.name)
        seconds = self.settings.ask_timeout_s
        self._listener = Listener(path, self._tasks, self.log, seconds, self._trusts, self._welcome)
        if self.accepts_handover:
            path = handover_path(self.settings, self.name)
            self._handover_listener = HandoverListener(path, self.log, self._trusts, self._take_handover)

    async def run_until_failure(self) -> BaseException:
        """Wait for the failure of a spawned task; the process then stops this actor and exits non-zero."""
        await self._failed.wait()
        assert self.failure is not None  # set together
        return self.failure

    async def stop(self, deadline_s: float = 1.0) -> None:
        """Drain for at most `deadline_s`, tear down, refuse every open ask, end every task and connection."""
        if self._stopping:
            return
        self._stopping = True
        await self._within(deadline_s, self.drain(deadline_s), "drain")
        if self._listener is not None:
            self._listener.close()
        if self._handover_listener is not None:
            self._handover_listener.close()
        unread = await self._inbox.close(min(deadline_s, _CLOSE_TIMEOUT_S))
        for item in unread:
            if not isinstance(item, tuple):
                item()  # a fact: the actor's picture of its connections stays right for tear_down
        await self._within(max(deadline_s, _CLOSE_TIMEOUT_S), self.tear_down(), "tear down")
        refusal = Refused(error="stopping", detail=f"{self.name} is stopping", retryable=True)
        open_asks = sum(connection.refuse_open_asks(refusal) for connection in self._connections)
        if open_asks:
            self.log.info("unanswered requests refused", count=open_asks)
        stuck = await self._tasks.close(_CLOSE_TIMEOUT_S)
        if stuck:
            self.log.error("tasks did not end", tasks=stuck)
        await self._disconnect()
        self._lag.stop()

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None], what: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            self.log.warning("not finished in time", step=what, deadline_s=seconds)
        except Exception:
            self.log.exception("failed while stopping", step=what)

    async def _disconnect(self) -> None:
        for client in self._handover_clients.values():
            client.close()
        for connection in list(self._connections):
            connection.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CLOSE_TIMEOUT_S
        while self._connections and loop.time() < deadline:
            self._all_gone = loop.create_future()
            await asyncio.wait({self._all_gone}, timeout=deadline - loop.time())
        for connection in list(self._connections):
            connection.abort()

    _all_gone: asyncio.Future[None] | None = None

    # --- called by connections, listeners and links ----------------------------------------------------------------

    def message_arrived(self, connection: Connection, message: Message, ask_id: int) -> None:
        """Into the inbox, unless it is the kernel's to answer or the inbox is full."""
        if type(message) is DescribeActor and ask_id and connection not in self._guests:
            connection.answer(ask_id, self.describe())
            return
        if self._inbox.is_full:
            if self.overflow is Overflow.REFUSE:
                self._refused += 1
                Sender(connection, ask_id).refuse("overloaded", f"the inbox of {self.name} is full", retryable=True)
                return
            if connection not in self._paused:
                self._paused.add(connection)
                connection.pause_reading("inbox")
        self._inbox.put((message, Sender(connection, ask_id)))

    def burst_ended(self) -> None:
        self._inbox.pump()

    def connection_closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._guests.discard(connection)
        self._paused.discard(connection)
        link = self._links.get(connection.actor) if connection.is_outgoing else None
        if link is not None:
            link.connection_closed(connection)
        self._inbox.put(partial(self._fact, self.peer_disconnected, connection))
        self._inbox.pump()
        if self._all_gone is not None and not self._connections and not self._all_gone.done():
            self._all_gone.set_result(None)

    def describe(self) -> ActorDescription:
        """The numbers that `DescribeActor` asks for."""
        return ActorDescription(
            actor=self.name,
            pid=os.getpid(),
            mailbox_length=len(self._inbox),
            mailbox_limit=self._inbox.limit,
            messages_handled=self._inbox.handled,
            messages_refused=self._refused,
            tasks=len(self._tasks),
            open_files=introspect.open_files(),
            rss_bytes=introspect.rss_bytes(),
            connections=len(self._connections),
            loop_lag_ns=self._lag.take_ns(),
            restarts=introspect.restarts(),
        )

    def _link(self, peer: str) -> PeerLink:
        return PeerLink(
            peer,
            self.settings.socket_path(peer),
            caller=self.name,
            owner=self,
            log=self.log,
            ask_timeout_s=self.settings.ask_timeout_s,
            trusts=self._trusts,
            connected=self._peer_is_up,
        )

    def _trusts(self, credentials: Credentials) -> bool:
        return self.trust.covers(credentials)

    def _link_to(self, peer: str) -> PeerLink:
        link = self._links.get(peer)
        if link is None:
            raise ValueError(f"{peer} is not among the peers of {self.name}: {', '.join(self.peers) or 'none'}")
        return link

    def _peer_is_up(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._inbox.put(partial(self._fact, self.peer_connected, connection))
        self._inbox.pump()

    def _welcome(self, connection: Connection, caller: str) -> None:
        connection.pass_to(caller, self)
        self._peer_is_up(connection)

    async def _attach(self, connection: Connection, sock: socket.socket) -> None:
        try:
            await attach(connection, sock)
        except OSError as error:
            self.log.warning("a socket could not be adopted", peer=connection.actor, error=str(error))
            connection.abort()
            self.connection_closed(connection)

    def _take_handover(self, message: Message, sock: socket.socket) -> Refused | None:
        if self._inbox.is_full:
            self._refused += 1
            return Refused(error="overloaded", detail=f"the inbox of {self.name} is full", retryable=True)
        self._inbox.put(partial(self._fact, self.handed_over, message, sock))
        self._inbox.pump()
        return None

    def _has_room(self) -> None:
        for connection in self._paused:
            connection.resume_reading("inbox")
        self._paused.clear()

    def _task_failed(self, task: str, error: BaseException) -> None:
        self.log.error("a task failed", task=task, exc_info=error)
        if self.failure is None:
            self.failure = error
            self._failed.set()

    # --- one item of the inbox -------------------------------------------------------------------------------------

    def _handle(self, item: Delivery) -> Awaitable[None] | None:
        if not isinstance(item, tuple):
            item()
            return None
        message, sender = item
        try:
            awaitable = self.receive(message, sender)
        except Exception as error:  # noqa: BLE001 - the guard of `receive`: one message fails, the actor goes on
            self._receive_failed(message, sender, error)
            return None
        return None if awaitable is None else self._wait_for(awaitable, message, sender)

    async def _wait_for(self, awaitable: Awaitable[None], message: Message, sender: Sender) -> None:
        try:
            await awaitable
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._receive_failed(message, sender, error)  # what it awaited was cancelled, not the inbox
        except Exception as error:  # noqa: BLE001 - as in `_handle`
            self._receive_failed(message, sender, error)

    def _receive_failed(self, message: Message, sender: Sender, error: BaseException) -> None:
        kind = type(message).__name__
        self.log.error("a message could not be handled", message=kind, sender=sender.actor, exc_info=error)
        sender.refuse_if_open("internal", f"{self.name} failed on {kind}: {type(error).__name__}: {error}")

    def _fact(self, tell: Callable[..., None], *facts: object) -> None:
        try:
            tell(*facts)
        except Exception:
            self.log.exception("a fact could not be handled", fact=tell.__name__)


def handover_path(settings: Settings, actor: str) -> Path:
    """The socket on which an actor takes descriptors."""
    return settings.run_path / f"{actor}.handover.sock"
