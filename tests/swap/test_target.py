"""Handles on processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from actorfaas.errors import ProcessGone
from actorfaas.swap.target import Target


def test_facts_about_this_process() -> None:
    with Target(os.getpid()) as me:
        assert me.is_alive()
        assert me.state() == "R"
        assert me.faults().minor > 0
        assert me.resident_bytes() > 1 << 20
        sizes = me.status_bytes("VmPTE", "VmRSS", "NoSuchLine")
        assert sizes.keys() == {"VmPTE", "VmRSS"}
        again = Target(me.pid, me.start_time)
        again.close()
        again.close()


def test_another_start_time_is_another_process() -> None:
    with Target(os.getpid()) as me:
        start_time = me.start_time
    with pytest.raises(ProcessGone, match=str(os.getpid())):
        Target(os.getpid(), start_time - 1)


def test_a_process_that_exits_is_gone_even_before_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with Target(child.pid) as target:
        target.check()
        assert child.stdin is not None
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
        assert not target.is_alive()
        with pytest.raises(ProcessGone):
            target.check()
        child.wait()
        with pytest.raises(ProcessGone):
            target.faults()
        with pytest.raises(ProcessGone):
            target.kill()
    with pytest.raises(ProcessGone):
        Target(child.pid)


def test_no_descriptor_stays_open_after_a_refusal() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(ProcessGone):
            Target(os.getpid(), 1)
    assert len(os.listdir("/proc/self/fd")) == before
