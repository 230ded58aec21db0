"""What calls cost, added up."""

from __future__ import annotations

import pytest

from actorfaas.core.tally import BUCKETS_NS, Tally, billed, billed_ms, gb_seconds


@pytest.mark.parametrize(("run_ns", "whole_ms"), [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2), (12_300_000, 13)])
def test_begun_milliseconds_are_billed(run_ns: int, whole_ms: int) -> None:
    assert billed_ms(run_ns) == whole_ms


def test_each_handler_is_billed_by_itself() -> None:
    assert billed([(1, 128), (1_000_001, 256), (0, 512)]) == (3, 128 + 2 * 256)
    assert billed([]) == (0, 0)


def test_memory_is_billed_in_gigabyte_seconds() -> None:
    assert gb_seconds(512 * 1000) == 0.5, "half a gigabyte for a second"


def test_calls_are_added_up_by_function_and_start_kind() -> None:
    tally = Tally()
    tally.of("f", "resident").add(2_000_000, False, 1_200_000, 256)
    tally.of("f", "resident").add(4_000_000, True, 0, 256)
    tally.of("f", "fork").add(1, False, 1, 128)
    resident, fork = tally.figures()
    assert (resident.function, resident.start_kind, resident.calls, resident.failed) == ("f", "resident", 2, 1)
    assert (resident.sum_ns, resident.billed_ms, resident.billed_mb_ms) == (6_000_000, 2, 512)
    assert (fork.start_kind, fork.calls, fork.billed_mb_ms) == ("fork", 1, 128)


def test_a_bucket_includes_its_bound() -> None:
    tally = Tally()
    for took_ns in (BUCKETS_NS[0], BUCKETS_NS[0] + 1, BUCKETS_NS[-1] + 1):
        tally.of("f", "").add(took_ns, False, 0, 0)
    (figures,) = tally.figures()
    assert figures.buckets == (1, 1, *[0] * (len(BUCKETS_NS) - 2), 1)


def test_what_is_not_deployed_is_forgotten() -> None:
    tally = Tally()
    tally.of("f", "").add(1, False, 1, 1)
    tally.of("g", "").add(1, False, 1, 1)
    tally.forget_except(["g"])
    assert [one.function for one in tally.figures()] == ["g"]
