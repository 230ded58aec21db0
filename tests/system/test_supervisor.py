"""Supervised children without a node around them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from actorfaas import logs
from actorfaas.config import Settings
from actorfaas.runtime.supervisor import ChildFailed, ChildSpec, Supervisor
from tests.runtime.test_allocator import anonymous_bytes
from tests.system.toy_actors import WASTED_BYTES

pytestmark = pytest.mark.system


def supervising(actor: str, folder: Path) -> Supervisor:
    settings = Settings(data_dir=folder, run_dir=folder)
    environment = {**os.environ, **settings.to_environment(), "PYTHONPATH": str(Path(__file__).parents[2])}
    spec = ChildSpec("frontend", (actor,), environment, start_timeout_s=20.0)
    return Supervisor([spec], logs.get("test"))


async def test_what_a_child_left_is_killed_once_since_its_number_may_be_anothers_later(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: killed.append((group, number)))
    supervisor = supervising("tests.system.toy_actors:Broken", short_dir)
    with pytest.raises(ChildFailed, match="exited with status 1"):
        await supervisor.start()
    await supervisor.stop(1.0)
    assert [number for _, number in killed] == [signal.SIGKILL]


async def test_a_child_has_given_back_what_its_start_left_in_the_heap(short_dir: Path) -> None:
    supervisor = supervising("tests.system.toy_actors:Wasteful", short_dir)
    try:
        await supervisor.start()
        assert anonymous_bytes(supervisor.children[0].pid) < WASTED_BYTES // 2
    finally:
        await supervisor.stop(1.0)
