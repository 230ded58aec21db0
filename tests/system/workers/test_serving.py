"""Worker processes that do what they are for: tasks, streams, key-value data, and how they are set up."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.batches import packed
from actorfaas.messages import (
    KvCommit,
    KvCommitted,
    KvGet,
    KvValue,
    KvWrite,
    Refused,
    Retire,
    TaskChunk,
    TaskCredit,
    TaskError,
    TaskResult,
)
from actorfaas.wire import Kind
from tests.system.worker_rig import Bundle, Template, Worker

pytestmark = pytest.mark.system


def test_a_worker_serves_task_after_task_and_keeps_its_state(worker_of: Any) -> None:
    worker, _ = worker_of("count")
    assert [worker.call() for _ in range(3)] == [1, 2, 3]
    other, _ = worker_of("count")
    assert other.call() == 1


@pytest.mark.parametrize("payload", [None, 1, "ü", {"a": [1, 2]}, "x" * 100_000, list(range(100_000))])
def test_payloads_come_back(worker_of: Any, payload: object) -> None:
    worker, _ = worker_of("echo")
    assert worker.call(payload) == payload


def test_the_result_goes_where_the_task_says(worker_of: Any) -> None:
    worker, _ = worker_of("echo")
    worker.send_task(1, next_topic="resize@3_4711")
    assert worker.receive(TaskResult).topic == "resize@3_4711"


def test_an_empty_payload_is_null_and_bad_json_is_said_to_be(worker_of: Any) -> None:
    worker, _ = worker_of("echo")
    assert worker.call(raw=b"") is None
    error = worker.fail(raw=b"{nope")
    assert (error.reason, error.exiting, error.traceback) == ("bad_payload", False, "")
    assert "not JSON" in error.error_message
    assert worker.call("still here") == "still here"


def test_coroutines_share_one_loop(worker_of: Any) -> None:
    worker, _ = worker_of("waits")
    assert [worker.call(1), worker.call(2)] == [[1, 1], [2, 1]]
    error = worker.fail("raise")
    assert (error.error_type, error.error_message) == ("LookupError", "async")
    assert error.traceback.splitlines()[1].startswith('  File "app.py"')


def test_a_new_worker_is_set_up_for_its_life(misbehaving: tuple[Worker, Template]) -> None:
    worker, _ = misbehaving
    facts = worker.call({"do": "facts"})
    assert isinstance(facts, dict)
    assert facts["comm"] == "af:misbehave"
    assert facts["oom"] == 1000
    assert facts["pid"] == facts["pgid"] == worker.pid
    assert facts["sigterm"] is facts["sigchld"] is True
    assert facts["threads"] == 1
    assert facts["opened"] == "\n", "a file that was opened at import stays open"


def test_a_worker_holds_its_own_descriptors_and_what_the_bundle_opened(
    misbehaving: tuple[Worker, Template], bundle: Bundle
) -> None:
    worker, _ = misbehaving
    found = worker.call({"do": "descriptors"})
    assert isinstance(found, dict)
    assert found.pop("0") == "/dev/null"
    pipes = [found.pop("1"), found.pop("2")]
    assert all(pipe.startswith("pipe:") for pipe in pipes)
    kinds = sorted(target.split(":")[0] for target in found.values())
    assert kinds == sorted(["socket", f"{bundle.ref.folder}/app.py"]), found


def test_workers_draw_different_random_numbers(worker_of: Any) -> None:
    drawn = [worker_of("misbehave")[0].call({"do": "random"}) for _ in range(3)]
    for numbers in zip(*drawn, strict=True):
        assert len(set(numbers)) == 3


def test_retire_ends_a_worker(worker_of: Any) -> None:
    worker, template = worker_of("echo")
    worker.tell(Retire())
    worker.wait_closed()
    assert template.exit_of(worker.pid).exit_code == 0


def test_a_closed_connection_ends_a_worker(worker_of: Any) -> None:
    worker, template = worker_of("echo")
    worker.connection.close()
    ended = template.exit_of(worker.pid)
    assert (ended.exit_code, ended.signal) == (0, 0)
    assert ended.max_rss_bytes > 1_000_000


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_waits_for_credit(worker_of: Any) -> None:
    worker, _ = worker_of("numbers")
    request_id = worker.send_task({"to": 5}, credit=2)
    assert [worker.receive(TaskChunk).payload for _ in range(2)] == [b"0", b"1"]
    worker.tell(TaskCredit("req_before", 100))  # of a stream that is over
    worker.connection.settimeout(0.2)
    with pytest.raises(TimeoutError):
        worker.receive_frame()
    worker.connection.settimeout(20)
    worker.tell(TaskCredit(request_id, 1))
    assert worker.receive(TaskChunk) == TaskChunk(request_id, "json", b"2")
    worker.tell(TaskCredit(request_id, 10))
    assert [worker.receive(TaskChunk).payload for _ in range(2)] == [b"3", b"4"]
    assert worker.receive(TaskResult).payload == b"null"
    worker.tell(TaskCredit(request_id, 10))
    worker.send_task({"to": 1}, credit=1)
    assert worker.receive(TaskChunk).payload == b"0"
    worker.receive(TaskResult)


def test_without_credit_items_are_gathered(worker_of: Any) -> None:
    worker, _ = worker_of("numbers")
    assert worker.call({"to": 3}) == [0, 1, 2]
    worker, _ = worker_of("pieces")
    assert worker.call({"pieces": ["a", "b"]}) == ["a", "b"]
    assert "result[0] is bytes" in worker.fail({"pieces": ["a"], "bytes": True}).error_message


def test_a_stream_that_fails_half_way(worker_of: Any) -> None:
    worker, _ = worker_of("numbers")
    worker.send_task({"to": 5, "fail_at": 1}, credit=8)
    assert worker.receive(TaskChunk).payload == b"0"
    error = worker.receive(TaskError)
    assert (error.reason, error.error_message) == ("handler_error", "half way")
    assert worker.call({"to": 1}) == [0]


@pytest.mark.parametrize(("as_bytes", "content"), [(True, "bytes"), (False, "text")])
def test_async_generators_stream_bytes_and_text(worker_of: Any, as_bytes: bool, content: str) -> None:
    worker, _ = worker_of("pieces")
    request_id = worker.send_task({"pieces": ["é", "b"], "bytes": as_bytes}, credit=8)
    assert worker.receive(TaskChunk) == TaskChunk(request_id, content, "é".encode())
    assert worker.receive(TaskChunk) == TaskChunk(request_id, content, b"b")
    worker.receive(TaskResult)


# --- key-value data ---------------------------------------------------------------------------------------------------


def test_key_value_data_over_the_connection(worker_of: Any) -> None:
    worker, _ = worker_of("remember")
    worker.send_task({"key": "k", "value": [1]}, execution_id="exec_1", state="Keep")
    put = worker.receive_frame()
    assert put.message == KvCommit("", True, packed([KvWrite("", "k", "put", -1, 0, 0, b"[1]")]))
    worker.tell(KvCommitted((7,)), Kind.REPLY, put.ask_id)
    get = worker.receive_frame()
    assert get.message == KvGet("", "k")
    worker.tell(KvValue(7, b"[1]"), Kind.REPLY, get.ask_id)
    assert orjson.loads(worker.receive(TaskResult).payload) == [7, [1], "req_1", "exec_1", "Keep"]


def test_changes_are_committed_when_the_handler_returns(worker_of: Any) -> None:
    worker, _ = worker_of("gather")
    worker.send_task(3)
    for reply in (KvValue(1, b"2"), KvValue(0, b"")):
        worker.tell(reply, Kind.REPLY, worker.receive_frame().ask_id)
    commit = worker.receive_frame()
    put, add = KvWrite("", "k", "put", -1, 0, 0, b"3"), KvWrite("/counter", "n", "add", -1, 0, 2, b"")
    assert commit.message == KvCommit("", False, packed([put, add]))
    worker.tell(KvCommitted((5, 2)), Kind.REPLY, commit.ask_id)
    assert orjson.loads(worker.receive(TaskResult).payload) == [2, -1, 3, 2]


def test_a_handler_that_fails_changes_nothing(worker_of: Any) -> None:
    worker, _ = worker_of("gather")
    worker.send_task("raise")
    for _ in range(2):
        worker.tell(KvValue(0, b""), Kind.REPLY, worker.receive_frame().ask_id)
    assert worker.receive(TaskError).error_message == "after the changes"


def test_a_conflict_at_the_end_is_a_failure(worker_of: Any) -> None:
    worker, _ = worker_of("gather")
    worker.send_task(3)
    for _ in range(2):
        worker.tell(KvValue(0, b""), Kind.REPLY, worker.receive_frame().ask_id)
    worker.tell(KvCommitted((), conflict=0), Kind.REPLY, worker.receive_frame().ask_id)
    assert worker.receive(TaskError).error_type == "VersionConflict"


def test_a_conflict_is_the_handlers_to_handle(worker_of: Any) -> None:
    worker, _ = worker_of("remember")
    worker.send_task({"key": "k", "value": 1, "if_version": 3})
    put = worker.receive_frame()
    worker.tell(KvCommitted((), conflict=0), Kind.REPLY, put.ask_id)
    error = worker.receive(TaskError)
    assert error.error_type == "VersionConflict"
    assert "ctx.data.now.put" in error.traceback
    assert "actorfaas/worker" not in error.traceback


def test_a_platform_that_is_away_is_no_fault_of_the_handler(worker_of: Any) -> None:
    worker, _ = worker_of("remember")
    worker.send_task({"key": "k", "value": 1})
    put = worker.receive_frame()
    worker.tell(Refused("unavailable", "the DataLayer is away", True), Kind.REPLY, put.ask_id)
    error = worker.receive(TaskError)
    assert (error.reason, error.error_type, error.error_message) == (
        "unavailable",
        "RequestRefused",
        "the DataLayer is away",
    )
    assert not error.exiting
