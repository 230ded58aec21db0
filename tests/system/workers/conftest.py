"""Workers forked from real templates of `handlers`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.worker_rig import Bundle, Template, Worker, served
from tests.system.workers.handlers import HANDLERS


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with served(tmp_path_factory.mktemp("bundle") / "code", HANDLERS) as made:
        made.load()
        yield made


@pytest.fixture(scope="module")
def templates(bundle: Bundle) -> dict[str, Template]:
    return {}


@pytest.fixture
def worker_of(bundle: Bundle, templates: dict[str, Template]) -> Iterator[Any]:
    """Gives a new worker of a function; all of them end with the test."""
    given: list[tuple[Template, Worker]] = []

    def start(name: str) -> tuple[Worker, Template]:
        if name not in templates:
            templates[name] = bundle.template(name)
        template = templates[name]
        worker = template.fork_worker()
        given.append((template, worker))
        return worker, template

    yield start
    for template, worker in given:
        worker.close()
        template.exit_of(worker.pid)


@pytest.fixture
def misbehaving(worker_of: Any) -> tuple[Worker, Template]:
    started: tuple[Worker, Template] = worker_of("misbehave")
    return started
