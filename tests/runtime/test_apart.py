"""Work in a process of its own: what comes back, and what ends it."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

import pytest

from actorfaas.errors import DeployError
from actorfaas.runtime.apart import WorkFailed, apart
from tests.patience import SLOWNESS

PATIENCE_S = 30.0 * SLOWNESS


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process finds the functions of this module, although it looks for nothing in the folder it is started in."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def told(text: str, *, times: int = 1) -> tuple[str, int]:
    print("this is for the log")
    return text * times, os.getpid()


def refuses() -> None:
    raise DeployError("not like this")


def fails() -> None:
    raise KeyError("a mistake")


def fills_memory() -> int:
    return len(bytearray(4 * 1024**3))


def loops(place: str) -> None:
    Path(place).write_text(str(os.getpid()), "utf-8")
    while True:
        pass


def limits() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_CPU)


async def test_it_runs_elsewhere_and_gives_back_what_is_returned() -> None:
    text, pid = await apart(PATIENCE_S, told, "ab", times=2)
    assert text == "abab"
    assert pid != os.getpid()


async def test_errors_of_the_platform_are_raised_here() -> None:
    with pytest.raises(DeployError, match="not like this"):
        await apart(PATIENCE_S, refuses)


async def test_a_mistake_is_told_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WorkFailed, match="fails ended with status 1"):
        await apart(PATIENCE_S, fails)
    assert "KeyError: 'a mistake'" in capfd.readouterr().err


async def test_too_much_memory_is_an_error_of_its_own() -> None:
    with pytest.raises(MemoryError):
        await apart(PATIENCE_S, fills_memory)


def children() -> str:
    return "".join(one.read_text("utf-8") for one in Path("/proc/self/task").glob("*/children"))


async def test_a_loop_is_ended_and_its_process_gone(tmp_path: Path) -> None:
    before = children()
    with pytest.raises(TimeoutError):
        await apart(1.0, loops, str(tmp_path / "pid"))
    assert children() == before


async def test_who_gives_up_ends_the_process(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    os.mkfifo(place)
    waiting = asyncio.create_task(apart(PATIENCE_S, loops, str(place)))
    pid = int(await asyncio.to_thread(place.read_text, "utf-8"))  # until it is written
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_it_ends_itself_if_nobody_is_there_to_do_it() -> None:
    assert await apart(PATIENCE_S, limits) == (int(PATIENCE_S) + 1,) * 2
