"""The tests of tests/system/swap under control groups v2, an older kernel and a disk of its own."""

from __future__ import annotations

import re

import pytest

from tests.vm import machine

FOLDER = "tests/system/swap"
NOT_RUN = ("test_node_memory.py", "test_policies_node.py")
"""They start a node for almost every test, half a minute each where every instruction is emulated."""

TIMEOUT_S = 780.0

REASON = machine.why_not()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(bool(REASON), reason=REASON or "can boot"),
    pytest.mark.timeout(TIMEOUT_S + 60),
]


def suite() -> list[str]:
    """What the guest runs: all files but those that are left out."""
    files = sorted(path.name for path in (machine.CHECKOUT / FOLDER).glob("test_*.py") if path.name not in NOT_RUN)
    return [f"{FOLDER}/{name}" for name in files]


def test_swapping_under_cgroup_v2() -> None:
    wanted = suite()
    outcome = machine.boot(wanted, TIMEOUT_S)
    print(outcome.output, f"booting, testing and powering off took {outcome.took_s:.0f} s")
    assert outcome.status == 0
    passed = set(re.findall(r"^(\S+?)(?:\[.*\])? PASSED", outcome.output, re.MULTILINE))
    for one in wanted:
        assert any(name == one or name.startswith(f"{one}::") for name in passed), one
