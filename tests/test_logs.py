"""The platform's own log: one event a line, in the format asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from actorfaas import logs


@pytest.fixture(autouse=True)
def defaults_afterwards() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    log = logs.get("local_queue")
    log.debug("not shown")
    log.info("started", pid=7)
    try:
        raise LookupError("gone")
    except LookupError:
        log.exception("failed", request="req_1")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["actor"], first["level"], first["pid"]) == ("started", "local_queue", "info", 7)
    assert first["timestamp"].endswith("Z")
    assert second["request"] == "req_1"
    assert "LookupError: gone" in second["exception"]


@pytest.mark.parametrize("log_format", ["auto", "json"])
def test_auto_is_json_when_nobody_watches(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    logs.configure("warning", log_format)
    logs.get("node").warning("careful")
    assert json.loads(capsys.readouterr().err)["event"] == "careful"


def test_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "console")
    logs.get("node").debug("starting", port=8080)
    written = capsys.readouterr().err
    assert "starting" in written
    assert "8080" in written
    with pytest.raises(json.JSONDecodeError):
        json.loads(written)
