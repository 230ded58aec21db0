"""Messages of a standard execution, while parts of the node restart and messages arrive in any order: each is received
once."""

from __future__ import annotations

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorfaas.messages import Done, ReceiveMessage, SendMessage, TakeAlias
from tests.core.talking_rig import TalkingWorld
from tests.core.world_node import S

DELIVERIES = ("to_queue", "from_queue", "to_supervisor", "from_supervisor", "to_store")
RESTARTS = ("restart_queue", "restart_manager", "restart_supervisor", "restart_node")
ACTS = ("send", "send", "receive", "receive", "change", "return", "settle", *DELIVERIES, *RESTARTS)
MOST_RESTARTS = 9
"""A tenth would count as the failure of the functions."""


class Talk:
    """a sends numbers to b; who is between two asks can ask again. `confirmed`: what a heard is kept."""

    def __init__(self) -> None:
        self.world = TalkingWorld()
        self.sent = 0
        self.confirmed: set[int] = set()
        self.asked: dict[str, tuple[str, int]] = {}
        self.restarts = 0

    def do(self, act: str) -> None:
        """One thing happens, if it can."""
        if act in RESTARTS:
            self.restarts += 1
            if self.restarts <= MOST_RESTARTS:
                self.asked.clear()
                getattr(self.world, act)()
        elif act in DELIVERIES:
            self.world.deliver(act)
        elif act == "settle":
            self.world.settle()
        else:
            self.act(act)
        self.hear()

    def act(self, act: str) -> None:
        """Something that a or b does."""
        name = "a" if act in ("send", "change") else "b"
        running = [one for one in self.world.busy() if one.startswith(f"{name}@")]
        if len(running) != 1 or self.asked.get(name, ("", 0))[0] == running[0]:
            return
        match act:
            case "send":
                self.sent += 1
                self.asked[name] = running[0], self.sent
                self.world.asks(name, SendMessage("b", -1, b"%d" % self.sent))
            case "receive":
                self.asked[name] = running[0], 0
                self.world.asks(name, ReceiveMessage(1_000 * S))
            case "change":
                self.world.finish_with(running[0], b"changes")
            case _:
                self.world.finish(running[0])

    def hear(self) -> None:
        """Take in what was answered."""
        for name, (_, number) in list(self.asked.items()):
            heard = self.world.heard.pop(name, None)
            if heard is not None:
                del self.asked[name]
                if heard == Done():
                    self.confirmed.add(number)

    def left(self) -> list[int]:
        """What b never received, as c hears it."""
        world = self.world
        world.settle()
        for topic in [one for one in world.busy() if one.startswith("b@")]:
            world.finish(topic)
        world.settle()
        world.asks("c", TakeAlias("b"))
        found: list[int] = []
        while payload := world.receives("c"):
            found.append(int(payload))
        return found

    def received(self) -> list[int]:
        """What the journal says that b received."""
        numbers = [number for payload in self.world.events("MessagesReceived") for number in orjson.loads(payload)]
        return [self.kept()[number] for number in numbers]

    def kept(self) -> dict[int, int]:
        """The messages that are in the journal, by their events."""
        events = self.world.store["e1"].events
        return {seq: orjson.loads(one.payload)["message"] for seq, one in events.items() if one.type == "MessageSent"}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(ACTS), min_size=20, max_size=60))
def test_every_message_is_received_once(acts: list[str]) -> None:
    talk = Talk()
    for act in acts:
        talk.do(act)
    left = talk.left()
    kept = list(talk.kept().values())
    assert talk.confirmed <= set(kept)
    assert sorted(talk.received() + left) == sorted(kept)
    assert left == sorted(left)
