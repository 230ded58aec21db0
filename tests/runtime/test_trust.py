"""Which processes belong to a node, as far as one of them knows."""

from __future__ import annotations

import os

import pytest

from actorfaas.runtime.channel import Credentials
from actorfaas.runtime.trust import Trust


def of(pid: int, uid: int = 1000) -> Credentials:
    return Credentials(pid, uid, uid)


@pytest.fixture
def as_user_1000(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.usefixtures("as_user_1000")
def test_without_a_node_our_user_and_root_are_trusted() -> None:
    trust = Trust()
    assert trust.covers(of(7))
    assert trust.covers(of(7, uid=0))
    assert not trust.covers(of(7, uid=1001))


@pytest.mark.usefixtures("as_user_1000")
def test_under_a_node_only_the_processes_it_names_are_trusted() -> None:
    trust = Trust()
    trust.wait_for_the_node()
    assert not trust.covers(of(7))
    assert not trust.told.is_set()
    trust.learn((7, 8))
    assert trust.told.is_set()
    assert (trust.covers(of(7)), trust.covers(of(9)), trust.covers(of(7, uid=1001))) == (True, False, False)
    trust.learn((8, 9))  # one has died, another was started
    assert (trust.covers(of(7)), trust.covers(of(9)), trust.covers(of(9, uid=0))) == (False, True, True)


@pytest.mark.usefixtures("as_user_1000")
def test_a_process_trusts_itself() -> None:
    trust = Trust()
    trust.wait_for_the_node()
    assert trust.covers(of(os.getpid()))
    assert not trust.covers(of(0)), "a process of another pid namespace has no number here"
