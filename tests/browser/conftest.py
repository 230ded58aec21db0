"""One browser and one node for the tests of a module; a session of its own for every test.

The browser's interface keeps an event loop running in this thread, so it must be gone
before tests elsewhere begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from actorfaas.testing import running_node
from tests.browser import kit
from tests.system.kit import Node

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Visits = Callable[..., kit.Visit]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with kit.browser() as made:
        yield made


@pytest.fixture(scope="module")
def node(chromium: Browser) -> Iterator[Node]:
    """A node with the shop deployed; asked for after the browser, so that nothing starts where there is none."""
    with running_node() as running:
        made = Node(running)
        made.deploy_folder("tests/browser/shop")
        yield made
        made.http.close()


@pytest.fixture
def visits(chromium: Browser) -> Iterator[Visits]:
    """Makes readers; what was wrong with their pages fails the test."""
    made: list[kit.Visit] = []

    def visit(url: str, **options: Any) -> kit.Visit:  # of the browser's session
        made.append(kit.Visit(chromium, url, **options))
        return made[-1]

    yield visit
    for one in made:
        one.close()


@pytest.fixture
def visit(visits: Visits, node: Node) -> kit.Visit:
    """One reader of the module's node."""
    return visits(node.url)
