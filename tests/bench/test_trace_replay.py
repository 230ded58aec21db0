"""The replayed day: what is scaled, and what is compared."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from actorfaas.load.traces import Row
from bench.trace_replay import BUDGET_MB, DAY_MINUTES, OVERCOMMIT, column, made_up, published, scaled, ways


def test_states_fill_the_budget_as_often_as_said_and_durations_have_their_median() -> None:
    rows, memory, durations = made_up(seed=3)
    functions = scaled(rows, memory, durations)
    assert sum(one.state_mib for one in functions) == pytest.approx(OVERCOMMIT * BUDGET_MB)
    assert statistics.median(one.duration_ms for one in functions) == pytest.approx(5.0, rel=0.01)
    assert all(1 <= one.duration_ms <= 200 for one in functions)


def test_what_is_frequent_is_thinned_and_what_is_rare_is_not() -> None:
    rows = [Row("often", (5,) * DAY_MINUTES), Row("rare", (1,) + (0,) * (DAY_MINUTES - 1))]
    often, rare = scaled(rows, [1.0, 1.0], [1.0, 1.0])
    assert (sum(often.row.counts), often.is_rare) == (300, False)
    assert (rare.row, rare.is_rare) == (rows[1], True)


def test_a_made_up_day_is_that_of_its_seed_and_has_a_long_tail() -> None:
    rows, _, _ = made_up(seed=3)
    assert made_up(seed=3)[0] == rows
    totals = sorted(sum(row.counts) for row in rows)
    assert totals[-1] == 60 * DAY_MINUTES
    assert totals[len(totals) // 3] < 30


def test_a_published_day(tmp_path: Path) -> None:
    (tmp_path / "100_inv.csv").write_text("HashFunction,minute_1,minute_2\na,1,2\nb,0,1\n")
    (tmp_path / "100_mem.csv").write_text("HashApp,AverageAllocatedMb_pct50\na,100\nb,0\n")
    (tmp_path / "100_run.csv").write_text("HashFunction,percentile_Average_50\na,7\nb,9\n")
    rows, memory, durations = published(tmp_path)
    assert [row.counts for row in rows] == [(1, 2), (0, 1)]
    assert memory == [100.0, 1.0]
    assert durations == column(tmp_path / "100_run.csv", "percentile_Average_50") == [7.0, 9.0]


def test_keep_alive_has_as_many_instances_as_the_budget_has_room_for() -> None:
    by_name = {way.name.partition(",")[0]: way for way in ways(scaled(*made_up(seed=1)))}
    assert set(by_name) == {"fork", "keep-alive", "swap", "auto"}
    assert by_name["keep-alive"].node["max_workers"] == int(BUDGET_MB / (OVERCOMMIT * BUDGET_MB / 100 + 6))
    assert by_name["auto"].node == by_name["swap"].node
