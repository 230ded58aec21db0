"""The tests of tests/system/swap under control groups v2, an older kernel and a disk of its own."""

from __future__ import annotations

import pytest

from tests.vm import machine

TIMEOUT_S = 600.0

REASON = machine.why_not()
pytestmark = [pytest.mark.vm, pytest.mark.skipif(bool(REASON), reason=REASON or "can boot")]


@pytest.mark.timeout(TIMEOUT_S + 60)
def test_swapping_under_cgroup_v2() -> None:
    outcome = machine.boot(TIMEOUT_S)
    print(outcome.output, f"booting, testing and powering off took {outcome.took_s:.0f} s")
    assert outcome.status == 0
    assert "test_a_node_in_a_group_of_its_own_moves_aside PASSED" in outcome.output
    assert "test_an_offender_is_killed_alone PASSED" in outcome.output
