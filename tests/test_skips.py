"""Skips of swapping tests are failures where they are watched and the machine can swap."""

from __future__ import annotations

import pytest

from tests import conftest, skips


class Item:
    """A test with one mark."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def get_closest_marker(self, name: str) -> object | None:
        return self if name == self._mark else None


def reported(mark: str, reason: str) -> pytest.TestReport:
    """What is reported of a test with this mark that was skipped for this reason."""
    report = pytest.TestReport("t.py::t", ("t.py", 1, "t"), {}, "skipped", ("t.py", 1, f"Skipped: {reason}"), "setup")
    hook = conftest.pytest_runtest_makereport(Item(mark), None)  # type: ignore[arg-type]  # all that it looks at
    next(hook)
    with pytest.raises(StopIteration):  # it changes the report in place
        hook.send(report)
    return report


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORFAAS_TEST_NO_SKIPS", "1")
    monkeypatch.setattr(skips, "can_swap", lambda: True)


@pytest.mark.parametrize("mark", ["swap", "vm"])
def test_a_skip_is_a_failure_and_says_why(mark: str) -> None:
    report = reported(mark, "process_madvise is not there")
    assert report.failed
    assert "process_madvise is not there" in str(report.longrepr)


@pytest.mark.parametrize("reason", ["this kernel has one way only", "this machine has swap of its own: /dev/sda2"])
def test_what_differs_between_machines_may_be_skipped(reason: str) -> None:
    assert reported("swap", reason).skipped


def test_other_tests_may_be_skipped() -> None:
    assert reported("browser", "no browser is installed").skipped


def test_a_machine_that_cannot_swap_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skips, "can_swap", lambda: False)
    assert reported("swap", "not root").skipped


def test_who_does_not_watch_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACTORFAAS_TEST_NO_SKIPS")
    assert reported("swap", "process_madvise is not there").skipped
