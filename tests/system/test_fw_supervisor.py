"""The FunctionWorker supervisor with real templates and workers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    DescribeSupervisor,
    Done,
    FunctionStarted,
    KillWorker,
    StartFunction,
    StartWorkers,
    StopFunction,
    SupervisorDescription,
    TaskError,
    TaskResult,
    TemplateExited,
    TemplateRestarted,
    WorkerExited,
    WorkerStarted,
    WorkerStartFailed,
)
from tests.actors_kit import Kit
from tests.system.supervisor_rig import SupervisorRig, function_of

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
    first, second = await asyncio.gather(
        rig.start_function(prepared, "double"), rig.start_function(prepared, "double")
    )
    assert first == second == await rig.start_function(prepared, "double")
    description = await rig.manager.ask("fw_supervisor", DescribeSupervisor(), SupervisorDescription)
    assert [one.template_pid for one in description.templates] == [first.template_pid]
