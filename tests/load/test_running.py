"""Whole runs: generator processes, what they find together, interrupts, and processes that fail."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from actorfaas.errors import LoadFailed
from actorfaas.load import arrivals, running
from actorfaas.load.http_requests import render
from actorfaas.load.plan import Closed, Endpoint, Plan, Target
from actorfaas.load.running import Progress, run
from tests.fake_node import FakeNode, document

pytestmark = pytest.mark.system


@pytest.fixture
def fake(fake: FakeNode) -> FakeNode:
    fake.on("POST", "/", document(None))
    return fake


def plan(url: str, spec: str | Closed, processes: int = 1) -> Plan:
    how = arrivals.parse(spec) if isinstance(spec, str) else spec
    return Plan(Endpoint.of(url), (Target("x", (render("POST", url, b"null"),)),), how, processes=processes)


def test_processes_share_the_calls(fake: FakeNode) -> None:
    seen: list[Progress] = []
    outcome = run(plan(fake.url, "constant 100/s 1s", processes=3), seen.append)
    assert outcome.tally.ok == len(fake.asked) == 100
    assert sum(one.intended for one in outcome.tally.course) == 100
    assert len(outcome.processors) == 3
    assert not outcome.interrupted
    assert seen


def test_a_closed_loop_over_processes(fake: FakeNode) -> None:
    outcome = run(plan(fake.url, Closed(3, 60.0, calls=50), processes=2))
    assert outcome.tally.ok == len(fake.asked) == 50


def test_an_interrupt_ends_a_run_with_what_was_found(fake: FakeNode) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.ok:
            os.kill(os.getpid(), signal.SIGINT)

    outcome = run(plan(fake.url, "constant 50/s 1h", processes=2), interrupt)
    assert outcome.interrupted
    assert 0 < outcome.tally.ok <= len(fake.asked)
    assert outcome.tally.failed == 0


def test_a_second_interrupt_ends_it_at_once(fake: FakeNode) -> None:
    def interrupt(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(plan(fake.url, "constant 50/s 1h"), interrupt)


def test_an_interrupt_before_the_begin_ends_it_at_once(fake: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    hear = running._Generator.hear

    async def interrupted(generator: running._Generator) -> running.Json:
        message = await hear(generator)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(3600)
        return message

    monkeypatch.setattr(running._Generator, "hear", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(plan(fake.url, "constant 50/s 1h", processes=2))
    assert fake.asked == []


def test_a_host_that_is_none() -> None:
    with pytest.raises(LoadFailed, match=r"no\.such\.host\.invalid:80"):
        run(plan("http://no.such.host.invalid/", "constant 5/s 1s"))


def test_a_generator_ends_quietly_with_the_process_that_started_it() -> None:
    program = """
import sys
from actorfaas.load import arrivals, running
from actorfaas.load.plan import Endpoint, Plan, Target
started = running._Generator.start
async def start(plan, number):
    generator = await started(plan, number)
    print(generator.process.pid, flush=True)
    return generator
running._Generator.start = start
running.run(Plan(Endpoint("127.0.0.1", 1), (Target("x", (b"",)),), arrivals.parse("pause 1h, constant 1/s 1s")))
"""
    command = [sys.executable, "-c", program]
    starter = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    assert starter.stderr is not None
    with starter.stdout:
        generator = int(starter.stdout.readline())
        pidfd = os.pidfd_open(generator)
        starter.kill()
        starter.wait()
    with open(pidfd) as ended:
        asyncio.run(asyncio.wait_for(_readable(ended.fileno()), 20))
    with starter.stderr:
        assert starter.stderr.read() == ""


async def _readable(fd: int) -> None:
    """Wait until a descriptor can be read: of a process, until that has ended."""
    event = asyncio.Event()
    asyncio.get_running_loop().add_reader(fd, event.set)
    try:
        await event.wait()
    finally:
        asyncio.get_running_loop().remove_reader(fd)
