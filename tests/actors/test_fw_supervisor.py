"""The FunctionWorker supervisor without user code: what it refuses, and launchers that do not do their part."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import IO

import pytest

from actorfaas.actors import fw_supervisor
from actorfaas.actors.fw_supervisor import FunctionWorkerSupervisor
from actorfaas.errors import RequestRefused
from actorfaas.messages import (
    BundlePrepared,
    BundleRef,
    DeploymentRecord,
    Deployments,
    DescribeQueue,
    DescribeSupervisor,
    Done,
    KillWorker,
    ListDeployments,
    PrepareBundle,
    StartWorkers,
    StopFunction,
    SupervisorDescription,
    WorkerStartFailed,
)
from actorfaas.worker.launch import Command
from tests.actors_kit import FakePeer, Kit


class ScriptedLauncher:
    """Starts something else than what was ordered."""

    def __init__(self, *argv: str) -> None:
        self._argv = argv
        self.commands: list[Command] = []

    def start(self, command: Command, stdout: int | IO[bytes], stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
        self.commands.append(command)
        return subprocess.Popen(
            self._argv, env=command.env, pass_fds=command.pass_fds, stdout=stdout, stderr=stderr, start_new_session=True
        )


async def manager_of(kit: Kit, *argv: str) -> FakePeer:
    """A supervisor whose templates are all `argv`; the ExecutionManager connected to it."""
    await kit.fake("local_queue")
    await kit.fake("data_layer")
    await kit.start(FunctionWorkerSupervisor(kit.settings, ScriptedLauncher(*argv)))
    return await kit.fake("execution_manager", peers=("fw_supervisor",))


def archived(data_dir: Path) -> PrepareBundle:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("app.py", "")
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    (data_dir / "archives").mkdir(parents=True)
    (data_dir / "archives" / f"{sha256}.zip").write_bytes(buffer.getvalue())
    return PrepareBundle("shop", f"{sha256}.zip", sha256, "")


async def refusal(manager: FakePeer, request: PrepareBundle) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        await manager.ask("fw_supervisor", request, BundlePrepared)
    return caught.value


async def test_a_missing_archive_is_refused(kit: Kit) -> None:
    manager = await manager_of(kit, "true")
    refused = await refusal(manager, PrepareBundle("shop", "gone.zip", "0" * 64, ""))
    assert (refused.code, "gone.zip cannot be read" in refused.detail) == ("deploy_failed", True)


async def test_a_message_for_somebody_else_is_refused(kit: Kit) -> None:
    manager = await manager_of(kit, "true")
    with pytest.raises(RequestRefused, match="no use for DescribeQueue"):
        await manager.ask("fw_supervisor", DescribeQueue(), Done)


async def test_what_does_not_exist_is_stopped_and_killed_without_effect(kit: Kit) -> None:
    manager = await manager_of(kit, "true")
    manager.tell("fw_supervisor", KillWorker("nobody@1", os.getpid(), "timeout"))
    assert await manager.ask("fw_supervisor", StopFunction("nobody@1", 1.0), Done) == Done()
    description = await manager.ask("fw_supervisor", DescribeSupervisor(), SupervisorDescription)
    assert description.templates == ()


async def test_every_worker_asked_for_is_answered(kit: Kit) -> None:
    manager = await manager_of(kit, "true")
    manager.tell("fw_supervisor", StartWorkers("nobody@1", "cold", 3))
    for _ in range(3):
        failed = await manager.expect(WorkerStartFailed)
        assert (failed.function_topic, failed.start_kind) == ("nobody@1", "cold")


async def test_a_program_that_cannot_be_started_is_refused(kit: Kit) -> None:
    manager = await manager_of(kit, "/no/such/program")
    refused = await refusal(manager, archived(kit.settings.data_dir))
    assert "the template of shop cannot be started: No such file or directory" in refused.detail


@pytest.mark.system
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("sh", "-c", "echo no sandbox here >&2; exit 4"), ["exited with status 4", "no sandbox here"]),
        (("sh", "-c", "kill -9 $$"), ["was killed by signal 9"]),
    ],
)
async def test_a_template_that_ends_before_it_speaks_is_refused(
    kit: Kit, argv: tuple[str, ...], said: list[str]
) -> None:
    manager = await manager_of(kit, *argv)
    refused = await refusal(manager, archived(kit.settings.data_dir))
    assert refused.code == "deploy_failed"
    for text in said:
        assert text in refused.detail


@pytest.mark.system
async def test_a_template_that_talks_nonsense_is_ended_and_refused(kit: Kit) -> None:
    code = (
        "import os,sys,time; [os.write(fd, b'nonsense') for fd in range(3, 64) if os.path.exists(f'/proc/self/fd/{fd}')"
    )
    code += " and 'socket' in os.readlink(f'/proc/self/fd/{fd}')]; time.sleep(300)"
    manager = await manager_of(kit, sys.executable, "-c", code)
    refused = await refusal(manager, archived(kit.settings.data_dir))
    assert "its control connection broke" in refused.detail


async def test_bundles_go_when_the_data_layer_says_what_is_in_service(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fw_supervisor, "_REMOVE_PERIOD_S", 0.001)
    kit.configure(bundle_retention=0)
    folders = [kit.settings.data_dir / "bundles" / (letter * 64) for letter in "ab"]
    (kit.settings.data_dir / "archives").mkdir(parents=True)
    for folder in folders:
        folder.mkdir(parents=True)
        (kit.settings.data_dir / "archives" / f"{folder.name}.zip").touch()
        os.utime(folder, (time.time() - 1e6,) * 2)
    active = BundleRef("shop", folders[0].name, str(folders[0]), "app.py", sys.executable)
    data_layer = await kit.fake("data_layer")
    await kit.fake("local_queue")
    await kit.start(FunctionWorkerSupervisor(kit.settings, ScriptedLauncher("true")))
    _, sender = await data_layer.expect_ask(ListDeployments)
    sender.refuse("unavailable", "the disk is full")
    _, sender = await data_layer.expect_ask(ListDeployments)
    assert [folder.exists() for folder in folders] == [True, True]
    sender.reply(Deployments((DeploymentRecord("shop", 1, True, 0, active, (), ()),)))
    await data_layer.expect_ask(ListDeployments)
    assert [folder.exists() for folder in folders] == [True, False]
