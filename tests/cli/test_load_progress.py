"""What is shown while load is generated."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from actorfaas.cli.load_progress import in_words, shown
from actorfaas.load import arrivals
from actorfaas.load.plan import Endpoint, Plan, Target
from actorfaas.load.running import Progress
from tests.fake_node import FakeNode, document

PLAN = Plan(Endpoint("h", 1), (Target("x", (b"",)),), arrivals.parse("poisson 1/s 30s"))


def test_what_should_not_be_is_named_only_when_it_is() -> None:
    assert in_words(Progress(1, sent=10, ok=8, outstanding=2, recent_max_ms=3)) == (
        "10 sent, 8 ok, 2 waiting, longest of late 3.0 ms"
    )
    assert "1 failed, 2 dropped, 3 late" in in_words(Progress(1, failed=1, dropped=2, late=3))


def test_where_there_is_no_terminal_a_line_comes_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(PLAN, quiet=False) as show:
        for elapsed_s in (0.5, 4.9, 5.1, 5.6, 9.9, 10.2):
            show(Progress(elapsed_s, sent=int(elapsed_s)))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["5 of 30 s", "10 of 30 s"]


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(PLAN, quiet=True) as show:
        show(Progress(20))
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")  # not one without a cursor, on which no bar is drawn
    monkeypatch.setattr(sys, "stderr", terminal)
    with shown(PLAN, quiet=False) as show:
        show(Progress(15, sent=7))
    assert "7 sent" in terminal.getvalue()


@pytest.mark.system
def test_an_interrupt_at_a_terminal_ends_with_the_results_so_far(fake: FakeNode) -> None:
    fake.on("GET", "/", document(None))
    control, terminal = pty.openpty()
    command = [sys.executable, "-m", "actorfaas", "load", "--url", f"{fake.url}/", "--rate", "20/s", "--duration", "1h"]
    with subprocess.Popen(
        command,
        env=os.environ | {"TERM": "xterm"},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        try:
            assert " ok, " in read_until(control, b" ok, ")
            process.send_signal(signal.SIGINT)
            said = read_until(control, b"results so far")
            assert process.stdout is not None
            shown_results = process.stdout.read()
            assert process.wait(20) == 130
        finally:  # it would go on for an hour; its generators end with it
            process.kill()
    os.close(control)
    assert "WARNING: The run was interrupted" in said
    assert shown_results.startswith("poisson 20/s 3600s")


def read_until(fd: int, wanted: bytes) -> str:
    """What a terminal shows, until it has shown that."""
    data = b""
    deadline = time.monotonic() + 30
    while wanted not in data:
        ready, _, _ = select.select([fd], [], [], deadline - time.monotonic())
        assert ready, data.decode("utf-8", "replace")
        data += os.read(fd, 1 << 16)
    return data.decode("utf-8", "replace")
