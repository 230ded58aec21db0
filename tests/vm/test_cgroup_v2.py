"""The tests of tests/system/swap under control groups v2, an older kernel and a disk of its own.

In two halves, each in a machine with one processor: `make test-vm` boots them beside each other.
"""

from __future__ import annotations

import re

import pytest

from tests.vm import machine

FOLDER = "tests/system/swap"
NOT_RUN = ("test_node_memory.py", "test_policies_node.py")
"""They start a node for almost every test, half a minute each where every instruction is emulated."""

NODES = ("test_ordinary_user.py", "test_paging_node.py")
"""They start a node too, but run many tests on it: about half of the time."""

TIMEOUT_S = 780.0

REASON = machine.why_not()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(bool(REASON), reason=REASON or "can boot"),
    pytest.mark.timeout(TIMEOUT_S + 60),
]


def files() -> set[str]:
    """What is run: all files but those that are left out."""
    return {path.name for path in (machine.CHECKOUT / FOLDER).glob("test_*.py")} - {*NOT_RUN}


@pytest.mark.parametrize("half", [files() - {*NODES}, files() & {*NODES}], ids=["mechanisms", "nodes"])
def test_swapping_under_cgroup_v2(half: set[str]) -> None:
    wanted = [f"{FOLDER}/{name}" for name in sorted(half)]
    outcome = machine.boot(wanted, TIMEOUT_S)
    print(outcome.output, f"booting, testing and powering off took {outcome.took_s:.0f} s")
    assert outcome.status == 0
    passed = set(re.findall(r"^(\S+?)(?:\[.*\])? PASSED", outcome.output, re.MULTILINE))
    for one in wanted:
        assert any(name == one or name.startswith(f"{one}::") for name in passed), one
