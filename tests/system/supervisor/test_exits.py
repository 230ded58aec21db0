"""How workers and templates end, who is told, and what is left when the supervisor stops."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

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
from tests.actors_kit import Kit
from tests.system.supervisor.apps import EXITS, TWO_FUNCTIONS
from tests.system.supervisor.machine import is_alive, parent_of, until_no_workers, watch_end
from tests.system.supervisor_rig import SupervisorRig

pytestmark = pytest.mark.system


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
    await until_no_workers(rig)
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
    os.kill(parent_of(first.template_pid), signal.SIGKILL)
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
    ended = watch_end(int(result.payload))
    await worker.retire()
    await rig.manager.expect(WorkerExited)
    await ended


# --- stopping ---------------------------------------------------------------------------------------------------------


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
    assert not is_alive(started.template_pid)
    assert not rig.manager.received(TemplateExited)
    assert await rig.manager.ask("fw_supervisor", StopFunction("act@1", 0.5), Done) == Done()  # nothing to stop


async def test_tear_down_leaves_no_process(kit: Kit) -> None:
    rig = SupervisorRig(kit)
    await rig.start()
    prepared = await rig.prepare({"app.py": TWO_FUNCTIONS})
    started = [await rig.start_function(prepared, name) for name in ("double", "parent")]
    workers = [await rig.worker("double@1", kind) for kind in ("fork", "cold", "fork")]
    pids = [one.template_pid for one in started] + [one.pid for one in workers]
    pids.append(parent_of(started[0].template_pid))
    await kit.stop(rig.supervisor)
    assert [pid for pid in pids if is_alive(pid)] == []
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
    pids = [started.template_pid, parent_of(started.template_pid), *(one.pid for one in workers)]
    ends = [watch_end(pid) for pid in pids]
    host.kill()
    assert await host.wait() == -signal.SIGKILL
    await asyncio.gather(*ends)
    rig.close()


async def test_the_template_of_a_bundle_that_no_function_uses_is_ended(kit: Kit) -> None:
    rig = SupervisorRig(kit)
    await rig.start(linger_s=0.3)
    started = await rig.deploy(EXITS)
    ended = watch_end(parent_of(started.template_pid))
    await rig.manager.ask("fw_supervisor", StopFunction("act@1", 0.0), Done)
    await ended
