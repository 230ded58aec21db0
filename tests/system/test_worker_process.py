"""Worker processes as they are: forked from real templates, serving handlers that behave and that do not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from actorfaas.messages import (
    KvGet,
    KvPut,
    KvValue,
    Refused,
    Retire,
    TaskChunk,
    TaskCredit,
    TaskError,
    TaskResult,
)
from actorfaas.wire import Kind
from tests.system.worker_rig import Bundle, Template, Worker, served

pytestmark = pytest.mark.system

HANDLERS = """
import asyncio, os, random, signal, socket, subprocess, sys, threading, time, uuid
from actorfaas import function

COUNT = 0
OPENED = open(__file__)
LOOPS = set()

@function
def echo(event): return event

@function
def count(event):
    global COUNT
    COUNT += 1
    return COUNT

@function
def misbehave(event):
    return globals()["do_" + event["do"]](event)

def do_raise(event): raise ValueError("wrong: " + "x" * event.get("size", 1))
def do_exit(event): sys.exit(event.get("code"))
def do_interrupt(event): raise KeyboardInterrupt
def do_os_exit(event): os._exit(9)
def do_kill(event): os.kill(os.getpid(), signal.SIGKILL)
def do_result(event): return {1, 2}
def do_deep(event):
    value = []
    for _ in range(100_000): value = [value]
    return value
def do_recurse(event): return do_recurse(event)
def do_large(event): return "x" * event["size"]
def do_close_connection(event):
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).startswith("socket:"): os.close(int(name))
        except OSError: pass
    return 1
def do_close_all(event): os.closerange(0, 4096)
def do_chdir(event): os.chdir("/"); os.environ["CHANGED"] = "yes"
def do_where(event): return [os.getcwd(), os.environ.get("CHANGED")]
def do_replace_stdout(event):
    import io
    sys.stdout = io.StringIO(); print("lost")
def do_threads(event):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return threading.active_count()
def do_fork(event):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        print("child speaks")
        if event["then"] == "raise": raise ValueError("in the child")
        if event["then"] == "exit": sys.exit(5)
        return "from the child"
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def do_daemon(event):
    if os.fork() == 0:
        time.sleep(3600)
    return "left"
def do_raw(event):
    os.write(1, b"raw out\\n"); subprocess.run(["sh", "-c", "echo from sh; echo err >&2"], check=True)
def do_print(event):
    for _ in range(event["lines"]): print("x" * 99)
def do_descriptors(event):
    found = {}
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try: found[name] = os.readlink("/proc/self/fd/" + name)
        except OSError: pass
    return found
def do_facts(event):
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {
        "comm": open("/proc/self/comm").read().strip(),
        "oom": int(open("/proc/self/oom_score_adj").read()),
        "pgid": os.getpgid(0), "pid": os.getpid(), "ppid": os.getppid(),
        "sigterm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "sigchld": signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL,
        "threads": int(status["Threads"]), "opened": OPENED.readline(),
    }
def do_random(event):
    numbers = [random.random(), uuid.uuid4().hex, uuid.uuid1().hex, os.urandom(8).hex()]
    if event.get("numpy"): numbers.append(sys.modules["numpy"].random.random())
    return numbers

@function(memory_mb=64)
def hog(event):
    if event["how"] == "raise": raise MemoryError
    held = []
    while True: held.append(bytearray(1024 * 1024))

@function
async def waits(event):
    LOOPS.add(id(asyncio.get_running_loop()))
    await asyncio.sleep(0)
    if event == "raise": raise LookupError("async")
    return [event, len(LOOPS)]

@function
def numbers(event):
    for number in range(event["to"]):
        if number == event.get("fail_at"): raise ValueError("half way")
        yield number

@function
async def pieces(event):
    for piece in event["pieces"]:
        await asyncio.sleep(0)
        yield piece.encode() if event.get("bytes") else piece

@function
def remember(event, ctx):
    version = ctx.kv.put(event["key"], event["value"], if_version=event.get("if_version"))
    return [version, ctx.kv.get(event["key"]), ctx.request_id, ctx.execution_id, ctx.state]
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with served(tmp_path_factory.mktemp("bundle") / "code", HANDLERS) as made:
        made.load()
        yield made


@pytest.fixture(scope="module")
def templates(bundle: Bundle) -> dict[str, Template]:
    return {}


@pytest.fixture
def worker_of(bundle: Bundle, templates: dict[str, Template]) -> Iterator[Any]:
    """Gives a new worker of a function; all of them end with the test."""
    given: list[tuple[Template, Worker]] = []

    def start(name: str) -> tuple[Worker, Template]:
        if name not in templates:
            templates[name] = bundle.template(name)
        template = templates[name]
        worker = template.fork_worker()
        given.append((template, worker))
        return worker, template

    yield start
    for template, worker in given:
        worker.close()
        template.exit_of(worker.pid)


@pytest.fixture
def misbehaving(worker_of: Any) -> tuple[Worker, Template]:
    started: tuple[Worker, Template] = worker_of("misbehave")
    return started


# --- what works ---------------------------------------------------------------------------------------------------


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


# --- streams ------------------------------------------------------------------------------------------------------


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


# --- key-value data ------------------------------------------------------------------------------------------------


def test_key_value_data_over_the_connection(worker_of: Any) -> None:
    worker, _ = worker_of("remember")
    worker.send_task({"key": "k", "value": [1]}, execution_id="exec_1", state="Keep")
    put = worker.receive_frame()
    assert put.message == KvPut("", "k", -1, b"[1]")
    worker.tell(KvValue(7, b""), Kind.REPLY, put.ask_id)
    get = worker.receive_frame()
    assert get.message == KvGet("", "k")
    worker.tell(KvValue(7, b"[1]"), Kind.REPLY, get.ask_id)
    assert orjson.loads(worker.receive(TaskResult).payload) == [7, [1], "req_1", "exec_1", "Keep"]


def test_a_conflict_is_the_handlers_to_handle(worker_of: Any) -> None:
    worker, _ = worker_of("remember")
    worker.send_task({"key": "k", "value": 1, "if_version": 3})
    put = worker.receive_frame()
    worker.tell(Refused("precondition_failed", "it is 4"), Kind.REPLY, put.ask_id)
    error = worker.receive(TaskError)
    assert error.error_type == "VersionConflict"
    assert "ctx.kv.put" in error.traceback
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


# --- handlers that fail ---------------------------------------------------------------------------------------------


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


# --- what handlers write ---------------------------------------------------------------------------------------------


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
        ctx.kv.get("go")
    """
    with served(tmp_path / "code", code) as other:
        other.load()
        worker = other.template("slow").fork_worker()
        worker.send_task()
        assert b'"t":"begun"' in worker.out.wait_for(b"begun")
        get = worker.receive_frame()
        worker.tell(KvValue(0, b""), Kind.REPLY, get.ask_id)
        worker.receive(TaskResult)
