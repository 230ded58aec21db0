"""Messages between running functions of one execution, in memory: sent to an address, received by whoever has it.

A message that nobody waits for stays until a task with its address asks, also one that has yet to begin; what is left
when the execution ends is dropped. Whoever waits holds its worker: it is busy, and ends like any other task.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from actorfaas.core.queue.board import Board
from actorfaas.core.queue.records import Assignment, Peer, Worker
from actorfaas.core.queue.timers import TimerWheel
from actorfaas.messages import Done, MessageReceived, Refused, SendMessage, SessionOpened

MESSAGES_LIMIT = 1000
BYTES_LIMIT = 8 * 1024 * 1024
"""What may wait in one execution; more is refused."""

ALL_BYTES_LIMIT = 64 * 1024 * 1024
"""What may wait in all of them."""

ALIASES_LIMIT = 16
"""Aliases that one task may have."""

ADDRESS_LIMIT = 256
"""Characters of an address."""

ENDED = Refused("cancelled", "the execution has ended: no message will come")
"""What a task hears that waits for a message then, as one does that was answered from outside and left to end."""

ANY = -1
Address = tuple[str, int]


class _Waiting(NamedTuple):
    """A message in its box. `number`: the how manieth of its execution it is."""

    number: int
    message: MessageReceived


class Receiver:
    """A task that waits for a message until `due_ns`; `answer` is where it goes."""

    __slots__ = ("answer", "due_ns", "worker")

    def __init__(self, worker: Worker, answer: Peer, due_ns: int) -> None:
        self.worker = worker
        self.answer = answer
        self.due_ns = due_ns


class Session:
    """The boxes of one execution, and who takes part."""

    __slots__ = ("aliases", "boxes", "count", "execution_id", "receivers", "size_bytes", "waiting")

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self.boxes: dict[Address, deque[_Waiting]] = {}
        self.receivers: dict[Worker, Receiver] = {}
        self.aliases: dict[str, Worker] = {}
        self.count = 0
        self.waiting = 0
        self.size_bytes = 0

    def addresses(self, worker: Worker, task: Assignment) -> list[Address]:
        """Where a task receives."""
        own = [(task.state, ANY)] if task.index == ANY else [(task.state, ANY), (task.state, task.index)]
        return own + [(alias, ANY) for alias, holder in self.aliases.items() if holder is worker]


class Sessions:
    """All executions whose functions send each other messages."""

    __slots__ = ("_board", "_sessions", "_size_bytes", "_timers")

    def __init__(self, board: Board) -> None:
        self._board = board
        self._sessions: dict[str, Session] = {}
        self._timers: TimerWheel[Receiver] = TimerWheel()
        self._size_bytes = 0

    # --- tasks -------------------------------------------------------------------------------------------------------

    def send(self, worker: Worker, task: Assignment, sent: SendMessage) -> Done | Refused:
        """A message for an address: to whoever waits there, or into its box."""
        if not 0 < len(sent.to) <= ADDRESS_LIMIT or sent.index < ANY:
            return Refused("invalid", f"a message goes to a name of 1 to {ADDRESS_LIMIT} characters")
        session = self._session(worker, task)
        address = sent.to, sent.index
        message = MessageReceived(sent.payload)
        for receiver in session.receivers.values():
            lease = receiver.worker.lease
            if isinstance(lease, Assignment) and address in session.addresses(receiver.worker, lease):
                self._forget(session, receiver)
                self._board.outbox.append((receiver.answer, message))
                return Done()
        return self._keep(session, address, message)

    def receive(self, worker: Worker, task: Assignment, answer: Peer, timeout_ns: int, now: int) -> None:
        """The oldest message for a task goes to `answer`: now, or when it comes, or "timeout" instead."""
        session = self._session(worker, task)
        boxes = [(session.boxes[one][0].number, one) for one in session.addresses(worker, task) if one in session.boxes]
        if boxes:
            self._board.outbox.append((answer, self._take(session, min(boxes)[1])))
        elif worker in session.receivers:
            self._board.outbox.append((answer, Refused("busy", "this task waits for a message already")))
        else:
            receiver = Receiver(worker, answer, now + max(0, timeout_ns))
            session.receivers[worker] = receiver
            self._timers.add(receiver.due_ns, receiver)

    def take_alias(self, worker: Worker, task: Assignment, alias: str) -> Done | Refused:
        """A task takes a name under which it receives."""
        if not 0 < len(alias) <= ADDRESS_LIMIT:
            return Refused("invalid", f"an alias has 1 to {ADDRESS_LIMIT} characters")
        session = self._session(worker, task)
        holder = session.aliases.get(alias)
        if holder is not None and holder is not worker:
            return Refused("conflict", f"another task of this execution has the alias {alias!r}")
        if holder is None and sum(one is worker for one in session.aliases.values()) >= ALIASES_LIMIT:
            return Refused("overloaded", f"a task can have {ALIASES_LIMIT} aliases")
        session.aliases[alias] = worker
        return Done()

    def left(self, worker: Worker) -> None:
        """A task that took part has ended: it waits no more, and its aliases are free."""
        session, worker.session = worker.session, None
        if session is None:
            return
        receiver = session.receivers.get(worker)
        if receiver is not None:
            self._forget(session, receiver)
        session.aliases = {alias: holder for alias, holder in session.aliases.items() if holder is not worker}

    # --- executions --------------------------------------------------------------------------------------------------

    def end(self, execution_id: str) -> dict[str, int]:
        """An execution has ended: whoever waits is told so. How many messages are left at which name."""
        session = self._sessions.pop(execution_id, None)
        if session is None:
            return {}
        for receiver in list(session.receivers.values()):
            self._forget(session, receiver)
            self._board.outbox.append((receiver.answer, ENDED))
        self._size_bytes -= session.size_bytes
        left: dict[str, int] = {}
        for (name, _), box in session.boxes.items():
            left[name] = left.get(name, 0) + len(box)
        return left

    def report_open(self) -> None:
        """A new ExecutionManager must know whose end to tell."""
        for execution_id in self._sessions:
            self._board.tell_manager(SessionOpened(execution_id))

    @property
    def needs_tick(self) -> bool:
        """Whether anybody waits until some time."""
        return bool(self._timers)

    def tick(self, now: int) -> None:
        """Answer those whose time is over."""
        for receiver in self._timers.due(now):
            session = receiver.worker.session
            if session is not None:
                session.receivers.pop(receiver.worker, None)
            self._board.outbox.append((receiver.answer, Refused("timeout", "no message came in time")))

    # --- boxes -------------------------------------------------------------------------------------------------------

    def _session(self, worker: Worker, task: Assignment) -> Session:
        session = self._sessions.get(task.execution_id)
        if session is None:
            session = self._sessions[task.execution_id] = Session(task.execution_id)
            self._board.tell_manager(SessionOpened(task.execution_id))
        worker.session = session
        return session

    def _keep(self, session: Session, address: Address, message: MessageReceived) -> Done | Refused:
        size_bytes = len(message.payload)
        if session.waiting >= MESSAGES_LIMIT or session.size_bytes + size_bytes > BYTES_LIMIT:
            what = f"{session.waiting} messages of {session.size_bytes} bytes wait in this execution"
            return Refused("overloaded", f"{what}; it can be {MESSAGES_LIMIT} and {BYTES_LIMIT}", True)
        if self._size_bytes + size_bytes > ALL_BYTES_LIMIT:
            return Refused("overloaded", f"messages of {self._size_bytes} bytes wait in all executions", True)
        session.count += 1
        session.boxes.setdefault(address, deque()).append(_Waiting(session.count, message))
        self._changed(session, 1, size_bytes)
        return Done()

    def _take(self, session: Session, address: Address) -> MessageReceived:
        box = session.boxes[address]
        message = box.popleft().message
        if not box:
            del session.boxes[address]
        self._changed(session, -1, -len(message.payload))
        return message

    def _changed(self, session: Session, count: int, size_bytes: int) -> None:
        session.waiting += count
        session.size_bytes += size_bytes
        self._size_bytes += size_bytes

    def _forget(self, session: Session, receiver: Receiver) -> None:
        session.receivers.pop(receiver.worker, None)
        self._timers.discard(receiver.due_ns, receiver)
