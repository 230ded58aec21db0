"""The functions and workflows that the tests of executions run."""

from __future__ import annotations

from actorfaas.config import MAX_DATA_BYTES
from tests.core.specs import chain, function, workflow
from tests.core.world import World

RETRY = (
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"a","Next":"b"},"b":{"Type":"Task","Resource":"b",'
    b'"End":true,"Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":2,"MaxAttempts":1}]}}}'
)
LIMITED = (
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"a","Next":"b"},'
    b'"b":{"Type":"Task","Resource":"b","TimeoutSeconds":3,"End":true}}}'
)
WAITING = (
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"a","Next":"w"},"w":{"Type":"Wait","Seconds":10,'
    b'"Next":"b"},"b":{"Type":"Task","Resource":"b","End":true}}}'
)


def make(*, look_ahead: int = 2, max_data_bytes: int = MAX_DATA_BYTES, **changes: object) -> World:
    world = World(look_ahead=look_ahead, max_data_bytes=max_data_bytes)
    world.deploy(
        function("a", **changes),
        function("b", **changes),
        function("c", **changes),
        workflows=(
            workflow("abc", chain("a", "b", "c")),
            workflow("abab", chain("a", "b", "a", "b")),
            workflow("retry", RETRY),
            workflow("limited", LIMITED),
            workflow("waiting", WAITING),
        ),
    )
    world.settle()
    return world


def the_busy(world: World) -> str:
    (topic,) = world.busy()
    return topic
