"""Function logs: FunctionWorker supervisor → DataLayer ← Frontend."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct


@struct
class LogLine:
    """One line a function wrote. `stream`: stdout, stderr or log; `level` only for log."""

    seq: int
    at_ms: int
    function: str
    version: int
    request_id: str
    execution_id: str
    pid: int
    stream: str
    level: str
    text: str
    trace_id: str = ""


@message(150)
class AppendLogs(Message):
    """FunctionWorker supervisor → DataLayer: lines in order; `seq` is 0, the DataLayer numbers them."""

    lines: tuple[LogLine, ...]


@message(151)
class ReadLogs(Message):
    """Frontend → DataLayer (ask → Logs): lines after `after_seq` that match every filter given ("" matches all).

    `wait_until_ns`: when nothing matches, answer at the next matching line or at that instant (0: at once).
    `tail`: the newest `limit` lines instead of the oldest. `since_at_ms`: only lines written then or later.
    """

    function: str
    request_id: str
    execution_id: str
    after_seq: int
    limit: int
    tail: bool
    wait_until_ns: int
    trace_id: str = ""
    since_at_ms: int = 0


@message(152)
class Logs(Message):
    """Reply to `ReadLogs`; continue with `after_seq`."""

    lines: tuple[LogLine, ...]
    after_seq: int
