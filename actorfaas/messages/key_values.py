"""Functions' data: FunctionWorker → LocalQueue → DataLayer."""

from __future__ import annotations

from actorfaas.messages.base import Message, message


@message(140)
class KvGet(Message):
    """FunctionWorker → LocalQueue → DataLayer (ask → KvValue). The LocalQueue fills in `namespace` (the app)."""

    namespace: str
    key: str


@message(141)
class KvPut(Message):
    """As `KvGet` (ask → KvValue without payload, or Refused "precondition_failed").

    `expected_version`: -1 whatever is there, 0 only if absent, else only if it has that version.
    """

    namespace: str
    key: str
    expected_version: int
    payload: bytes


@message(142)
class KvDelete(Message):
    """As `KvPut` (ask → Done)."""

    namespace: str
    key: str
    expected_version: int


@message(143)
class KvList(Message):
    """As `KvGet` (ask → KvKeys): keys with `prefix`, in order, after `after`."""

    namespace: str
    prefix: str
    after: str
    limit: int


@message(144)
class KvValue(Message):
    """Reply to `KvGet` and `KvPut`; `version` 0: no such key. `payload` is JSON."""

    version: int
    payload: bytes


@message(145)
class KvKeys(Message):
    """Reply to `KvList`."""

    keys: tuple[str, ...]
