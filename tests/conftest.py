"""Fixtures that several parts of the tests share."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest
import uvloop

from actorfaas.client import Client
from tests import skips
from tests.actors_kit import Kit
from tests.fake_node import FakeNode


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the event loop that the platform runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_configure(config: pytest.Config) -> None:
    """A shell's background job ignores interrupts, and so would each program that a test starts and interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where skips are watched, a test that should have run has failed."""
    report = yield
    if skips.is_watched() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if why := skips.not_to_be_skipped(item, reason):
            report.outcome, report.longrepr = "failed", why
    return report


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder with a short path, since Unix sockets allow 107 bytes and `tmp_path` can be longer."""
    folder = Path(tempfile.mkdtemp(prefix="afaas-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def kit(short_dir: Path) -> AsyncIterator[Kit]:
    """Actors in this test's event loop; see `tests.actors_kit`."""
    made = Kit(short_dir)
    yield made
    await made.close()


@pytest.fixture
def fake() -> Iterator[FakeNode]:
    """A node that answers what the test says."""
    with FakeNode().running() as made:
        yield made


@pytest.fixture
def client(fake: FakeNode) -> Iterator[Client]:
    """A client of `fake`."""
    with Client(fake.url, token="secret") as made:
        yield made
