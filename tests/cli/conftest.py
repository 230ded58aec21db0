"""Running the command line in this process, against a fake node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actorfaas.cli.root import root
from tests.fake_node import FakeNode

Cli = Callable[..., Result]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line where no node runs and nothing is set."""
    for name in ("ACTORFAAS_URL", "ACTORFAAS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACTORFAAS_DATA_DIR", str(tmp_path / "data"))
    # nothing ever listens on port 1; on the default one a person's own node may
    monkeypatch.setattr("actorfaas.discovery.DEFAULT_URL", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    return run


@pytest.fixture
def cli(alone: Cli, fake: FakeNode, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line with the fake node as its node."""
    monkeypatch.setenv("ACTORFAAS_URL", fake.url)
    return alone


def run(*arguments: str, stdin: bytes = b"") -> Result:
    """One command. An exception that the command line does not turn into an exit code fails the test."""
    result = CliRunner().invoke(root, arguments, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
