"""Messages between running functions of one execution, in memory: sent to an address, received by whoever has it.

A message that nobody waits for stays until a task with its address asks, also one that has yet to begin; what is left
when the execution ends is dropped. Whoever waits holds its worker: it is busy, and ends like any other task.

In a standard execution a message is put here once the ExecutionManager has journalled it. What a task received there is
told when it returns; of one that ends otherwise it goes back into its box, for the next attempt.
"""

from __future__ import annotations

from collections import deque

from actorfaas.core.queue.board import Board
from actorfaas.core.queue.records import Assignment, Peer, Worker
from actorfaas.core.queue.timers import TimerWheel
from actorfaas.messages import (
    Done,
    KeptMessage,
    MessageReceived,
    MessagesTaken,
    Refused,
    RestoreMessages,
    SendMessage,
    SessionOpened,
)

MESSAGES_LIMIT = 10_000
BYTES_LIMIT = 8 * 1024 * 1024
"""What may wait in one execution, or be with tasks of a standard one that have not returned; more is refused."""

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


class Receiver:
    """A task that waits for a message until `due_ns`; `answer` is where it goes."""

    __slots__ = ("answer", "due_ns", "worker")

    def __init__(self, worker: Worker, answer: Peer, due_ns: int) -> None:
        self.worker = worker
        self.answer = answer
        self.due_ns = due_ns


class Session:
    """The boxes of one execution, and who takes part. `taken`: what tasks of a standard execution have received.
    `waiting`, `size_bytes`: how much there is in both."""

    __slots__ = (
        "aliases",
        "boxes",
        "count",
        "execution_id",
        "is_standard",
        "receivers",
        "size_bytes",
        "taken",
        "waiting",
    )

    def __init__(self, execution_id: str, is_standard: bool) -> None:
        self.execution_id = execution_id
        self.is_standard = is_standard
        self.boxes: dict[Address, deque[KeptMessage]] = {}
        self.receivers: dict[Worker, Receiver] = {}
        self.taken: dict[Worker, list[KeptMessage]] = {}
        self.aliases: dict[str, Worker] = {}
        self.count = 0
        self.waiting = 0
        self.size_bytes = 0

    def addresses(self, worker: Worker, task: Assignment) -> list[Address]:
        """Where a task receives."""
        own = [(task.state, ANY)] if task.index == ANY else [(task.state, ANY), (task.state, task.index)]
        return own + [(alias, ANY) for alias, holder in self.aliases.items() if holder is worker]

    def receiver_at(self, address: Address) -> Receiver | None:
        """Who waits there."""
        for receiver in self.receivers.values():
            lease = receiver.worker.lease
            if isinstance(lease, Assignment) and address in self.addresses(receiver.worker, lease):
                return receiver
        return None

    def put(self, message: KeptMessage) -> Address:
        """Put a message into its box, behind what is there; which one that is."""
        address = message.to, message.index
        self.boxes.setdefault(address, deque()).append(message)
        return address

    def numbers(self) -> set[int]:
        """The messages that are here."""
        places = [*self.boxes.values(), *self.taken.values()]
        return {message.number for messages in places for message in messages}


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
        """A message of an express execution for an address: to whoever waits there, or into its box."""
        refused = _refusal(sent)
        session = self._taking_part(worker, task)
        if refused is None and session.receiver_at((sent.to, sent.index)) is None:
            refused = self._full(session, len(sent.payload))
        if refused is not None:
            return refused
        session.count += 1
        self._arrived(session, KeptMessage(session.count, sent.to, sent.index, sent.payload))
        return Done()

    def refusal(self, worker: Worker, task: Assignment, sent: SendMessage) -> Refused | None:
        """Why a task of a standard execution cannot send a message, if so; else it is to be journalled, then kept."""
        return _refusal(sent) or self._full(self._taking_part(worker, task), len(sent.payload))

    def keep(self, execution_id: str, message: KeptMessage) -> None:
        """A message of a standard execution is journalled."""
        self._arrived(self._session(execution_id, is_standard=True), message)

    def restore(self, restored: RestoreMessages) -> None:
        """Messages that nobody has received, some of which may be here."""
        session = self._session(restored.execution_id, is_standard=True)
        here = session.numbers()
        missing = [message for message in restored.messages if message.number not in here]
        self._changed(session, len(missing), sum(len(message.payload) for message in missing))
        self._put_back(session, missing)

    def receive(self, worker: Worker, task: Assignment, answer: Peer, timeout_ns: int, now: int) -> None:
        """The oldest message for a task goes to `answer`: now, or when it comes, or "timeout" instead."""
        session = self._taking_part(worker, task)
        boxes = [(session.boxes[one][0].number, one) for one in session.addresses(worker, task) if one in session.boxes]
        if boxes:
            message = self._take(session, min(boxes)[1], worker)
            self._board.outbox.append((answer, MessageReceived(message.payload)))
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
        session = self._taking_part(worker, task)
        holder = session.aliases.get(alias)
        if holder is not None and holder is not worker:
            return Refused("conflict", f"another task of this execution has the alias {alias!r}")
        if holder is None and sum(one is worker for one in session.aliases.values()) >= ALIASES_LIMIT:
            return Refused("overloaded", f"a task can have {ALIASES_LIMIT} aliases")
        session.aliases[alias] = worker
        return Done()

    def returned(self, worker: Worker, task: Assignment) -> None:
        """A task has returned: what it received is its own."""
        session = worker.session
        taken = session.taken.pop(worker, None) if session is not None else None
        if session is not None and taken:
            numbers = tuple(message.number for message in taken)
            self._board.tell_manager(MessagesTaken(session.execution_id, task.request_id, numbers))
            self._changed(session, -len(taken), -sum(len(message.payload) for message in taken))
        self.left(worker)

    def left(self, worker: Worker) -> None:
        """A task has ended: it waits no more, its aliases are free, what it received is for others."""
        session, worker.session = worker.session, None
        if session is None:
            return
        receiver = session.receivers.get(worker)
        if receiver is not None:
            self._forget(session, receiver)
        session.aliases = {alias: holder for alias, holder in session.aliases.items() if holder is not worker}
        self._put_back(session, session.taken.pop(worker, []))

    # --- executions --------------------------------------------------------------------------------------------------

    def end(self, execution_id: str) -> dict[str, int]:
        """An execution has ended: whoever waits is told so. How many messages are left at which name."""
        session = self._sessions.pop(execution_id, None)
        if session is None:
            return {}
        for receiver in list(session.receivers.values()):
            self._forget(session, receiver)
            self._board.outbox.append((receiver.answer, ENDED))
        session.taken.clear()
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

    def _taking_part(self, worker: Worker, task: Assignment) -> Session:
        session = worker.session = self._session(task.execution_id, task.is_standard)
        return session

    def _session(self, execution_id: str, is_standard: bool) -> Session:
        session = self._sessions.get(execution_id)
        if session is None:
            session = self._sessions[execution_id] = Session(execution_id, is_standard)
            self._board.tell_manager(SessionOpened(execution_id))
        return session

    def _full(self, session: Session, size_bytes: int) -> Refused | None:
        if session.waiting >= MESSAGES_LIMIT or session.size_bytes + size_bytes > BYTES_LIMIT:
            what = f"{session.waiting} messages of {session.size_bytes} bytes wait in this execution"
            return Refused("overloaded", f"{what}; it can be {MESSAGES_LIMIT} and {BYTES_LIMIT}", True)
        if self._size_bytes + size_bytes > ALL_BYTES_LIMIT:
            return Refused("overloaded", f"messages of {self._size_bytes} bytes wait in all executions", True)
        return None

    def _arrived(self, session: Session, message: KeptMessage) -> None:
        """A new message goes into its box, or to whoever waits there."""
        self._changed(session, 1, len(message.payload))
        self._deliver(session, session.put(message))

    def _put_back(self, session: Session, messages: list[KeptMessage]) -> None:
        """Messages that are counted already go to their places in their boxes, or to whoever waits there."""
        for address in dict.fromkeys([session.put(message) for message in messages]):
            session.boxes[address] = deque(sorted(session.boxes[address], key=lambda message: message.number))
            self._deliver(session, address)

    def _deliver(self, session: Session, address: Address) -> None:
        while address in session.boxes and (receiver := session.receiver_at(address)) is not None:
            message = self._take(session, address, receiver.worker)
            self._forget(session, receiver)
            self._board.outbox.append((receiver.answer, MessageReceived(message.payload)))

    def _take(self, session: Session, address: Address, worker: Worker) -> KeptMessage:
        box = session.boxes[address]
        message = box.popleft()
        if not box:
            del session.boxes[address]
        if session.is_standard:
            session.taken.setdefault(worker, []).append(message)
        else:
            self._changed(session, -1, -len(message.payload))
        return message

    def _changed(self, session: Session, count: int, size_bytes: int) -> None:
        session.waiting += count
        session.size_bytes += size_bytes
        self._size_bytes += size_bytes

    def _forget(self, session: Session, receiver: Receiver) -> None:
        session.receivers.pop(receiver.worker, None)
        self._timers.discard(receiver.due_ns, receiver)


def _refusal(sent: SendMessage) -> Refused | None:
    if 0 < len(sent.to) <= ADDRESS_LIMIT and sent.index >= ANY:
        return None
    return Refused("invalid", f"a message goes to a name of 1 to {ADDRESS_LIMIT} characters")
