"""The LocalQueue actor: carries messages into `core.queue` and out of it, holds the workers' connections, ticks.

Who may say what is decided by the connection a message came over: a worker's (handed over by the supervisor) has a
worker's rights; topics and assignment belong to the ExecutionManager, deaths of workers to the supervisor; publishing
and asking what there is are open to every actor. Functions' data is passed on to the DataLayer, which owns it, what
they answer to tasks to the ExecutionManager: who has a token may answer, in whichever application, since an execution
that another application's workflow starts may have been given it. The ExecutionManager also journals the messages of
standard executions, before anybody receives them.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace
from typing import ClassVar

from actorfaas.actors.manager_link import ManagerLink
from actorfaas.config import Settings
from actorfaas.core.queue import Close, LocalQueueCore, Reading
from actorfaas.core.queue.local_queue import SessionMessage
from actorfaas.core.queue.records import Worker
from actorfaas.errors import AskTimeout, PeerUnavailable, RequestRefused
from actorfaas.messages import (
    AssignTask,
    AttachWorker,
    BeatTask,
    CancelRequest,
    ChunkCredit,
    DeclareTopic,
    DescribeQueue,
    Done,
    DropTopic,
    EndSession,
    FailTask,
    KeepMessage,
    KvCommit,
    KvCommitted,
    KvGet,
    KvKeys,
    KvList,
    KvValue,
    MeasureTopics,
    Message,
    MessageKept,
    Publish,
    Refused,
    ReleaseAssignment,
    ReleaseIdle,
    ReleaseWorker,
    RestoreMessages,
    RetireWorker,
    SetNextTopic,
    Subscribe,
    SucceedTask,
    TendWorker,
    TopicFigures,
    Unsubscribe,
    WorkerExited,
)
from actorfaas.runtime.actor import Actor, Connection, Overflow, Sender
from actorfaas.writes import qualified

TICK_S = 0.005

DATA_ASKS_LIMIT = 64
"""Asks for functions' data that one worker may have under way; more are refused as overloaded."""

DATA_BYTES_LIMIT = 64 * 1024 * 1024
"""Values that all workers together may have on their way to the DataLayer; more are refused as overloaded, before they
fill the one connection on which they travel."""

WORKER_HEADER_BYTES = 1024 * 1024
"""What a worker may say besides payloads. What it says is said to other actors in turn, with something added: it must
not get so long that they break off the connection on which everybody's calls travel."""

DATA_PATIENCE_S = 5.0
"""How long functions' data waits for a DataLayer that is restarting; never more than half of the time the request has
left, so that its handler hears of it before its own time is up, and is run again instead of having overrun."""

_DATA_ANSWERS: dict[type[Message], type[Message]] = {
    KvGet: KvValue,
    KvCommit: KvCommitted,
    KvList: KvKeys,
}
DataAsk = KvGet | KvCommit | KvList
TaskAnswer = SucceedTask | FailTask | BeatTask
Passed = DataAsk | TaskAnswer | KeepMessage


class Answer:
    """Where the answer of an ask goes, as the core sends messages."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def tell(self, message: Message, /) -> None:
        """Answer."""
        self._sender.reply(message)


class LocalQueue(Actor):
    """Topics, leases, rights, back-pressure. A full inbox pauses whoever fills it; nothing is lost."""

    name: ClassVar[str] = "local_queue"
    peers: ClassVar[tuple[str, ...]] = ("data_layer",)
    overflow: ClassVar[Overflow] = Overflow.PAUSE
    accepts_handover: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._manager = ManagerLink(self.log)
        self._core = LocalQueueCore(
            self._manager, int(settings.grow_after_ms * 1e6), settings.max_in_flight_bytes, settings.max_data_bytes
        )
        self._adopted: set[Connection] = set()
        self._data_asks: dict[Connection, int] = {}
        self._data_bytes = 0
        self._flushing = False
        self._time_matters = asyncio.Event()
        self._all_answered: asyncio.Event | None = None  # while draining

    async def set_up(self) -> None:
        """Start the one ticker."""
        self.spawn(self._tick(), "ticker")

    async def drain(self, deadline_s: float) -> None:
        """Refuse new requests and let those under way end."""
        self._core.refuse_new()
        if self._core.has_requests:
            self._all_answered = asyncio.Event()
            await self._all_answered.wait()

    async def tear_down(self) -> None:
        """Answer what is still under way."""
        self._core.stop(time.monotonic_ns())
        self._flush()

    # --- events ----------------------------------------------------------------------------------------------------

    def receive(self, message: Message, sender: Sender) -> None:
        """One message, from a worker or an actor."""
        now = time.monotonic_ns()
        connection = sender.connection
        worker = self._core.worker(connection)
        if worker is not None:
            self._from_worker(worker, message, sender, now)
        elif connection in self._adopted:
            return  # what a worker said before it lost its connection is not heard, nor taken for an actor's
        elif isinstance(message, Publish):
            self._core.publish(connection, message, now)
        else:
            self._from_actor(message, sender, now)
        self._flush()

    def handed_over(self, message: Message, sock: socket.socket) -> None:
        """The supervisor hands over the connection of a new worker."""
        if not isinstance(message, AttachWorker):
            sock.close()
            self.log.warning("a socket without a worker was handed over", message=type(message).__name__)
            return
        connection = self.adopt(sock, message.worker_topic, WORKER_HEADER_BYTES)
        self._adopted.add(connection)
        self._core.attach(connection, message, time.monotonic_ns())
        self._flush()

    def peer_connected(self, connection: Connection) -> None:
        """An actor connected; the ExecutionManager gets what waited for it."""
        if connection.actor == "execution_manager" and not connection.is_outgoing:
            self._manager.connected(connection)
            self._core.manager_connected()
            self._flush()

    def peer_disconnected(self, connection: Connection) -> None:
        """A worker or an actor is gone."""
        now = time.monotonic_ns()
        if connection in self._adopted:
            self._adopted.discard(connection)
            self._data_asks.pop(connection, None)
            self._core.worker_gone(connection, now)
        else:
            self._manager.disconnected(connection)
            self._core.publisher_gone(connection, now)
        self._flush()

    # --- who said what ---------------------------------------------------------------------------------------------

    def _from_worker(self, worker: Worker, message: Message, sender: Sender, now: int) -> None:
        if isinstance(message, DataAsk | TaskAnswer) and sender.is_ask:
            self._pass_on(worker, message, sender)
        elif isinstance(message, SessionMessage) and sender.is_ask:
            self._talk(worker, message, sender, now)
        elif sender.is_ask:
            self._core.break_off(worker, f"a worker may not ask {type(message).__name__}", now)
        else:
            self._core.worker_said(worker, message, now)

    def _from_actor(self, message: Message, sender: Sender, now: int) -> None:
        match message:
            case ChunkCredit():
                self._core.credit(sender.connection, message)
            case CancelRequest():
                self._core.cancel(sender.connection, message, now)
            case MeasureTopics():
                sender.reply(TopicFigures(self._core.topics()))
            case DescribeQueue():
                sender.reply(self._core.describe(now))
            case WorkerExited() if sender.actor == "fw_supervisor":
                self._core.worker_exited(message, now)
            case _ if sender.actor == "execution_manager":
                self._from_manager(message, sender, now)
            case _:
                self._not_understood(message, sender)

    def _from_manager(self, message: Message, sender: Sender, now: int) -> None:
        match message:
            case DeclareTopic():
                self._core.declare(message)
                sender.reply(Done())
            case DropTopic():
                self._core.drop(message, now)
            case Subscribe():
                self._core.subscribe(message, now)
            case TendWorker():
                self._core.tend(message)
            case Unsubscribe():
                self._unsubscribe(message, sender)
            case ReleaseIdle():
                self._core.release_idle(message)
            case ReleaseWorker():
                self._core.release_worker(message.worker_topic)
            case RetireWorker():
                self._core.retire(message.worker_topic, now)
            case _:
                self._assignment(message, sender, now)

    def _end_session(self, execution_id: str) -> None:
        left = self._core.end_session(execution_id)
        if left:
            self.log.warning("messages that no function received are dropped", execution_id=execution_id, left=left)

    def _assignment(self, message: Message, sender: Sender, now: int) -> None:
        match message:
            case AssignTask():
                self._core.assign(message, now)
            case SetNextTopic():
                self._core.set_next_topic(message)
            case ReleaseAssignment():
                self._core.release_assignment(message, now)
            case EndSession(execution_id):
                self._end_session(execution_id)
            case RestoreMessages():
                self._core.restore_messages(message)
            case _:
                self._not_understood(message, sender)

    def _unsubscribe(self, message: Unsubscribe, sender: Sender) -> None:
        refusal = self._core.unsubscribe(message.worker_topic)
        if refusal:
            sender.refuse(refusal, f"{message.worker_topic} cannot be taken back", retryable=refusal == "busy")
        else:
            sender.reply(Done())

    def _not_understood(self, message: Message, sender: Sender) -> None:
        what = f"{sender.actor} may not send {type(message).__name__} to the LocalQueue"
        self.log.warning("a message was refused", detail=what)
        sender.refuse("unauthorized", what)

    # --- what others do for functions ------------------------------------------------------------------------------

    def _talk(self, worker: Worker, message: SessionMessage, sender: Sender, now: int) -> None:
        """What functions say to each other: at once, or once it is journalled."""
        journalled = self._core.to_journal(worker, message)
        if journalled is None:
            self._core.talk(worker, message, Answer(sender), now)
        elif isinstance(journalled, Refused):
            sender.reply(journalled)
        else:
            self._pass_on(worker, journalled, sender)

    async def _journal(self, sent: KeepMessage) -> Done:
        kept = await self._manager.ask(sent, MessageKept)
        self._core.keep_message(sent, kept.number)
        self._flush()
        return Done()

    def _pass_on(self, worker: Worker, message: Passed, sender: Sender) -> None:
        under_way = self._data_asks.get(sender.connection, 0)
        size_bytes = _value_bytes(message)
        lease = worker.lease
        if lease is None or not self._core.may_use_data(worker):
            sender.refuse("unauthorized", "functions' data can be used only while a request runs")
        elif under_way >= DATA_ASKS_LIMIT:
            sender.refuse("overloaded", f"{under_way} operations are under way", retryable=True)
        elif self._data_bytes and self._data_bytes + size_bytes > DATA_BYTES_LIMIT:
            sender.refuse("overloaded", f"values of {self._data_bytes} bytes are being stored", retryable=True)
        else:
            self._data_asks[sender.connection] = under_way + 1
            self._data_bytes += size_bytes
            patience_s = min(DATA_PATIENCE_S, (lease.deadline_ns - time.monotonic_ns()) / 2e9)
            relay = self._relay(message, worker.app, sender, patience_s)
            self.spawn(relay, f"relay {type(message).__name__}")

    async def _relay(self, message: Passed, app: str, sender: Sender, patience_s: float) -> None:
        try:
            if isinstance(message, KeepMessage):
                sender.reply(await self._journal(message))
            elif isinstance(message, TaskAnswer):
                sender.reply(await self._manager.ask(message, Done))
            else:
                sender.reply(await self._ask_data(_in_the_name_of(app, message), patience_s))
        except RequestRefused as refused:
            sender.refuse(
                refused.code, refused.detail, retryable=refused.retryable, retry_after_s=refused.retry_after_s
            )
        except PeerUnavailable as error:
            sender.refuse("unavailable", str(error), retryable=True)
        except AskTimeout as error:
            sender.refuse("timeout", str(error))
        finally:
            self._data_bytes -= _value_bytes(message)
            if sender.connection in self._data_asks:
                self._data_asks[sender.connection] -= 1

    async def _ask_data(self, message: Message, patience_s: float) -> Message:
        """What the DataLayer answers; while it restarts it is waited for, at most `patience_s`. Raises
        PeerUnavailable, AskTimeout, RequestRefused.

        What was under way when it went is asked again, but no change that would not be the same if made twice: it
        may have happened.
        """
        deadline_s = time.monotonic() + min(patience_s, self.settings.ask_timeout_s)
        while True:
            await self.wait_for_peer("data_layer", max(0.0, deadline_s - time.monotonic()))
            try:
                return await self.ask("data_layer", message, _DATA_ANSWERS[type(message)])
            except PeerUnavailable:
                if (isinstance(message, KvCommit) and not message.is_repeatable) or time.monotonic() > deadline_s:
                    raise

    # --- effects and time ------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Carry out what the core decided. Sending can end a connection, and that fact can come back in here."""
        core = self._core
        if self._flushing:
            return  # the loop below reaches what was added
        self._flushing = True
        sent = 0
        try:
            for peer, message in core.outbox:
                sent += 1
                if isinstance(message, Message):
                    peer.tell(message)
                elif isinstance(peer, Connection):
                    self._direct(peer, message)
        finally:  # one message that cannot be sent must not silence the queue
            del core.outbox[:sent]
            self._flushing = False
        if self._all_answered is not None and not core.has_requests:
            self._all_answered.set()
        if not self._time_matters.is_set() and core.needs_tick:
            self._time_matters.set()

    def _direct(self, worker: Connection, instruction: Close | Reading) -> None:
        if isinstance(instruction, Close):
            self.log.warning("worker disconnected", worker=worker.actor, reason=instruction.reason)
            worker.close()
        elif instruction.goes_on:
            worker.resume_reading("stream")
        else:
            worker.pause_reading("stream")

    async def _tick(self) -> None:
        while True:
            await self._time_matters.wait()
            while self._core.needs_tick:
                await asyncio.sleep(TICK_S)
                self._core.tick(time.monotonic_ns())
                self._flush()
            self._time_matters.clear()


def _value_bytes(message: Message) -> int:
    return len(message.payload) if isinstance(message, KvCommit | SucceedTask | KeepMessage) else 0


def _in_the_name_of(app: str, message: DataAsk) -> Message:
    """What a worker of an application asks for, as the DataLayer is asked. Raises RequestRefused "unauthorized"."""
    if isinstance(message, KvCommit):
        return replace(message, app=app)
    return replace(message, namespace=qualified(message.namespace, app))
