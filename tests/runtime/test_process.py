"""What a process that hosts actors makes of its command line."""

from __future__ import annotations

import resource

import pytest

from actorfaas.errors import ConfigError
from actorfaas.runtime import process
from actorfaas.runtime.process import load_actor
from tests.actors_kit import FakePeer


def test_an_actor_is_found_by_its_location() -> None:
    assert load_actor("tests.actors_kit:FakePeer") is FakePeer


@pytest.mark.parametrize(
    "location",
    ["", "nothing", "no.such.module:Actor", "tests.actors_kit:Nobody", "tests.actors_kit:Kit", "tests.actors_kit"],
)
def test_what_is_not_an_actor_is_named(location: str) -> None:
    with pytest.raises(ConfigError, match="is not an actor"):
        load_actor(location)


def test_a_call_without_actors_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert process.main([]) == process.EXIT_USAGE
    assert "usage: python -m actorfaas.runtime.process MODULE:CLASS" in capsys.readouterr().err


def test_wrong_settings_are_explained(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORFAAS_PORT", "eighty")
    assert process.main(["tests.actors_kit:FakePeer"]) == process.EXIT_USAGE
    assert "port must be a whole number" in capsys.readouterr().err


def test_a_low_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard) // 2, hard))
        process.allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
