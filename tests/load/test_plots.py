"""Axes and figures."""

from __future__ import annotations

import re

import pytest

from actorfaas.load import plots


@pytest.mark.parametrize(
    ("most", "ticks"), [(1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]), (7.0, ["0", "2", "4", "6", "8"])]
)
def test_linear_axes_end_at_round_numbers(most: float, ticks: list[str]) -> None:
    axis = plots.linear("x", most)
    assert [text for _, text in axis.ticks] == ticks
    assert axis.place(0) == 0
    assert axis.place(axis.ticks[-1][0]) == pytest.approx(1)


def test_logarithmic_axes_have_equal_room_for_equal_ratios() -> None:
    axis = plots.logarithmic("ms", 0.15, 80)
    assert [value for value, _ in axis.ticks] == pytest.approx([0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100])
    assert axis.place(10) - axis.place(1) == pytest.approx(axis.place(1) - axis.place(0.1))
    assert (axis.place(0.1), axis.place(100)) == pytest.approx((0, 1))


def test_each_nine_is_as_far_as_the_one_before() -> None:
    axis = plots.nines("percentile", 99.9)
    assert [axis.place(percent) for percent in (0, 90, 99, 99.9)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert [text for _, text in axis.ticks][-1] == "99.9 %"


def test_a_gap_breaks_the_line() -> None:
    axis = plots.linear("x", 4)
    series = [plots.Series("a", [(0, 1), (1, 2), (2, None), (3, 3)])]
    path, _ = re.findall(r'class="line s0" d="(M\d[^"]+)"', plots.lines("t", "d", series, axis, axis))  # then its key
    assert re.sub(r"[\d. ]", "", path) == "MLMh"


def test_stacked_columns_stand_on_each_other() -> None:
    text = plots.columns("t", "d", {"a": [2, 0], "b": [2, 4]}, 1.0, plots.seconds("s", 2))
    boxes = [tuple(map(float, box)) for box in re.findall(r'y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', text)]
    (lower, height), (upper, upper_height), (alone, alone_height) = boxes
    assert upper + upper_height == pytest.approx(lower)
    assert height == upper_height == alone_height / 2
    assert alone == upper


def test_bars_of_what_was_measured() -> None:
    groups = {"f": {"fork": 10.0, "swap": 100.0}, "g": {"swap": 20.0}}
    text = plots.bars("t", "d", groups, ["fork", "swap"], "ms")
    heights = [float(height) for height in re.findall(r'class="fill s\d"[^>]* height="([\d.]+)"', text)]
    assert len(heights) == 3
    assert heights[0] < heights[2] < heights[1]
    assert ">100</text>" in text


def test_names_are_text() -> None:
    axis = plots.linear("<x>", 1)
    text = plots.lines("<t>", '"d"', [plots.Series("<a>", [])], axis, axis)
    assert "<t>" not in text
    assert "<a>" not in text
    assert "<x>" not in text
    assert 'aria-label="&lt;t&gt;. &quot;d&quot;"' in text
