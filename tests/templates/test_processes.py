"""Processes held by pidfd: signalled, reaped, inherited; and what is left behind is swept up. With real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from actorfaas.templates.exits import Exit
from actorfaas.templates.orphans import OrphanSweeper, end_remains
from actorfaas.templates.processes import Process, become_reaper_of_orphans, state_parent_session

pytestmark = pytest.mark.system

PARENT_OF_A_SLEEPER = "import subprocess; p = subprocess.Popen(['sleep', '300'], {options}); print(p.pid, flush=True)"


def start(*argv: str) -> subprocess.Popen[bytes]:
    popen = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    popen.returncode = 0  # reaped by the code under test
    return popen


def held(popen: subprocess.Popen[bytes]) -> Process:
    return Process(popen.pid, (os.getpid(),))


async def exit_of(process: Process) -> Exit:
    ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
    process.reap(ended.set_result)
    return await asyncio.wait_for(ended, 10)


@pytest.fixture
async def as_reaper() -> AsyncIterator[None]:
    become_reaper_of_orphans(True)
    yield
    become_reaper_of_orphans(False)


async def test_an_exit_status_is_reaped() -> None:
    with start("sh", "-c", "exit 3") as popen:
        ended = await exit_of(held(popen))
    assert (ended.pid, ended.exit_code, ended.signal) == (popen.pid, 3, 0)
    assert ended.max_rss_bytes > 0
    assert not os.path.exists(f"/proc/{popen.pid}")


async def test_a_killed_process_is_reaped_with_its_signal_and_a_late_kill_is_harmless() -> None:
    with start("sleep", "300") as popen:
        process = held(popen)
        process.kill()
        ended = await exit_of(process)
        process.signal(signal.SIGTERM)
    assert (ended.exit_code, ended.signal) == (0, 9)


def test_a_process_of_somebody_else_is_not_held() -> None:
    with pytest.raises(ProcessLookupError):
        Process(os.getppid(), (os.getpid(),))


def test_a_process_that_is_gone_is_not_held() -> None:
    popen = subprocess.Popen(["true"])
    popen.wait()
    with pytest.raises(ProcessLookupError):
        Process(popen.pid, (os.getpid(),))


async def test_a_grandchild_whose_parent_ended_is_reaped_here(as_reaper: None) -> None:
    with start(sys.executable, "-c", PARENT_OF_A_SLEEPER.format(options="")) as popen:
        assert popen.stdout is not None
        sleeper = int(popen.stdout.readline())
        await exit_of(held(popen))
    process = Process(sleeper, (popen.pid, os.getpid()))
    process.kill()
    assert (await exit_of(process)).signal == 9


@pytest.mark.parametrize("options", ["", "start_new_session=True", "process_group=0"])
async def test_what_a_process_left_behind_is_killed_and_reaped(as_reaper: None, options: str) -> None:
    sweeper, sessions = mark_in_environment()
    with start(sys.executable, "-c", PARENT_OF_A_SLEEPER.format(options=options)) as popen:
        sessions.add(popen.pid)
        assert popen.stdout is not None
        sleeper = int(popen.stdout.readline())
        await exit_of(held(popen))
    assert state_parent_session(sleeper)[1] == os.getpid()
    assert sweeper.sweep({os.getpid()}) == 1
    await reaped(sweeper, sleeper)


async def test_what_belongs_to_a_live_worker_is_left_alone(as_reaper: None) -> None:
    sweeper, sessions = mark_in_environment()
    with start(sys.executable, "-c", PARENT_OF_A_SLEEPER.format(options="")) as popen:
        sessions.add(popen.pid)
        assert popen.stdout is not None
        sleeper = int(popen.stdout.readline())
        await exit_of(held(popen))
    assert os.getpgid(sleeper) == popen.pid
    assert sweeper.sweep({popen.pid}) == 0  # as if the leader of its group were a live worker
    assert sweeper.sweep(set()) == 1
    await reaped(sweeper, sleeper)


def test_children_that_are_not_ours_are_left_alone() -> None:
    sweeper = OrphanSweeper("FW_SUPERVISOR=somebody-else", set())
    other = subprocess.Popen(["sleep", "300"])
    try:
        assert sweeper.sweep(set()) == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_a_killed_supervisor_left_is_ended_and_nothing_else() -> None:
    left = subprocess.Popen(["sleep", "300"], env={"FW_SUPERVISOR": f"/data/{os.getpid()}:1.2"})
    other = subprocess.Popen(["sleep", "300"], env={"FW_SUPERVISOR": f"/data/{os.getpid()}0:1.2"})
    try:
        assert end_remains(f"FW_SUPERVISOR=/data/{os.getpid()}:") == 1
        assert left.wait(10) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def mark_in_environment() -> tuple[OrphanSweeper, set[int]]:
    """A sweeper for processes started with this test's mark."""
    sessions: set[int] = set()
    return OrphanSweeper(f"PYTEST_CURRENT_TEST={os.environ['PYTEST_CURRENT_TEST']}", sessions), sessions


async def reaped(sweeper: OrphanSweeper, pid: int) -> None:
    """Wait until sweeping has taken the zombie away."""
    async with asyncio.timeout(10):
        while os.path.exists(f"/proc/{pid}"):
            await asyncio.sleep(0.001)  # the kernel is ending it; there is no event left to wait for
            sweeper.sweep(set())
