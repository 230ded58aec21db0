"""Plots as SVG text: lines over linear, logarithmic or "nines" axes, and stacked columns. Pure.

Colours are classes (`s0`, `s1`, ...) that the page's style sheet gives a light and a dark form; lines also differ in
their dashes, and every plot has a title and a description that say the same in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 40
LABELLED_BARS = 20
"""With more, there is no room for the value of each."""

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """How values become places between 0 and 1, and which are marked."""

    label: str
    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its name, and its points by ascending x; None for y breaks it."""

    name: str
    points: Sequence[Point]


def linear(label: str, most: float, least: float = 0.0) -> Axis:
    """From `least` to a round number that is at least `most`."""
    span = max(most - least, 1e-9)
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= 5)
    steps = max(1, math.ceil(span / step - 1e-9))
    top = least + steps * step
    ticks = [(least + number * step, _short(least + number * step)) for number in range(steps + 1)]
    return Axis(label, lambda value: (value - least) / (top - least), ticks)


def seconds(label: str, most: float) -> Axis:
    """From 0 to exactly `most`."""
    most = max(most, 1e-9)
    ticks = [tick for tick in linear(label, most).ticks if tick[0] <= most * 1.001]
    return Axis(label, lambda value: value / most, ticks)


def logarithmic(label: str, least: float, most: float) -> Axis:
    """Whole decades around `least` and `most`, or 1, 2, 5 of each if there are few."""
    least, most = max(least, 1e-3), max(most, least * 1.01, 1e-3)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    factors = (1, 2, 5) if high - low <= 3 else (1,)
    marks = [factor * 10.0**power for power in range(low, high + 1) for factor in factors]
    first = max((mark for mark in marks if mark <= least), default=marks[0])
    last = min((mark for mark in marks if mark >= most), default=marks[-1])
    last = max(last, first * 2)
    ticks = [(mark, _short(mark)) for mark in marks if first <= mark <= last]
    span = math.log(last / first)
    return Axis(label, lambda value: math.log(max(value, first) / first) / span, ticks)


def nines(label: str, most_percent: float) -> Axis:
    """Percentiles: each nine more is as far as the one before."""
    most = max(_depth(most_percent), 1.0)
    ticks = [(percent, f"{percent:g} %") for percent in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)]
    return Axis(label, lambda value: _depth(value) / most, [tick for tick in ticks if _depth(tick[0]) <= most])


def lines(title: str, description: str, series: Sequence[Series], x: Axis, y: Axis) -> str:
    """A figure with one line for each series."""
    drawn = "".join(
        f'<path class="line s{number}" d="{_path(one.points, x, y)}"/>' for number, one in enumerate(series)
    )
    return _figure(title, description, [one.name for one in series], _frame(x, y) + drawn)


def columns(title: str, description: str, stacked: dict[str, Sequence[float]], width: float, x: Axis) -> str:
    """A figure with a column for each step, made of the parts' values, which are stacked in their order."""
    totals = [sum(values) for values in zip(*stacked.values(), strict=True)]
    y = linear("calls", max(totals, default=0) or 1)
    below = [0.0] * len(totals)
    drawn = []
    for number, values in enumerate(stacked.values()):
        for step, value in enumerate(values):
            if value:
                drawn.append(
                    _column(number, step * width, (step + 1) * width, (below[step], below[step] + value), x, y)
                )
            below[step] += value
    return _figure(title, description, list(stacked), _frame(x, y) + "".join(drawn))


def bars(title: str, description: str, groups: dict[str, dict[str, float]], names: Sequence[str], unit: str) -> str:
    """A figure with a group of bars for each of `groups`, which have values for some of `names`; the axis is
    logarithmic, as values may differ by orders of magnitude."""
    values = [value for group in groups.values() for value in group.values()] or [1.0]
    y = logarithmic(f"{unit}, logarithmic", min(values) / 2, max(values) * 1.2)
    room = 1 / max(len(groups), 1)
    x = Axis("", lambda value: value, [((number + 0.5) * room, name) for number, name in enumerate(groups)])
    drawn = []
    for number, group in enumerate(groups.values()):
        for place, name in enumerate(names):
            if name in group:
                begin = (number + 0.1 + 0.8 * place / len(names)) * room
                heights = y.ticks[0][0], group[name]
                drawn.append(_column(place, begin, begin + 0.8 * room / len(names), heights, x, y))
                if len(groups) * len(names) <= LABELLED_BARS:
                    middle = _x(x, begin + 0.4 * room / len(names))
                    label = f'<text x="{middle:.1f}" y="{_y(y, group[name]) - 3:.1f}" text-anchor="middle">'
                    drawn.append(f"{label}{group[name]:.3g}</text>")
    return f'<div class="stack">{_figure(title, description, names, _frame(x, y) + "".join(drawn))}</div>'


def _column(number: int, begin: float, end: float, heights: tuple[float, float], x: Axis, y: Axis) -> str:
    left, right = _x(x, begin), _x(x, end)
    bottom, top = (_y(y, height) for height in heights)
    return (
        f'<rect class="fill s{number}" x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 0.5, 0.5):.1f}" '
        f'height="{bottom - top:.1f}"/>'
    )


def _figure(title: str, description: str, names: Sequence[str], content: str) -> str:
    label = escape(f"{title}. {description}", quote=True)
    legend = "".join(
        f'<li><svg class="key" viewBox="0 0 28 10" aria-hidden="true"><path class="line s{number}" d="M0 5H28"/></svg>'
        f"{escape(name)}</li>"
        for number, name in enumerate(names)
    )
    return (
        f"<figure><figcaption><h2>{escape(title)}</h2><p>{escape(description)}</p></figcaption>"
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{content}</svg>'
        f'<ul class="legend">{legend}</ul></figure>'
    )


def _frame(x: Axis, y: Axis) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value, text in y.ticks:
        at = _y(y, value)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in x.ticks:
        at = _x(x, value)
        parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{bottom}"/>')
        anchor = "end" if at > right - 16 else "middle"
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="{anchor}">{escape(text)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    middle = (LEFT + right) / 2
    parts.append(f'<text class="name" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x.label)}</text>')
    high = (TOP + bottom) / 2
    parts.append(
        f'<text class="name" transform="translate(14 {high}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'
    )
    return "".join(parts)


def _path(points: Sequence[Point], x: Axis, y: Axis) -> str:
    return " ".join(_steps(points, x, y))


def _steps(points: Sequence[Point], x: Axis, y: Axis) -> Iterator[str]:
    drawing = False
    for index, (at, value) in enumerate(points):
        if value is None:
            drawing = False
            continue
        place = f"{_x(x, at):.1f} {_y(y, value):.1f}"
        yield f"{'L' if drawing else 'M'}{place}"
        if not drawing and (index + 1 == len(points) or points[index + 1][1] is None):
            yield "h3"  # a point alone
        drawing = True


def _x(axis: Axis, value: float) -> float:
    return LEFT + min(max(axis.place(value), 0.0), 1.0) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - min(max(axis.place(value), 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)


def _depth(percent: float) -> float:
    return -math.log10(max(1 - percent / 100, 1e-9))


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"
