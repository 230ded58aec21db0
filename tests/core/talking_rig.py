"""A world whose handlers send each other messages, over both cores; of standard executions by the journal."""

from __future__ import annotations

from actorfaas.core.effects import Apart, Reply
from actorfaas.core.queue.local_queue import SessionMessage
from actorfaas.core.queue.records import Instruction
from actorfaas.messages import Done, KeepMessage, Message, MessageKept, MessageReceived, ReceiveMessage, SendMessage
from tests.core.branching_rig import RETRY, define, machine, task
from tests.core.specs import function
from tests.core.world import World
from tests.core.world_node import S
from tests.core.world_parts import Peer

BRANCHES = [machine(a=task("a")), machine(b=task("b", Retry=RETRY, Next="c"), c=task("c"))]
BOTH = machine(both={"Type": "Parallel", "Branches": BRANCHES, "End": True})


class TalkingWorld(World):
    """a runs beside b, after which c does; what each was answered is in `heard`."""

    def __init__(self, durability: str = "standard") -> None:
        super().__init__()
        self.heard: dict[str, Message] = {}
        self.sending: dict[int, tuple[KeepMessage, str]] = {}
        workflows = (define("both", BOTH, durability),)
        self.deploy(function("a"), function("b"), function("c"), workflows=workflows)
        self.settle()
        self.start("both", "e1", durability=durability)
        self.settle()

    def at(self, function_name: str) -> str:
        """The worker that runs a function."""
        (topic,) = [one for one in self.busy() if one.startswith(f"{function_name}@")]
        return topic

    def asks(self, function_name: str, message: SessionMessage) -> None:
        """A handler asks; nothing has arrived anywhere yet."""
        worker = self.queue.worker(self.instances[self.at(function_name)].peer)
        assert worker is not None
        self.heard.pop(function_name, None)
        asked = self.queue.to_journal(worker, message)
        if asked is None:
            self.queue.talk(worker, message, Peer(function_name), self.now)
        elif isinstance(asked, KeepMessage):
            self.queues["from_queue"].append(lambda: self._journal(asked, function_name))
        else:
            self.heard[function_name] = asked
        self._from_queue()

    def sends(self, function_name: str, to: str, payload: bytes) -> None:
        """A handler sends a message, and hears that it is kept."""
        self.asks(function_name, SendMessage(to, -1, payload))
        self.settle()
        assert self.heard[function_name] == Done()

    def receives(self, function_name: str) -> bytes:
        """The message that there is for a handler; b"" where it has to wait."""
        self.asks(function_name, ReceiveMessage(1 * S))
        heard = self.heard.get(function_name, MessageReceived(b""))
        assert isinstance(heard, MessageReceived)
        return heard.payload

    def events(self, type_: str) -> list[bytes]:
        """The payloads of journalled events of a type."""
        return [event.payload for event in self.store["e1"].events.values() if event.type == type_]

    def restart_queue(self) -> None:
        """As in the world; who was asked for the one before is answered no more."""
        self.sending.clear()
        super().restart_queue()

    def _journal(self, sent: KeepMessage, function_name: str) -> None:
        number = next(self.numbers)
        self.sending[number] = sent, function_name
        self.executions.message_sent(sent, number, self.now)

    def _apart(self, effect: Apart) -> None:
        super()._apart(effect)
        if isinstance(effect, Reply) and effect.number in self.sending:
            sent, function_name = self.sending.pop(effect.number)
            self.heard[function_name] = effect.message
            if isinstance(effect.message, MessageKept):
                self.heard[function_name] = Done()
                self.queue.keep_message(sent, effect.message.number)

    def _to_worker(self, peer: Peer, message: Instruction) -> None:
        if peer.name in self.instances:
            super()._to_worker(peer, message)
        elif isinstance(message, Message):
            self.heard[peer.name] = message
