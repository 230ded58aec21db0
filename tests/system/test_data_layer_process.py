"""The DataLayer in a process of its own: what it answered survives kill -9; a database it cannot open is named."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from actorfaas.config import Settings
from actorfaas.errors import PeerUnavailable, RequestRefused
from actorfaas.messages import Done, GetExecution, KvCommitted, KvGet, KvValue, Message
from actorfaas.messages import ExecutionState as State
from tests.actors_kit import FakePeer, Kit
from tests.storage.samples import append, create, event, finish, kv_put

pytestmark = pytest.mark.system

PATIENCE_S = 20.0
ASKERS = 8
ANSWERS_BEFORE_THE_KILL = 150


class Process:
    """The actor's process, as the node would start it."""

    def __init__(self, settings: Settings, log: Path) -> None:
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "actorfaas.runtime.process", "actorfaas.actors.data_layer:DataLayer"],
                env={**os.environ, **settings.to_environment()},
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def wait(self) -> int:
        return self._process.wait(PATIENCE_S)

    def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None


@pytest.fixture
def started() -> Iterator[list[Process]]:
    made: list[Process] = []
    yield made
    for process in made:
        if process.is_running:
            process.kill()


class Journal:
    """What the askers were answered, by execution: the events, and whether it was finished."""

    def __init__(self) -> None:
        self.events: dict[str, int] = {}
        self.finished: set[str] = set()
        self.counter: dict[str, int] = {}
        self.answers = 0
        self.enough = asyncio.Event()

    def answered(self) -> None:
        self.answers += 1
        if self.answers >= ANSWERS_BEFORE_THE_KILL:
            self.enough.set()


def payload(seq: int) -> bytes:
    return f"{seq}".encode() * (3000 if seq % 4 == 0 else 1)  # every fourth goes to a file


async def work(peer: FakePeer, journal: Journal, prefix: str) -> None:
    """Start, advance and finish executions, and count in a key, until the DataLayer is gone."""

    async def ask(message: Message, expect: type[Message] = Done) -> None:
        await peer.ask("data_layer", message, expect)
        journal.answered()

    with suppress(PeerUnavailable):
        for number in range(10_000):
            execution_id = f"{prefix}_{number}"
            await ask(create(execution_id, payload(number)))
            journal.events[execution_id] = 0
            for seq in range(1, 6):
                await ask(append(execution_id, event(seq, payload(seq))))
                journal.events[execution_id] = seq
            await ask(finish(execution_id, payload(number)))
            journal.finished.add(execution_id)
            await ask(kv_put("app", prefix, -1, str(number).encode()), KvCommitted)
            journal.counter[prefix] = number


async def check(peer: FakePeer, journal: Journal) -> None:
    for execution_id, answered in journal.events.items():
        state = await peer.ask("data_layer", GetExecution(execution_id), State)
        seqs = [one.seq for one in state.events]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) >= answered
        assert all(one.payload == payload(one.seq) for one in state.events)
        if execution_id in journal.finished:
            number = int(execution_id.rsplit("_", 1)[1])
            assert (state.status, state.payload) == ("succeeded", payload(number))
    for key, number in journal.counter.items():
        value = await peer.ask("data_layer", KvGet("app", key), KvValue)
        assert int(value.payload) >= number


async def test_what_was_answered_survives_kill_9(kit: Kit, started: list[Process], tmp_path: Path) -> None:
    kit.configure(spill_bytes=1000)
    journals: list[Journal] = []
    peer = await kit.fake("execution_manager", peers=("data_layer",))
    for round_ in range(3):
        started.append(Process(kit.settings, tmp_path / f"log-{round_}"))
        await peer.wait_for_peer("data_layer", PATIENCE_S)
        for earlier in journals:
            await check(peer, earlier)
        journals.append(journal := Journal())
        askers = [asyncio.create_task(work(peer, journal, f"ex_{round_}_{number}")) for number in range(ASKERS)]
        async with asyncio.timeout(PATIENCE_S):
            await journal.enough.wait()
        started[-1].kill()
        await asyncio.gather(*askers)
        assert journal.answers >= ANSWERS_BEFORE_THE_KILL
    started.append(Process(kit.settings, tmp_path / "log-last"))
    await peer.wait_for_peer("data_layer", PATIENCE_S)
    for earlier in journals:
        await check(peer, earlier)
    with pytest.raises(RequestRefused, match="not_found"):
        await peer.ask("data_layer", GetExecution("ex_never"), State)
    assert started[-1].end() == 0


async def test_a_damaged_database_is_named_and_the_process_fails(
    kit: Kit, started: list[Process], tmp_path: Path
) -> None:
    kit.settings.data_dir.mkdir(parents=True)
    (kit.settings.data_dir / "state.sqlite").write_bytes(b"not pages" * 1000)
    log = tmp_path / "log"
    started.append(Process(kit.settings, log))
    assert started[0].wait() == 1
    said = log.read_text()
    assert f"{kit.settings.data_dir}/state.sqlite is damaged" in said
    assert "failed while stopping" not in said
