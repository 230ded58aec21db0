"""Functions brought up by the supervisor: deploys that fail, functions that cannot fork, environments."""

from __future__ import annotations

import asyncio

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    DescribeSupervisor,
    StartWorkers,
    SupervisorDescription,
    TaskResult,
    WorkerStartFailed,
)
from tests.actors_kit import Kit
from tests.system.supervisor.apps import TWO_FUNCTIONS
from tests.system.supervisor_rig import SupervisorRig

pytestmark = pytest.mark.system


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


# --- deploys that fail ------------------------------------------------------------------------------------------------


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


# --- functions that cannot fork ---------------------------------------------------------------------------------------

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


# --- environments -----------------------------------------------------------------------------------------------------


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
