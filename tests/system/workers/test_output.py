"""What handlers write, on its way out of a worker process."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorfaas.messages import (
    KvValue,
    Retire,
    TaskResult,
)
from actorfaas.wire import Kind
from tests.system.worker_rig import Bundle, Template, Worker, served

pytestmark = pytest.mark.system


def test_ten_megabytes_are_cut_with_one_notice(misbehaving: tuple[Worker, Template]) -> None:
    worker, _ = misbehaving
    worker.call({"do": "print", "lines": 100_000})
    worker.call({"do": "print", "lines": 1})
    worker.tell(Retire())
    records = worker.out.records()
    assert {record["r"] for record in records} == {"req_1", "req_2"}
    first = [record["t"] for record in records if record["r"] == "req_1"]
    assert len(first) == (1 << 20) // 100 + 1
    assert first[-1] == "output of this request is cut here: it exceeds 1048576 bytes"
    assert [record["t"] for record in records if record["r"] == "req_2"] == ["x" * 99]


def test_raw_writes_and_subprocesses_pass_untouched(misbehaving: tuple[Worker, Template]) -> None:
    worker, _ = misbehaving
    worker.call({"do": "raw"})
    worker.tell(Retire())
    assert worker.out.everything() == b"raw out\nfrom sh\n"
    assert worker.err.everything() == b"err\n"


def test_a_replaced_stdout_is_the_handlers_business(misbehaving: tuple[Worker, Template]) -> None:
    worker, _ = misbehaving
    worker.call({"do": "replace_stdout"})
    assert worker.call({"do": "where"})
    worker.tell(Retire())
    assert worker.out.everything() == b""


def test_output_is_readable_while_the_handler_runs(bundle: Bundle, tmp_path: Path) -> None:
    code = """
    import sys
    from actorfaas import function
    @function
    def slow(event, ctx):
        print("begun"); sys.stdout.flush()
        ctx.data.get("go")
    """
    with served(tmp_path / "code", code) as other:
        other.load()
        worker = other.template("slow").fork_worker()
        worker.send_task()
        assert b'"t":"begun"' in worker.out.wait_for(b"begun")
        get = worker.receive_frame()
        worker.tell(KvValue(0, b""), Kind.REPLY, get.ask_id)
        worker.receive(TaskResult)
