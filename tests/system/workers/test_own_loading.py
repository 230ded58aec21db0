"""Workers that load their function for themselves, cold or of a bare template, also under another interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from actorfaas.messages import (
    BundleLoaded,
    FunctionSpec,
    NewFunctionWorker,
    TemplateReady,
)
from tests.system.worker_rig import TIMEOUT_S, served

pytestmark = pytest.mark.system

SIMPLE = """
from actorfaas import function
@function
def echo(event): return event
"""


def bare_spec(tmp_path: Path, code: str) -> FunctionSpec:
    with served(tmp_path / "code", code) as bundle:
        bundle.load()
        return bundle.spec("echo")


def test_workers_of_a_bare_template_import_for_themselves(tmp_path: Path) -> None:
    code = SIMPLE + "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
    spec = bare_spec(tmp_path, code)
    with served(tmp_path / "code", code) as bundle:
        assert bundle.load(bare=True) == BundleLoaded((), (), 1, 0)
        template = bundle.begin_template(spec)
        assert template.receive(TemplateReady).threads == 1
        assert [template.fork_worker().call(number) for number in (1, 2)] == [1, 2]


@pytest.mark.parametrize(
    ("change", "says"),
    [("import gone\n", b"import failed"), ("echo.init = lambda: 1 / 0\n", b"init failed"), ("del echo\n", b"")],
)
def test_a_worker_that_cannot_load_says_so_and_ends(tmp_path: Path, change: str, says: bytes) -> None:
    spec = bare_spec(tmp_path, SIMPLE)
    if not says:
        change, says = "from actorfaas import api\napi._registry.clear()\n", b"declares no function 'echo'"
    with served(tmp_path / "code", SIMPLE + change) as bundle:
        bundle.load(bare=True)
        template = bundle.begin_template(spec)
        template.receive(TemplateReady)
        worker = template.begin_worker()
        assert template.exit_of(worker.pid).exit_code == 72
        worker.wait_closed()
        assert says in worker.err.everything()
        assert b"function echo" in worker.err.everything()

        cold, process = bundle.cold_worker(spec)
        assert process.wait(TIMEOUT_S) == 72
        assert says in cold.err.everything()


def test_a_cold_worker_serves(tmp_path: Path) -> None:
    spec = bare_spec(tmp_path, SIMPLE)
    with served(tmp_path / "code", SIMPLE) as bundle:
        worker, process = bundle.cold_worker(spec)
        assert worker.receive(NewFunctionWorker).pid == process.pid
        assert worker.call({"a": 1}) == {"a": 1}
        worker.connection.close()
        assert process.wait(TIMEOUT_S) == 0


INHERITABLE = """
import os
from actorfaas import function

@function
def inheritable(event):
    found = [fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}")]
    return [os.readlink(f"/proc/self/fd/{fd}") for fd in found if fd > 2 and os.get_inheritable(fd)]
"""


@pytest.mark.parametrize("start_kind", ["fork", "cold"])
def test_what_a_handler_starts_inherits_nothing_of_the_platform(tmp_path: Path, start_kind: str) -> None:
    with served(tmp_path / "code", INHERITABLE) as bundle:
        bundle.load()
        if start_kind == "fork":
            assert bundle.template("inheritable").fork_worker().call(None) == []
        else:
            worker, _ = bundle.cold_worker(bundle.spec("inheritable"))
            worker.report()
            assert worker.call(None) == []


@pytest.mark.parametrize("where", ["import", "init"])
def test_standard_streams_that_a_bundle_closed_are_not_mistaken_for_the_connection(tmp_path: Path, where: str) -> None:
    init = "init=close, " if where == "init" else ""
    code = f"""
import os
from actorfaas import function

def close(): os.closerange(0, 3)
{"close()" if where == "import" else ""}

@function({init}memory_mb=64)
def talks(event):
    print("said")
    return event
"""
    with served(tmp_path / "code", code) as bundle:
        bundle.load()
        worker = bundle.template("talks").fork_worker()
        assert [worker.call(number) for number in (1, 2)] == [1, 2]
        worker.connection.close()
        assert b"said" in worker.out.everything()


def test_a_cold_worker_given_nonsense(tmp_path: Path) -> None:
    with served(tmp_path / "code", SIMPLE) as bundle:
        reader, writer = os.pipe()
        os.write(writer, b"nonsense")
        os.close(writer)
        argv = [sys.executable, "-m", "actorfaas.worker.cold", "0", str(reader)]
        result = subprocess.run(argv, pass_fds=(reader,), capture_output=True, timeout=TIMEOUT_S, check=False)
        os.close(reader)
        assert result.returncode == 1
        assert b"cannot be read" in result.stderr
        assert bundle.ref.entry == "app.py"


# --- another interpreter ----------------------------------------------------------------------------------------------


def test_the_bundles_own_interpreter_finds_the_platform_last(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (site / "structlog.py").write_text("WHOSE = 'the bundle'\n")  # the platform has one too
    (site / "actorfaas").mkdir()
    (site / "actorfaas" / "__init__.py").write_text("raise ImportError('another version of the platform')\n")
    code = """
    import sys, structlog
    from actorfaas import function
    @function
    def where(event): return [structlog.WHOSE, sys.prefix, "orjson" in sys.modules]
    """
    python = str(tmp_path / "venv" / "bin" / "python")
    with served(tmp_path / "code", code, python) as bundle:
        bundle.load()
        expected = ["the bundle", str(tmp_path / "venv"), True]
        assert bundle.template("where").fork_worker().call() == expected
        worker, _ = bundle.cold_worker(bundle.spec("where"))
        worker.receive(NewFunctionWorker)
        assert worker.call() == expected
