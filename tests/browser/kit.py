"""A headless Chromium on a node's page, and axe-core in it. Without a browser the tests are skipped, and say why.

Owns that a page asks nobody but its node for anything and has no faults that nobody expected: `Visit.close` checks it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.patience import SLOWNESS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

PATIENCE_MS = 20_000 * SLOWNESS
FLAGS = (
    "--no-sandbox",  # the tests run as root, too; what they show is their own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Json = Any  # a decoded JSON document


def chromium() -> str:
    """The browser's program; the test is skipped where there is none."""
    given = os.environ.get("ACTORFAAS_TEST_CHROMIUM")
    found = given or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        pytest.skip("no Chromium is installed; as root: tests/browser/install.sh .venv/bin/python")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser for several tests."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; see tests/browser/install.sh")
    with api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield made
        made.close()


def axe() -> str:
    """The source of axe-core (MPL-2.0, from a package that brings it); the test is skipped without it."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core is not installed; see tests/browser/install.sh")
    return Path(spec.origin).with_name("axe.min.js").read_text("utf-8")


class Visit:
    """One reader with a session of their own, looking at a node."""

    def __init__(self, made: Browser, url: str, *, scheme: str = "light", width: int = 1200, **options: Json) -> None:
        self.url = url
        self._context = made.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": 900},
            bypass_csp=False,
            **options,
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.expected: tuple[str, ...] = ()
        """Parts of what may be said on the console; anything else there is a fault."""
        self._asked: list[str] = []
        self._faults: list[str] = []
        self.page.on("request", lambda request: self._asked.append(request.url))
        self.page.on("pageerror", lambda error: self._faults.append(f"raised: {error}"))
        self.page.on("console", self._said)
        self._is_open = True

    def open(self, view: str, *, live: bool = True) -> Page:
        """Go to a view, as `executions?status=failed`; if wanted, once it is live."""
        self.page.goto(f"{self.url}/ui/#/{view}")
        if live:
            self.until_live()
        return self.page

    def until_live(self) -> None:
        """Wait for the first event."""
        self.page.wait_for_selector("#connection[data-state=live]")

    def status(self, state: str, status: str) -> None:
        """Wait until the diagram shows a state so."""
        self.page.wait_for_selector(f'.picture [data-state="{state}"][data-status="{status}"]', state="attached")

    def _said(self, said: ConsoleMessage) -> None:
        if said.type in ("warning", "error"):
            self._faults.append(f"{said.type}: {said.text}")

    def close(self) -> None:
        """End the session, once, and tell what was wrong with the page."""
        if not self._is_open:
            return
        self._is_open = False
        self._context.close()
        elsewhere = [url for url in self._asked if not url.startswith(self.url + "/")]
        assert not elsewhere, f"the page asked others than its node: {elsewhere}"
        faults = [fault for fault in self._faults if not any(part in fault for part in self.expected)]
        assert not faults, f"the page had faults: {faults}"
