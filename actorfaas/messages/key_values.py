"""Functions' data: FunctionWorker → LocalQueue → DataLayer, and Frontend → DataLayer.

All of it is keys with values in *namespaces*: an application's plain keys, one of its maps (the keys are the map's),
one of its sets (the keys are the members, the values empty) or its counters (the values are whole numbers). How a
namespace is called is `actorfaas.writes`' business.
"""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@message(140)
class KvGet(Message):
    """FunctionWorker → LocalQueue → DataLayer (ask → KvValue). The LocalQueue puts the worker's application in front
    of a `namespace` that begins with "/" or is empty."""

    namespace: str
    key: str


@struct
class KvWrite:
    """One change. `action`: put (to `value`), delete, or add (`amount`, to a counter).

    `expected_version`: -1 whatever is there, 0 only if absent, else only if it has that version. `ttl_ms`: the key is
    gone so long after the commit; 0: never.
    """

    namespace: str
    key: str
    action: str
    expected_version: int
    ttl_ms: int
    amount: int
    value: bytes


@message(141)
class KvBatch(Message):
    """Never sent by itself: changes that are made together or not at all, as the bytes that other messages carry."""

    writes: tuple[KvWrite, ...]


@message(142)
class KvCommit(Message):
    """As `KvGet` (ask → KvCommitted once committed): make the changes that `payload` (a `KvBatch`) holds, together.

    `app`: whose worker asks, filled in by the LocalQueue. `is_repeatable`: made twice, they are as if made once.
    """

    app: str
    is_repeatable: bool
    payload: bytes


@message(146)
class KvCommitted(Message):
    """Reply to `KvCommit`. `numbers`: of each change the key's new version, of a counter its new value, of a delete 0.

    `conflict`: which change expected another version, so that none was made; -1: all were."""

    numbers: tuple[int, ...]
    conflict: int = -1


@message(143)
class KvList(Message):
    """As `KvGet` (ask → KvKeys): keys with `prefix`, in order, after `after`."""

    namespace: str
    prefix: str
    after: str
    limit: int


@message(144)
class KvValue(Message):
    """Reply to `KvGet`; `version` 0: no such key. `payload` is JSON."""

    version: int
    payload: bytes


@message(145)
class KvKeys(Message):
    """Reply to `KvList` and `KvNames`."""

    keys: tuple[str, ...]


@message(147)
class KvNames(Message):
    """Frontend → DataLayer (ask → KvKeys): namespaces with `prefix` that hold something, in order, after `after`."""

    prefix: str
    after: str
    limit: int
