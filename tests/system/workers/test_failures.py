"""What becomes of a worker whose handler fails, and what its caller is told."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from actorfaas.messages import (
    Retire,
)
from tests.system.worker_rig import Bundle, Template, Worker

pytestmark = pytest.mark.system


def test_an_exception_is_told_with_the_persons_frames(misbehaving: tuple[Worker, Template]) -> None:
    worker, _ = misbehaving
    error = worker.fail({"do": "raise"})
    assert (error.reason, error.error_type, error.error_message) == ("handler_error", "ValueError", "wrong: x")
    assert error.traceback.startswith('Traceback (most recent call last):\n  File "app.py", line')
    assert "in do_raise" in error.traceback
    assert "actorfaas" not in error.traceback
    assert error.exiting is False
    assert worker.call({"do": "where"})


def test_a_huge_message_is_bounded(misbehaving: tuple[Worker, Template]) -> None:
    error = misbehaving[0].fail({"do": "raise", "size": 1_000_000})
    assert len(error.error_message.encode()) <= 4096
    assert len(error.traceback.encode()) <= 16384


@pytest.mark.parametrize(("code", "said", "status"), [(3, "3", 3), (None, "", 0), ("bye", "'bye'", 1)])
def test_sys_exit_is_reported_and_ends_the_worker(
    misbehaving: tuple[Worker, Template], code: object, said: str, status: int
) -> None:
    worker, template = misbehaving
    error = worker.fail({"do": "exit", "code": code})
    assert (error.reason, error.error_type, error.exiting) == ("handler_error", "SystemExit", True)
    assert error.error_message == f"the handler called sys.exit({said})"
    worker.wait_closed()
    assert template.exit_of(worker.pid).exit_code == status


def test_keyboard_interrupt_is_an_error_like_another(misbehaving: tuple[Worker, Template]) -> None:
    worker, _ = misbehaving
    assert worker.fail({"do": "interrupt"}).error_type == "KeyboardInterrupt"
    assert worker.call({"do": "where"})


@pytest.mark.parametrize(("what", "code", "number"), [("os_exit", 9, 0), ("kill", 0, signal.SIGKILL)])
def test_a_process_that_just_goes(misbehaving: tuple[Worker, Template], what: str, code: int, number: int) -> None:
    worker, template = misbehaving
    worker.send_task({"do": what})
    worker.wait_closed()
    ended = template.exit_of(worker.pid)
    assert (ended.exit_code, ended.signal) == (code, number)


@pytest.mark.parametrize(
    ("what", "says"),
    [("result", "result is a set, which is not JSON"), ("deep", "the result is nested deeper than 254 levels")],
)
def test_a_result_that_is_not_json(misbehaving: tuple[Worker, Template], what: str, says: str) -> None:
    worker, _ = misbehaving
    error = worker.fail({"do": what})
    assert error.reason == "bad_result"
    assert says in error.error_message
    assert worker.call({"do": "where"})


def test_endless_recursion(misbehaving: tuple[Worker, Template]) -> None:
    worker, _ = misbehaving
    error = worker.fail({"do": "recurse"})
    assert error.error_type == "RecursionError"
    assert len(error.traceback.encode()) <= 16384
    assert worker.call({"do": "where"})


def test_a_result_of_50_mb(misbehaving: tuple[Worker, Template]) -> None:
    assert misbehaving[0].call({"do": "large", "size": 50_000_000}) == "x" * 50_000_000


def test_a_result_above_the_limit_of_a_message(misbehaving: tuple[Worker, Template]) -> None:
    error = misbehaving[0].fail({"do": "large", "size": 70_000_000})
    assert error.reason == "bad_result"
    assert "70000002 bytes of JSON" in error.error_message


@pytest.mark.parametrize("how", ["allocate", "raise"])
def test_memory_without_end_meets_the_limit(worker_of: Any, how: str) -> None:
    worker, template = worker_of("hog")
    error = worker.fail({"how": how})
    assert (error.reason, error.error_type, error.exiting) == ("memory", "MemoryError", True)
    assert "limit of 64 MB (memory_mb)" in error.error_message
    worker.wait_closed()
    ended = template.exit_of(worker.pid)
    assert ended.exit_code == 73
    assert ended.max_rss_bytes < 160 * 1024 * 1024


@pytest.mark.parametrize("what", ["close_connection", "close_all"])
def test_a_handler_that_closes_the_workers_descriptors(misbehaving: tuple[Worker, Template], what: str) -> None:
    worker, template = misbehaving
    worker.send_task({"do": what})
    worker.wait_closed()
    assert template.exit_of(worker.pid).exit_code == 71
    if what == "close_connection":
        assert b"connection broke" in worker.err.everything()


@pytest.mark.parametrize(("then", "status"), [("return", 0), ("raise", 1), ("exit", 5)])
def test_a_forked_child_that_comes_back_never_speaks(
    misbehaving: tuple[Worker, Template], then: str, status: int
) -> None:
    worker, _ = misbehaving
    assert worker.call({"do": "fork", "then": then}) == status
    assert worker.call({"do": "where"}), "nothing else was on the connection"
    worker.tell(Retire())
    worker.wait_closed()
    assert [record["t"] for record in worker.out.records()] == ["child speaks"]


def test_a_process_left_behind_does_not_hold_the_connection(misbehaving: tuple[Worker, Template]) -> None:
    worker, _ = misbehaving
    assert worker.call({"do": "daemon"}) == "left"
    worker.tell(Retire())
    worker.wait_closed()
    os.killpg(worker.pid, signal.SIGKILL)  # a worker and what it started are one process group


def test_threads_left_behind_do_not_keep_the_process(misbehaving: tuple[Worker, Template]) -> None:
    worker, template = misbehaving
    assert worker.call({"do": "threads"}) == 2
    worker.tell(Retire())
    assert template.exit_of(worker.pid).exit_code == 0


def test_folder_and_environment_stay_changed(misbehaving: tuple[Worker, Template], bundle: Bundle) -> None:
    worker, _ = misbehaving
    assert worker.call({"do": "where"}) == [bundle.ref.folder, None]
    worker.call({"do": "chdir"})
    assert worker.call({"do": "where"}) == ["/", "yes"]
