"""The tests of tests/system/swap under control groups v2, an older kernel and a disk of its own."""

from __future__ import annotations

import re

import pytest

from tests.vm import machine

FOLDER = "tests/system/swap"
WHOLE_NODES = ("test_node_memory.py", "test_ordinary_user.py", "test_paging_node.py")
"""Not run: one test of a node takes minutes where every instruction is emulated. test_homes.py has one that is run."""

TIMEOUT_S = 600.0

REASON = machine.why_not()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(bool(REASON), reason=REASON or "can boot"),
    pytest.mark.timeout(TIMEOUT_S + 60),
]


def suite() -> list[str]:
    """What the guest runs: all files but those of whole nodes."""
    files = sorted(path.name for path in (machine.CHECKOUT / FOLDER).glob("test_*.py") if path.name not in WHOLE_NODES)
    return [f"{FOLDER}/{name}" for name in files]


def test_swapping_under_cgroup_v2() -> None:
    wanted = suite()
    outcome = machine.boot(wanted, TIMEOUT_S)
    print(outcome.output, f"booting, testing and powering off took {outcome.took_s:.0f} s")
    assert outcome.status == 0
    passed = set(re.findall(r"^(\S+?)(?:\[.*\])? PASSED", outcome.output, re.MULTILINE))
    for one in wanted:
        assert any(name == one or name.startswith(f"{one}::") for name in passed), one
