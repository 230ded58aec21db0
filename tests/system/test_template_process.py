"""Template processes as they are: loading bundles, forking, reaping, ending; workers that load for themselves."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import select
import signal
from pathlib import Path

import pytest

from actorfaas.messages import (
    ForkTemplate,
    ForkWorker,
    LoadFailed,
    TemplateReady,
)
from tests.system.worker_rig import TIMEOUT_S, served

pytestmark = pytest.mark.system

SIMPLE = """
from actorfaas import function
@function
def echo(event): return event
"""


def wait_gone(pid: int, descriptor: int) -> None:
    """Wait until the process of this pidfd has ended."""
    try:
        ready, _, _ = select.select([descriptor], [], [], TIMEOUT_S)
        assert ready, f"process {pid} is still alive"
    finally:
        os.close(descriptor)


# --- loading ------------------------------------------------------------------------------------------------------


def test_a_bundle_tells_what_it_declares(tmp_path: Path) -> None:
    code = """
    from actorfaas import function, workflow
    import helper

    @function(memory_mb=64, env={"A": "1"})
    async def first(event):
        '''Does the first thing.'''
    @function(name="renamed")
    def second(event, ctx): yield event
    both = workflow("both", first >> second >> helper.third)
    """
    with served(tmp_path / "code", code) as bundle:
        helper = "from actorfaas import function\n@function\ndef third(event): return event\n"
        (tmp_path / "code" / "helper.py").write_text(helper)
        loaded = bundle.load()
    functions = {spec.name: spec for spec in loaded.functions}
    assert set(functions) == {"first", "renamed", "third"}
    assert (functions["first"].kind, functions["first"].memory_mb, functions["first"].env) == ("async", 64, {"A": "1"})
    assert functions["first"].description == "Does the first thing."
    assert functions["renamed"].kind == "generator"
    assert functions["third"].module == "helper"
    assert [one.name for one in loaded.workflows] == ["both"]
    assert loaded.threads == 1
    assert loaded.import_ns > 0


@pytest.mark.parametrize(
    ("code", "stage", "error_type", "says"),
    [
        ("def broken(:\n", "import", "SyntaxError", 'File "app.py", line 1'),
        ("import no_such_module\n", "import", "ModuleNotFoundError", "No module named 'no_such_module'"),
        ("import sys\nsys.exit(4)\n", "import", "SystemExit", "the code called sys.exit(4)"),
        ("1 / 0\n", "import", "ZeroDivisionError", 'File "app.py", line 1, in <module>'),
        ("from actorfaas import function\n@function(memory_mb=-1)\ndef f(event): ...\n", "import", "", "memory_mb"),
        (
            "from actorfaas import workflow\nworkflow('w', asl={'StartAt': 'A', 'States': {'A': {1, 2}}})\n",
            "declare",
            "DeclarationError",
            "not JSON",
        ),
    ],
)
def test_a_bundle_that_cannot_be_loaded(tmp_path: Path, code: str, stage: str, error_type: str, says: str) -> None:
    with served(tmp_path / "code", code) as bundle:
        failure = bundle.load_failure()
        assert failure.stage == stage
        assert not error_type or failure.error_type == error_type
        assert says in failure.detail
        assert "actorfaas/worker" not in failure.detail
        assert "importlib" not in failure.detail
        assert bundle.process.wait(TIMEOUT_S) == 72


def test_an_entry_named_like_a_module_in_use_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "code", SIMPLE) as bundle:
        (tmp_path / "code" / "json.py").write_text(SIMPLE)
        bundle.ref = dataclasses.replace(bundle.ref, entry="json.py")
        failure = bundle.load_failure()
        assert "the entry module 'json' is hidden by" in failure.detail


@pytest.mark.parametrize("entry", ["shop", "shop/main.py"])
def test_a_package_as_entry(tmp_path: Path, entry: str) -> None:
    with served(tmp_path / "code", "") as bundle:
        package = tmp_path / "code" / "shop"
        package.mkdir()
        (package / "__init__.py").write_text("from .main import echo\n")
        (package / "main.py").write_text(SIMPLE)
        bundle.ref = dataclasses.replace(bundle.ref, entry=entry)
        assert [spec.module for spec in bundle.load().functions] == ["shop.main"]
        assert bundle.template("echo").fork_worker().call(1) == 1


def test_what_is_printed_at_import_comes_once_and_plainly(tmp_path: Path) -> None:
    code = SIMPLE + "import sys\nprint('importing'); sys.stdout.write('no newline')\n"
    with served(tmp_path / "code", code) as bundle:
        bundle.load()
        worker = bundle.template("echo").fork_worker()
        worker.call()
        bundle.stop()
        assert worker.out.everything() == b""
        assert bundle.out.everything() == b"importing\nno newline\n"


def test_declarations_too_large_for_a_message_are_a_failure(tmp_path: Path) -> None:
    code = SIMPLE + "echo.env['X'] = 'x' * 1_000_000\n"
    with served(tmp_path / "code", code) as bundle:
        failure = bundle.load_failure()
        assert (failure.stage, failure.error_type) == ("declare", "OverflowError")


# --- function templates -------------------------------------------------------------------------------------------


INIT = """
import os, threading, time
from actorfaas import function

STARTED = []

def prepare():
    STARTED.append(os.environ["MODE"])

def broken():
    raise LookupError("no model")

def threaded():
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()

@function(init=prepare, env={"MODE": "fast"})
def prepared(event): return [STARTED, os.environ["MODE"], os.getppid()]

@function(init=broken)
def unprepared(event): ...

@function(init=threaded)
def threads(event): return threading.active_count()

@function
def plain(event): return [STARTED, os.environ.get("MODE")]
"""


def test_init_and_environment_belong_to_one_function(tmp_path: Path) -> None:
    with served(tmp_path / "code", INIT) as bundle:
        bundle.load()
        template = bundle.begin_template(bundle.spec("prepared"))
        ready = template.receive(TemplateReady)
        assert (ready.function_topic, ready.threads) == ("prepared@1", 1)
        assert [template.fork_worker().call() for _ in range(2)] == [[["fast"], "fast", ready.pid]] * 2
        assert bundle.template("plain").fork_worker().call() == [[], None]


def test_an_init_hook_that_fails(tmp_path: Path) -> None:
    with served(tmp_path / "code", INIT) as bundle:
        bundle.load()
        failure = bundle.begin_template(bundle.spec("unprepared")).receive(LoadFailed)
        assert (failure.stage, failure.error_type) == ("init", "LookupError")
        assert "in broken" in failure.detail
        assert next(iter(bundle.control.exits.values()), None) is None
        assert bundle.template("plain").fork_worker().call() == [[], None], "other functions are unaffected"


def test_threads_of_an_import_and_of_an_init_hook_are_counted(tmp_path: Path) -> None:
    code = SIMPLE + "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
    with served(tmp_path / "threaded", code) as bundle:
        assert bundle.load().threads == 2
    with served(tmp_path / "init", INIT) as bundle:
        assert bundle.load().threads == 1
        assert bundle.begin_template(bundle.spec("threads")).receive(TemplateReady).threads == 2


def test_a_function_that_is_not_declared_any_more(tmp_path: Path) -> None:
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        unknown = dataclasses.replace(bundle.spec("echo"), name="unknown")
        assert "declares no function 'unknown'" in bundle.begin_template(unknown).receive(LoadFailed).detail


def test_processes_that_an_import_started_are_not_taken_for_workers(tmp_path: Path) -> None:
    code = SIMPLE + "import subprocess\nP = subprocess.Popen(['true'])\n"
    with served(tmp_path / "code", code) as bundle:
        bundle.load()
        template = bundle.template("echo")
        worker = template.fork_worker()
        worker.connection.close()
        assert template.exit_of(worker.pid).exit_code == 0
        assert set(template.exits) == {worker.pid}
        assert not bundle.control.exits


def test_numpy_leaves_a_template_forkable_and_differs_between_workers(tmp_path: Path) -> None:
    code = """
    import numpy
    from actorfaas import function
    @function
    def draw(event): return [numpy.random.random(), numpy.arange(3) @ numpy.arange(3)]
    """
    with served(tmp_path / "code", code) as bundle:
        assert bundle.load().threads == 1
        template = bundle.template("draw")
        drawn = [template.fork_worker().call() for _ in range(3)]
        assert all(isinstance(one, list) and one[1] == 5 for one in drawn)
        assert len({str(one) for one in drawn}) == 3


# --- ends ----------------------------------------------------------------------------------------------------------


def test_children_that_end_are_reported_with_how(tmp_path: Path) -> None:
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        template = bundle.template("echo")
        workers = [template.fork_worker() for _ in range(5)]
        for worker in workers:
            os.kill(worker.pid, signal.SIGTERM)
        ends = [template.exit_of(worker.pid) for worker in workers]
        assert [(end.exit_code, end.signal) for end in ends] == [(0, signal.SIGTERM)] * 5


def test_closing_a_control_socket_ends_the_template_and_its_workers(tmp_path: Path) -> None:
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        first, second = bundle.template("echo"), bundle.template("echo")
        worker, other = first.fork_worker(), second.fork_worker()
        watched = os.pidfd_open(worker.pid)
        first.control.close()
        wait_gone(worker.pid, watched)
        assert other.call(1) == 1
        watched = os.pidfd_open(other.pid)
        bundle.control.control.close()
        assert bundle.process.wait(TIMEOUT_S) == 0
        wait_gone(other.pid, watched)


def test_a_killed_bundle_template_takes_everything_with_it(tmp_path: Path) -> None:
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        worker = bundle.template("echo").fork_worker()
        watched = os.pidfd_open(worker.pid)
        bundle.process.kill()
        wait_gone(worker.pid, watched)


def test_what_a_template_is_not_for_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        reader, writer = os.pipe()
        bundle.control.tell(ForkWorker(1), (writer, writer, writer))
        bundle.control.tell(ForkTemplate("echo@1", bundle.spec("echo")))
        os.close(writer)
        bundle.err.wait_for(b"cannot do ForkTemplate with 0 descriptors")
        assert b"cannot do ForkWorker with 3 descriptors" in bundle.err.data
        assert os.read(reader, 1) == b"", "the template let go of them"
        os.close(reader)
        assert bundle.template("echo").fork_worker().call(1) == 1


def entrances(folder: Path) -> tuple[Path, Path]:
    """Two files that look like entrances of control groups."""
    home, leaf = folder / "home", folder / "leaf"
    home.write_text("")
    leaf.write_text("")
    return home, leaf


def test_a_template_moves_home_first_and_each_worker_is_forked_in_its_own_group(tmp_path: Path) -> None:
    home, leaf = entrances(tmp_path)
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        template = bundle.template("echo", str(home))
        assert (home.read_text(), leaf.read_text()) == ("0", "")
        home.write_text("")
        assert template.fork_worker().call(1) == 1
        assert (home.read_text(), leaf.read_text()) == ("", ""), "a worker without a group moves nobody"
        worker = template.fork_worker(str(leaf))
        assert worker.call(1) == 1
        assert (home.read_text(), leaf.read_text()) == ("0", "0")
        held = [os.readlink(one) for one in Path(f"/proc/{worker.pid}/fd").iterdir()]
        assert str(home) not in held, "that is its template's alone"


def test_a_worker_whose_group_is_gone_is_forked_all_the_same_and_that_is_said_once(tmp_path: Path) -> None:
    home, _ = entrances(tmp_path)
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        template = bundle.template("echo", str(home))
        for _ in range(2):
            assert template.fork_worker(str(tmp_path / "gone")).call(1) == 1
        template.close()
    assert bundle.err.everything().count(b"cannot have control groups of their own") == 1


def test_a_template_that_cannot_move_home_stays_where_it_is_and_so_do_its_workers(tmp_path: Path) -> None:
    _, leaf = entrances(tmp_path)
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        template = bundle.template("echo", str(tmp_path / "gone"))
        assert template.fork_worker(str(leaf)).call(1) == 1
        assert leaf.read_text() == "", "it could not come back"


def test_a_template_that_cannot_come_home_leaves_no_more(tmp_path: Path) -> None:
    _, leaf = entrances(tmp_path)
    home = os.memfd_create("home", os.MFD_ALLOW_SEALING)
    with served(tmp_path / "code", SIMPLE) as bundle:
        bundle.load()
        template = bundle.template("echo", f"/proc/{os.getpid()}/fd/{home}")
        fcntl.fcntl(home, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        assert template.fork_worker(str(leaf)).call(1) == 1
        assert leaf.read_text() == "0"
        leaf.write_text("")
        assert template.fork_worker(str(leaf)).call(1) == 1
        assert leaf.read_text() == ""
        template.close()
    os.close(home)
    assert bundle.err.everything().count(b"cannot return to its control group") == 1
