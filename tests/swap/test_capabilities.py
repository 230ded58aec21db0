"""What this process may do, in sentences."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from actorfaas.swap.capabilities import Answer, Capabilities, effective_capabilities, find_out

YES, NO = Answer(True, "fine"), Answer(False, "not here")


@pytest.fixture
def everything() -> Capabilities:
    return Capabilities(YES, YES, YES, YES, YES, 2, YES, YES, YES, YES, YES, YES)


def test_every_answer_has_a_sentence() -> None:
    found = find_out()
    assert len(found.answers()) == 11
    assert all(answer.sentence for answer in found.answers().values())
    assert found.mechanism


def test_finding_out_leaves_nothing_behind() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    find_out()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_the_effective_set() -> None:
    assert effective_capabilities("Name:\tx\nCapPrm:\t0\nCapEff:\t0000000000a80000\n") == 0xA80000
    assert effective_capabilities("Name:\tx\n") == 0


@pytest.mark.parametrize(
    ("lacking", "text"),
    [
        ([], "freed at once"),
        (["swap"], "no swap"),
        (["sys_nice"], "page themselves"),
        (["process_madvise"], "page themselves"),
        (["sys_nice", "page_out_self"], "neither"),
        (["cgroups"], "up to the kernel"),
        (["reclaim"], "up to the kernel"),
        (["pagemap_scan", "zram"], "freed at once"),
    ],
)
def test_the_mechanism(everything: Capabilities, lacking: list[str], text: str) -> None:
    changes: dict[str, Any] = dict.fromkeys(lacking, NO)  # fields by name
    assert text in replace(everything, **changes).mechanism


def test_an_answer_is_true_or_false() -> None:
    assert YES
    assert not NO
