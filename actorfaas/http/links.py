"""The other actors as the HTTP layer sees them: who is connected, waiting briefly for one that restarts, its loss.

Owns the bounded patience that makes an actor's restart mostly invisible to new requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from actorfaas.config import Settings
from actorfaas.errors import ActorFaasError, PeerUnavailable, RequestRefused
from actorfaas.http.problems import Problem, from_peer_error
from actorfaas.logs import Logger
from actorfaas.messages import ActorDescription, Message

M = TypeVar("M", bound=Message)
T = TypeVar("T")

LOCAL_QUEUE = "local_queue"
EXECUTION_MANAGER = "execution_manager"
DATA_LAYER = "data_layer"
FW_SUPERVISOR = "fw_supervisor"
SWAPPER = "swapper"

RECONNECT_PATIENCE_S = 1.0
"""How long a new request waits for a part that restarts before it is refused."""


class Office(Protocol):
    """What the hosting actor provides (see `runtime.actor.Actor`)."""

    @property
    def settings(self) -> Settings: ...
    @property
    def log(self) -> Logger: ...
    def tell(self, peer: str, message: Message) -> None: ...
    async def ask(self, peer: str, message: Message, expect: type[M], timeout_s: float | None = None) -> M: ...
    def is_connected(self, peer: str) -> bool: ...
    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]: ...
    def describe(self) -> ActorDescription: ...


class Links:
    """Connection state of the peers, kept from the facts that the actor forwards."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._up: dict[str, asyncio.Event] = {}
        self._losses: dict[str, asyncio.Future[None]] = {}
        self._stopping: asyncio.Future[None] | None = None

    def connected(self, peer: str) -> None:
        """A peer can be reached (again)."""
        self._event(peer).set()

    def disconnected(self, peer: str) -> None:
        """A peer went away; whoever watches `loss` learns it now."""
        self._event(peer).clear()
        loss = self._losses.pop(peer, None)
        if loss is not None and not loss.done():
            loss.set_result(None)

    @property
    def stopping(self) -> asyncio.Future[None]:
        """A future shared by all waiters that ends when nothing may wait any longer. Never cancel it."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_future()
        return self._stopping

    def stop_waiting(self) -> None:
        """The node stops, and the time for calls under way is over."""
        if not self.stopping.done():
            self.stopping.set_result(None)

    def loss(self, peer: str) -> asyncio.Future[None]:
        """A future shared by all waiters that ends when the present connection does. Never cancel it."""
        loss = self._losses.get(peer)
        if loss is None or loss.done():
            loss = self._losses[peer] = asyncio.get_running_loop().create_future()
        return loss

    async def ready(self, peer: str, patience_s: float = RECONNECT_PATIENCE_S) -> None:
        """Return at once when `peer` is connected, else wait a little. Raises Problem "restarting"."""
        if self._office.is_connected(peer):
            return
        if not await wait_briefly(self._event(peer), patience_s):
            raise Problem("restarting", f"{peer} is not connected; try again in a moment")

    async def ready_again(self, peer: str, patience_s: float = RECONNECT_PATIENCE_S) -> None:
        """Wait until a peer that said it is stopping is gone and back. Raises Problem "restarting"."""
        if self._office.is_connected(peer):
            await asyncio.wait((self.loss(peer),), timeout=patience_s)
        await self.ready(peer, patience_s)

    async def send(self, peer: str, message: Message) -> None:
        """Tell, waiting briefly for a connection. Raises Problem "restarting" or "overloaded"."""
        await self.ready(peer)
        try:
            self._office.tell(peer, message)
        except ActorFaasError as error:
            raise from_peer_error(error) from error

    async def ask(
        self, peer: str, message: Message, expect: type[M], timeout_s: float | None = None, *, repeat: bool = True
    ) -> M:
        """Ask; once more if the connection broke meanwhile, unless `repeat` is False because the request changes
        something. Every failure is a Problem."""
        await self.ready(peer)
        try:
            return await self._office.ask(peer, message, expect, timeout_s)
        except ActorFaasError as error:
            if not repeat or not is_restart(error):
                raise from_peer_error(error) from error
        await self.ready_again(peer)
        try:
            return await self._office.ask(peer, message, expect, timeout_s)
        except ActorFaasError as error:
            raise from_peer_error(error) from error

    async def ask_patiently(self, peer: str, message: Message, expect: type[M], wait_s: float) -> M:
        """Ask something that is answered only when there is news, or after `wait_s`; a stop of the node ends the wait.
        Every failure is a Problem."""
        ask = self.ask(peer, message, expect, wait_s + self._office.settings.ask_timeout_s)
        return await self.unless_stopping(ask, f"wait for {type(message).__name__}")

    async def unless_stopping(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """What `work` gives, which may take long; a stop of the node cancels it. Raises Problem "stopping"."""
        task = asyncio.create_task(work, name=name)
        try:
            await asyncio.wait((task, self.stopping), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Problem("stopping", "the node is stopping")
        finally:
            task.cancel()

    def _event(self, peer: str) -> asyncio.Event:
        event = self._up.get(peer)
        if event is None:
            event = self._up[peer] = asyncio.Event()
        return event


def is_restart(error: ActorFaasError) -> bool:
    """Whether an ask failed because the peer went away or is about to."""
    return isinstance(error, PeerUnavailable) or (isinstance(error, RequestRefused) and error.code == "stopping")


async def wait_briefly(event: asyncio.Event, patience_s: float = RECONNECT_PATIENCE_S) -> bool:
    """Whether `event` is set, now or within `patience_s`."""
    try:
        async with asyncio.timeout(max(0.0, patience_s)):
            await event.wait()
    except TimeoutError:
        return False
    return True
