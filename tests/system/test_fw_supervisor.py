"""The FunctionWorker supervisor with real templates and workers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    DescribeSupervisor,
    Done,
    KillWorker,
    StartWorkers,
    StopFunction,
    SupervisorDescription,
    TaskResult,
    TemplateExited,
    TemplateRestarted,
    WorkerExited,
    WorkerStartFailed,
)
from tests.actors_kit import PATIENCE_S, Kit
from tests.system.supervisor_rig import SupervisorRig

pytestmark = pytest.mark.system

TWO_FUNCTIONS = """
    import os
    from actorfaas import function

    @function
    def double(event):
        return event * 2

    @function
    def parent(event):
        return os.getppid()
"""


@pytest.fixture
async def rig(kit: Kit) -> AsyncIterator[SupervisorRig]:
    made = SupervisorRig(kit)
    await made.start()
    yield made
    made.close()


async def test_two_functions_of_a_bundle_each_get_a_template_and_workers(rig: SupervisorRig) -> None:
    prepared = await rig.prepare({"app.py": TWO_FUNCTIONS})
    assert sorted(spec.name for spec in prepared.functions) == ["double", "parent"]
    double = await rig.start_function(prepared, "double")
    parent = await rig.start_function(prepared, "parent")
    assert double.template_pid != parent.template_pid
    assert double.forkable

    worker = await rig.worker("double@1")
    assert worker.attached.worker_topic == f"double@1_{worker.pid}"
    assert (worker.attached.app, worker.attached.start_kind) == ("shop", "fork")
    result = await worker.call(21)
    assert isinstance(result, TaskResult)
    assert (result.payload, result.topic) == (b"42", "back")

    other = await rig.worker("parent@1")
    result = await other.call(None)
    assert isinstance(result, TaskResult)
    assert int(result.payload) == parent.template_pid


async def test_starting_a_function_again_changes_nothing(rig: SupervisorRig) -> None:
    prepared = await rig.prepare({"app.py": TWO_FUNCTIONS})
    first, second = await asyncio.gather(rig.start_function(prepared, "double"), rig.start_function(prepared, "double"))
    assert first == second == await rig.start_function(prepared, "double")
    description = await rig.manager.ask("fw_supervisor", DescribeSupervisor(), SupervisorDescription)
    assert [one.template_pid for one in description.templates] == [first.template_pid]


# --- deploys that fail ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def broken(:\n    pass\n", ["importing app.py failed", "SyntaxError", "app.py"]),
        ("import no_such_module_here\n", ["importing app.py failed", "ModuleNotFoundError", "no_such_module_here"]),
        ("1 / 0\n", ["ZeroDivisionError", "line 1"]),
        ("import sys\nsys.exit(3)\n", ["importing app.py failed", "SystemExit", "sys.exit"]),
        ("import os\nprint('last words', flush=True)\nos._exit(7)\n", ["exited with status 7", "last words"]),
        ("import os\nos.kill(os.getpid(), 11)\n", ["crashed: signal 11 (SIGSEGV)"]),
    ],
)
async def test_a_bundle_that_cannot_be_imported_is_refused_with_the_reason(
    rig: SupervisorRig, code: str, said: list[str]
) -> None:
    with pytest.raises(RequestRefused) as caught:
        await rig.prepare({"app.py": code})
    assert caught.value.code == "deploy_failed"
    for text in said:
        assert text in caught.value.detail


async def test_an_archive_that_cannot_be_extracted_is_refused(rig: SupervisorRig) -> None:
    with pytest.raises(RequestRefused, match=r"deploy_failed.*no app\.py"):
        await rig.prepare({"README.md": "nothing to run"})


async def test_a_failing_init_hook_is_refused_and_leaves_nothing(rig: SupervisorRig) -> None:
    prepared = await rig.prepare(
        {
            "app.py": """
                from actorfaas import function

                def load():
                    raise ValueError("no model here")

                @function(init=load)
                def predict(event): ...

                @function
                def fine(event):
                    return "fine"
            """
        }
    )
    with pytest.raises(RequestRefused, match="init hook of predict failed: ValueError") as caught:
        await rig.start_function(prepared, "predict")
    assert "no model here" in caught.value.detail
    assert "in load" in caught.value.detail
    await rig.start_function(prepared, "fine")
    description = await rig.manager.ask("fw_supervisor", DescribeSupervisor(), SupervisorDescription)
    assert [one.function_topic for one in description.templates] == ["fine@1"]


async def test_imports_and_init_hooks_that_take_too_long_are_refused(kit: Kit) -> None:
    kit.configure(deploy_timeout_s=1.0)
    rig = SupervisorRig(kit)
    await rig.start()
    with pytest.raises(RequestRefused, match=r"longer than 1 s"):
        await rig.prepare({"app.py": "import time\ntime.sleep(60)\n"})
    with pytest.raises(RequestRefused, match=r"initialising f took longer than 1 s"):
        await rig.deploy(
            """
            import time
            from actorfaas import function

            @function(init=lambda: time.sleep(60))
            def f(event): ...
            """
        )


async def test_workers_of_a_function_that_is_not_started_fail(rig: SupervisorRig) -> None:
    rig.manager.tell("fw_supervisor", StartWorkers("nobody@1", "fork", 2))
    for _ in range(2):
        failed = await rig.manager.expect(WorkerStartFailed)
        assert failed.detail == "nobody@1 is not started"


# --- functions that cannot fork -------------------------------------------------------------------------------


THREADED = """
    import threading
    from actorfaas import function

    started = threading.Event()

    def forever():
        threading.Event().wait()

    {at_import}

    def load():
        threading.Thread(target=forever, daemon=True).start()

    @function(init={init})
    def count(event):
        import os
        return [threading.active_count(), os.getppid()]
"""


@pytest.mark.parametrize(
    ("at_import", "init"),
    [("threading.Thread(target=forever, daemon=True).start()", "None"), ("", "load")],
    ids=["at import", "in init"],
)
async def test_threads_make_a_function_unforkable_and_its_workers_import_for_themselves(
    rig: SupervisorRig, at_import: str, init: str
) -> None:
    started = await rig.deploy(THREADED.format(at_import=at_import, init=init))
    assert not started.forkable
    assert started.threads == 2
    worker = await rig.worker("count@1")
    result = await worker.call(None)
    assert isinstance(result, TaskResult)
    assert result.payload == f"[2,{started.template_pid}]".encode()  # the thread lives in the worker itself


# --- exits ----------------------------------------------------------------------------------------------------

EXITS = """
    import os
    import signal
    import time
    from actorfaas import function

    @function
    def act(event):
        match event:
            case {"exit": status}:
                os._exit(status)
            case {"kill": number}:
                os.kill(os.getpid(), number)
            case {"sleep": seconds}:
                time.sleep(seconds)
            case {"abandon": command}:
                read, write = os.pipe()
                child = os.fork()
                if child == 0:
                    if command == "setsid":
                        os.setsid()
                    if (left := os.fork()) == 0:
                        time.sleep(300)
                    os.write(write, str(left).encode())
                    os._exit(0)
                os.waitpid(child, 0)
                return int(os.read(read, 20))
        return os.getpid()
"""


@pytest.mark.parametrize("start_kind", ["fork", "cold"])
@pytest.mark.parametrize(
    ("event", "exit_code", "number", "detail"),
    [
        ({"exit": 3}, 3, 0, "exited with status 3"),
        ({"kill": 11}, 0, 11, "crashed: signal 11 (SIGSEGV)"),
        ({"kill": 15}, 0, 15, "was killed by signal 15 (SIGTERM)"),
        ({"kill": 9}, 0, 9, "was killed by signal 9 (SIGKILL)"),
    ],
)
async def test_how_a_worker_ended_is_told_to_manager_and_queue(
    rig: SupervisorRig, start_kind: str, event: object, exit_code: int, number: int, detail: str
) -> None:
    await rig.deploy(EXITS)
    worker = await rig.worker("act@1", start_kind)
    assert await worker.call(event) is None
    exited = await rig.manager.expect(WorkerExited)
    assert (exited.pid, exited.worker_topic) == (worker.pid, worker.attached.worker_topic)
    assert (exited.exit_code, exited.signal, exited.detail) == (exit_code, number, detail)
    assert exited.lived_ns > 0
    assert exited.max_rss_bytes > 1_000_000
    assert await rig.queue.expect(WorkerExited) == exited


@pytest.mark.parametrize("start_kind", ["fork", "cold"])
async def test_a_killed_worker_is_reported_with_the_reason(rig: SupervisorRig, start_kind: str) -> None:
    await rig.deploy(EXITS)
    worker = await rig.worker("act@1", start_kind)
    await worker.begin({"sleep": 60})
    rig.manager.tell("fw_supervisor", KillWorker("act@1", worker.pid, "timeout"))
    exited = await rig.manager.expect(WorkerExited)
    assert exited.detail == "was killed by signal 9 (SIGKILL): timeout"
    rig.manager.tell("fw_supervisor", KillWorker("act@1", worker.pid, "timeout"))  # too late: nothing happens
    assert (await rig.worker("act@1")).pid != worker.pid


@pytest.mark.parametrize("start_kind", ["fork", "cold"])
async def test_a_retired_worker_exits_by_itself(rig: SupervisorRig, start_kind: str) -> None:
    await rig.deploy(EXITS)
    worker = await rig.worker("act@1", start_kind)
    await worker.retire()
    assert (await rig.manager.expect(WorkerExited)).detail == "exited with status 0"


async def test_workers_exit_when_their_queue_is_gone(rig: SupervisorRig) -> None:
    await rig.deploy(EXITS)
    worker = await rig.worker("act@1")
    worker.close()
    assert (await rig.manager.expect(WorkerExited)).detail == "exited with status 0"


async def test_a_worker_that_the_queue_does_not_take_fails_to_start(kit: Kit) -> None:
    rig = SupervisorRig(kit)
    kit.configure(ask_timeout_s=0.3)
    await rig.start()
    await rig.deploy(EXITS)
    await kit.stop(rig.queue)
    rig.manager.tell("fw_supervisor", StartWorkers("act@1", "fork", 1))
    failed = await rig.manager.expect(WorkerStartFailed)
    assert "LocalQueue did not take its connection" in failed.detail
    await _until_no_workers(rig)
    assert not rig.manager.received(WorkerExited)  # what was never announced does not end


async def test_a_template_that_dies_is_restarted_and_its_workers_are_reaped(rig: SupervisorRig) -> None:
    started = await rig.deploy(EXITS)
    workers = [await rig.worker("act@1") for _ in range(2)]
    os.kill(started.template_pid, signal.SIGKILL)
    exited = await rig.manager.expect(TemplateExited)
    assert (exited.function_topic, exited.detail) == ("act@1", "was killed by signal 9 (SIGKILL)")
    lost = [await rig.manager.expect(WorkerExited) for _ in workers]
    assert {one.pid for one in lost} == {one.pid for one in workers}
    assert {one.detail for one in lost} == {"was killed by signal 9 (SIGKILL): its template ended"}
    restarted = await rig.manager.expect(TemplateRestarted)
    assert restarted.template_pid != started.template_pid
    result = await (await rig.worker("act@1")).call(None)
    assert isinstance(result, TaskResult)


async def test_a_bundle_template_that_dies_takes_its_functions_along_and_all_come_back(rig: SupervisorRig) -> None:
    prepared = await rig.prepare({"app.py": TWO_FUNCTIONS})
    first = await rig.start_function(prepared, "double")
    await rig.start_function(prepared, "parent")
    worker = await rig.worker("double@1")
    os.kill(_parent_of(first.template_pid), signal.SIGKILL)
    assert {(await rig.manager.expect(TemplateExited)).function_topic for _ in range(2)} == {"double@1", "parent@1"}
    assert (await rig.manager.expect(WorkerExited)).pid == worker.pid
    assert {(await rig.manager.expect(TemplateRestarted)).function_topic for _ in range(2)} == {"double@1", "parent@1"}
    result = await (await rig.worker("double@1")).call(4)
    assert isinstance(result, TaskResult)
    assert result.payload == b"8"
    description = await rig.manager.ask("fw_supervisor", DescribeSupervisor(), SupervisorDescription)
    assert {(one.restarts, one.forkable) for one in description.templates} == {(1, True)}


@pytest.mark.parametrize("how", ["double fork", "setsid"])
async def test_a_process_that_a_worker_left_behind_is_killed(rig: SupervisorRig, how: str) -> None:
    await rig.deploy(EXITS)
    worker = await rig.worker("act@1")
    result = await worker.call({"abandon": how})
    assert isinstance(result, TaskResult)
    ended = _watch_end(int(result.payload))
    await worker.retire()
    await rig.manager.expect(WorkerExited)
    await ended


# --- stopping -------------------------------------------------------------------------------------------------


async def test_stopping_a_function_waits_for_its_workers_until_the_deadline(rig: SupervisorRig) -> None:
    started = await rig.deploy(EXITS)
    idle, busy = await rig.worker("act@1"), await rig.worker("act@1")
    await busy.begin({"sleep": 60})
    stopping = asyncio.ensure_future(rig.manager.ask("fw_supervisor", StopFunction("act@1", 0.5), Done))
    await idle.retire()
    exits = {(one := await rig.manager.expect(WorkerExited)).pid: one.detail for _ in range(2)}
    assert exits == {
        idle.pid: "exited with status 0",
        busy.pid: "was killed by signal 9 (SIGKILL): the function was stopped",
    }
    await stopping
    assert not _is_alive(started.template_pid)
    assert not rig.manager.received(TemplateExited)
    assert await rig.manager.ask("fw_supervisor", StopFunction("act@1", 0.5), Done) == Done()  # nothing to stop


async def test_tear_down_leaves_no_process(kit: Kit) -> None:
    rig = SupervisorRig(kit)
    await rig.start()
    prepared = await rig.prepare({"app.py": TWO_FUNCTIONS})
    started = [await rig.start_function(prepared, name) for name in ("double", "parent")]
    workers = [await rig.worker("double@1", kind) for kind in ("fork", "cold", "fork")]
    pids = [one.template_pid for one in started] + [one.pid for one in workers]
    pids.append(_parent_of(started[0].template_pid))
    await kit.stop(rig.supervisor)
    assert [pid for pid in pids if _is_alive(pid)] == []
    assert {(await rig.queue.expect(WorkerExited)).pid for _ in workers} == {one.pid for one in workers}
    rig.close()


async def test_nothing_outlives_a_supervisor_that_is_killed(kit: Kit) -> None:
    rig = SupervisorRig(kit)
    rig.queue = await kit.fake("local_queue")
    rig.data_layer = await kit.fake("data_layer")
    host = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "actorfaas.runtime.process",
        "actorfaas.actors.fw_supervisor:FunctionWorkerSupervisor",
        env={**os.environ, **kit.settings.to_environment()},
    )
    rig.manager = await kit.fake("execution_manager", peers=("fw_supervisor",))
    await rig.manager.wait_for_peer("fw_supervisor")
    started = await rig.deploy(EXITS)
    workers = [await rig.worker("act@1", kind) for kind in ("fork", "cold")]
    pids = [started.template_pid, _parent_of(started.template_pid), *(one.pid for one in workers)]
    ends = [_watch_end(pid) for pid in pids]
    host.kill()
    assert await host.wait() == -signal.SIGKILL
    await asyncio.gather(*ends)
    rig.close()


async def test_the_template_of_a_bundle_that_no_function_uses_is_ended(kit: Kit) -> None:
    rig = SupervisorRig(kit)
    await rig.start(linger_s=0.3)
    started = await rig.deploy(EXITS)
    ended = _watch_end(_parent_of(started.template_pid))
    await rig.manager.ask("fw_supervisor", StopFunction("act@1", 0.0), Done)
    await ended


# --- output ---------------------------------------------------------------------------------------------------


async def test_what_a_function_writes_comes_with_its_request(rig: SupervisorRig) -> None:
    await rig.deploy(
        """
        import logging, os, sys
        from actorfaas import function

        print("at import")

        @function
        def talk(event):
            print("to stdout")
            print("to stderr", file=sys.stderr)
            logging.warning("careful")
            os.write(1, b"raw bytes \\xff\\n")
            os.write(2, b"no line end")
            os._exit(0)
        """
    )
    worker = await rig.worker("talk@1")
    assert await worker.call(None, "req_7") is None
    for text, stream, level, request in (
        ("to stdout", "stdout", "", "req_7"),
        ("to stderr", "stderr", "", "req_7"),
        ("careful", "log", "WARNING", "req_7"),
        ("raw bytes \\xff", "stdout", "", ""),
        ("no line end", "stderr", "", ""),
    ):
        line = await rig.log_line(text)
        assert (line.text, line.stream, line.level, line.request_id) == (text, stream, level, request)
        assert (line.function, line.version, line.pid) == ("talk", 1, worker.pid)
    imported = await rig.log_line("at import")
    assert (imported.function, imported.stream) == ("", "stdout")


async def test_the_last_lines_of_a_killed_worker_are_not_lost(rig: SupervisorRig) -> None:
    await rig.deploy(
        """
        import os
        from actorfaas import function

        @function
        def flood(event):
            for number in range(3000):
                os.write(1, b"line %d\\n" % number)
            os.kill(os.getpid(), 9)
        """
    )
    worker = await rig.worker("flood@1")
    await worker.begin(None)
    await rig.manager.expect(WorkerExited)
    await rig.log_line("line 2999")
    assert [line.text for line in rig.logs] == [f"line {number}" for number in range(3000)]


async def test_the_init_hook_and_the_environment_of_a_function_reach_its_workers(rig: SupervisorRig) -> None:
    await rig.deploy(
        """
        import os
        from actorfaas import function

        model = []

        @function(init=lambda: model.append("ready"), env={"GREETING": "hi"})
        def greet(event):
            return [os.environ["GREETING"], model]
        """
    )
    for start_kind in ("fork", "cold"):
        result = await (await rig.worker("greet@1", start_kind)).call(None)
        assert isinstance(result, TaskResult)
        assert result.payload == b'["hi",["ready"]]'


# --- environments ---------------------------------------------------------------------------------------------


async def test_requirements_are_installed_once_and_imported(rig: SupervisorRig) -> None:
    files = {
        "app.py": """
            import sys, iniconfig
            from actorfaas import function

            @function
            def where(event):
                return [iniconfig.__file__, sys.prefix]
        """,
        "requirements.txt": "iniconfig==2.0.0\nactorfaas\n",
    }
    try:
        prepared = await rig.prepare(files)
    except RequestRefused as refused:
        if "dns" in refused.detail.lower() or "connect" in refused.detail.lower():
            pytest.skip(f"no package index is reachable: {refused.detail[:200]}")
        raise
    assert prepared.bundle.python.startswith(str(rig.settings.data_dir / "venvs"))
    await rig.start_function(prepared)
    for start_kind in ("fork", "cold"):
        worker = await rig.worker("where@1", start_kind)
        result = await worker.call(None)
        assert isinstance(result, TaskResult)
        assert str(rig.settings.data_dir / "venvs").encode() in result.payload
    again = await rig.prepare({**files, "notes.txt": "other content, same requirements"})
    assert again.bundle.sha256 != prepared.bundle.sha256
    assert again.bundle.python == prepared.bundle.python


async def test_requirements_that_cannot_be_installed_are_refused_with_uvs_output(rig: SupervisorRig) -> None:
    with pytest.raises(RequestRefused, match="requirements cannot be installed") as caught:
        await rig.prepare({"app.py": "", "requirements.txt": "./no/such/folder\n"})
    assert "no/such/folder" in caught.value.detail


# --- what the tests ask of the machine ------------------------------------------------------------------------


def _parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def _is_alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _watch_end(pid: int) -> Awaitable[None]:
    """Wait for the end of a process that need not be our child."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    descriptor = os.pidfd_open(pid)

    def readable() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, readable)
    return asyncio.wait_for(ended, PATIENCE_S)


async def _until_no_workers(rig: SupervisorRig) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            description = await rig.manager.ask("fw_supervisor", DescribeSupervisor(), SupervisorDescription)
            if not any(one.workers for one in description.templates):
                return
