"""Messages as tests need them: everything that does not matter has a default."""

from __future__ import annotations

from pathlib import Path

from actorfaas import logs
from actorfaas.batches import packed
from actorfaas.config import Settings
from actorfaas.messages import (
    AppendHistory,
    BundleRef,
    CreateExecution,
    FinishExecution,
    FunctionSpec,
    HistoryEvent,
    KvCommit,
    KvWrite,
    LogLine,
    ReadLogs,
    SaveDeployment,
    WorkflowSpec,
)
from actorfaas.storage.sqlite_store import SqliteStore
from actorfaas.writes import ADD, ANY_VERSION, DELETE, PUT


class Wall:
    """A wall clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


def sqlite_store(folder: Path, wall: Wall | None = None, **changes: object) -> SqliteStore:
    """A store that is not open yet. `normal`: these tests do not cut the power."""
    values = {"data_dir": folder, "sqlite_synchronous": "normal", "spill_bytes": 100, **changes}
    return SqliteStore(Settings(**values), logs.get("test"), wall or Wall())  # type: ignore[arg-type]  # settings' own


def create(
    execution_id: str, payload: bytes = b"1", durability: str = "standard", name: str = "flow"
) -> CreateExecution:
    return CreateExecution(execution_id, name, "app", 3, "workflow", durability, 99, "00-trace", payload)


def event(seq: int, payload: bytes = b"", error_message: str = "") -> HistoryEvent:
    return HistoryEvent(
        seq, 1000 + seq, "TaskSucceeded", "s", 1, "f@1_22", "fork", 1, 2, 3, 4, "", error_message, payload
    )


def append(execution_id: str, *events: HistoryEvent) -> AppendHistory:
    return AppendHistory(execution_id, events)


def finish(
    execution_id: str, payload: bytes = b"", *events: HistoryEvent, status: str = "succeeded", error: str = ""
) -> FinishExecution:
    return FinishExecution(execution_id, status, error, f"{error} happened" if error else "", events, payload)


def kv_write(
    action: str, key: str, expected: int = ANY_VERSION, value: bytes = b"", ttl_ms: int = 0, amount: int = 0
) -> KvWrite:
    return KvWrite("", key, action, expected, ttl_ms, amount, value)


def kv_commit(*writes: KvWrite, app: str = "app", is_repeatable: bool = True) -> KvCommit:
    return KvCommit(app, is_repeatable, packed(writes))


def kv_put(app: str, key: str, expected: int, value: bytes, ttl_ms: int = 0) -> KvCommit:
    return kv_commit(kv_write(PUT, key, expected, value, ttl_ms), app=app, is_repeatable=expected < 0)


def kv_delete(app: str, key: str, expected: int) -> KvCommit:
    return kv_commit(kv_write(DELETE, key, expected), app=app, is_repeatable=expected < 0)


def kv_add(app: str, key: str, amount: int) -> KvCommit:
    return kv_commit(kv_write(ADD, key, amount=amount), app=app, is_repeatable=False)


def line(
    text: str, function: str = "f", request_id: str = "", execution_id: str = "", trace_id: str = "", at_ms: int = 5
) -> LogLine:
    return LogLine(0, at_ms, function, 1, request_id, execution_id, 77, "stdout", "", text, trace_id)


def read_logs(
    function: str = "",
    request_id: str = "",
    execution_id: str = "",
    after_seq: int = 0,
    limit: int = 100,
    tail: bool = False,
    wait_until_ns: int = 0,
) -> ReadLogs:
    return ReadLogs(function, request_id, execution_id, after_seq, limit, tail, wait_until_ns)


def function_spec(name: str) -> FunctionSpec:
    return FunctionSpec(name, "app", "sync", "auto", 0.0, 512, 16, 1000, 1, 60.0, 2, 0.1, "", {"A": "b"}, "does it")


def deployment(app: str = "shop") -> SaveDeployment:
    return SaveDeployment(
        BundleRef(app, "ab" * 32, f"/bundles/{app}", "app.py", "/usr/bin/python3"),
        (function_spec("pack"), function_spec("ship")),
        (WorkflowSpec("order", '{"StartAt": "päck"}'.encode(), "standard", 60.0, ""),),
    )
