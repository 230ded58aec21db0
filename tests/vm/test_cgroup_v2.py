"""The tests of tests/system/swap under control groups v2, an older kernel and a disk of its own."""

from __future__ import annotations

import pytest

from tests.vm import machine

FOLDER = machine.CHECKOUT / "tests/system/swap"
WITH_NODES = ("test_homes.py", "test_node_memory.py")
"""These start whole nodes or supervisors, which takes long where every instruction is emulated."""

TIMEOUT_S = 900.0

REASON = machine.why_not()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(bool(REASON), reason=REASON or "can boot"),
    pytest.mark.timeout(TIMEOUT_S + 60),
]


def run(*names: str) -> str:
    """Boot, run these files; what was printed, if all passed."""
    outcome = machine.boot([str((FOLDER / name).relative_to(machine.CHECKOUT)) for name in names], TIMEOUT_S)
    print(outcome.output, f"booting, testing and powering off took {outcome.took_s:.0f} s")
    assert outcome.status == 0
    return outcome.output


def test_mechanisms_under_cgroup_v2() -> None:
    others = sorted(path.name for path in FOLDER.glob("test_*.py") if path.name not in WITH_NODES)
    output = run(*others)
    for name in (
        "test_a_node_in_a_group_of_its_own_moves_aside",
        "test_an_offender_is_killed_alone",
        "test_a_worker_goes_out_is_recorded_and_comes_back_before_its_call",
    ):
        assert f"{name} PASSED" in output


@pytest.mark.parametrize("name", WITH_NODES)
def test_nodes_under_cgroup_v2(name: str) -> None:
    assert " PASSED" in run(name)
