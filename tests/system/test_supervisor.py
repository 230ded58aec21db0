"""Supervised children that do not come up, without a node around them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from actorfaas import logs
from actorfaas.config import Settings
from actorfaas.runtime.supervisor import ChildFailed, ChildSpec, Supervisor

pytestmark = pytest.mark.system


async def test_what_a_child_left_is_killed_once_since_its_number_may_be_anothers_later(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: killed.append((group, number)))
    settings = Settings(data_dir=short_dir, run_dir=short_dir)
    environment = {**os.environ, **settings.to_environment()}
    spec = ChildSpec("frontend", ("tests.system.toy_actors:Broken",), environment, start_timeout_s=20.0)
    supervisor = Supervisor([spec], logs.get("test"))
    with pytest.raises(ChildFailed, match="exited with status 1"):
        await supervisor.start()
    await supervisor.stop(1.0)
    assert [number for _, number in killed] == [signal.SIGKILL]
