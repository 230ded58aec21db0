"""Who is played in the test world: places that messages go to, and worker processes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from actorfaas.messages import Message, Task, Tend


class Peer:
    """The name of a place that messages go to."""

    def __init__(self, name: str) -> None:
        self.name = name

    def tell(self, message: Message, /) -> None:
        raise AssertionError("the core sends nothing by itself")


@dataclass
class Instance:
    """A worker process: what it was told and has not done."""

    peer: Peer
    topic: str
    function_topic: str
    pid: int
    tasks: deque[Task] = field(default_factory=deque)
    tends: deque[Tend] = field(default_factory=deque)
    is_retired: bool = False
    calls: int = 0
