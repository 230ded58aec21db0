"""Replay of traces in the form of the Azure Functions data set: a row a function, its invocations by minute.

Owns reading rows, choosing and binding them, and when the calls of a minute arrive: as a Poisson process that had
exactly so many arrivals, which is uniformly at random. Pure: lines come in, times go out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from random import Random

from actorfaas.errors import ConfigError

KEY_COLUMN = "HashFunction"
"""The column that names a row's function; columns that count are numbered, perhaps behind a prefix (`minute_17`)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One function: its name in the trace and how often it is called in each minute."""

    key: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """Rows to be replayed, one for each target, in its order.

    `minute_s`: how long a minute of the trace takes. `share`: of each count, this part (1: all) is replayed.
    """

    rows: tuple[Row, ...]
    minute_s: float = 60.0
    share: float = 1.0

    @property
    def duration_s(self) -> float:
        """How long all of it takes."""
        return max(len(row.counts) for row in self.rows) * self.minute_s

    @property
    def expected(self) -> float:
        """How many calls that are, on average."""
        return self.share * sum(sum(row.counts) for row in self.rows)

    def calls(self, chance: Random) -> Iterator[tuple[float, int]]:
        """When which row is called, in s from the begin, ascending."""
        for minute in range(max(len(row.counts) for row in self.rows)):
            within = [
                (chance.random(), number)
                for number, row in enumerate(self.rows)
                for _ in range(self._drawn(row.counts[minute] if minute < len(row.counts) else 0, chance))
            ]
            for at, number in sorted(within):
                yield (minute + at) * self.minute_s, number

    def _drawn(self, count: int, chance: Random) -> int:
        if self.share == 1.0 or not count:
            return count
        whole, rest = divmod(count * self.share, 1)
        return int(whole) + (chance.random() < rest)

    def __str__(self) -> str:
        share = "" if self.share == 1 else f", {100 * self.share:g} % of the calls"
        return f"trace of {len(self.rows)} functions, {60 / self.minute_s:g} times as fast{share}"


def read(lines: Iterable[str], first_minute: int = 0, minutes: int = 0) -> list[Row]:
    """Rows of a trace, from `first_minute` (from 0) on, `minutes` of them (0: all). Raises ConfigError."""
    table = csv.reader(lines)
    header = next(table, [])
    columns = [index for index, name in enumerate(header) if name.rpartition("_")[2].isdecimal()]
    columns = columns[first_minute : first_minute + minutes if minutes else None]
    if KEY_COLUMN not in header or not columns:
        raise ConfigError(f"the trace needs a column {KEY_COLUMN} and one for each minute (minute_1 or 1, ...)")
    key = header.index(KEY_COLUMN)
    try:
        return [Row(line[key], tuple(int(float(line[index] or 0)) for index in columns)) for line in table if line]
    except (ValueError, IndexError) as error:
        raise ConfigError(f"line {table.line_num} of the trace cannot be read: {error}") from error


def capped(rows: Iterable[Row], most: int) -> list[Row]:
    """The same rows, those with more than `most` calls thinned to so many, spread as before."""
    return [
        row if (total := sum(row.counts)) <= most else Row(row.key, _thinned(row.counts, most, total)) for row in rows
    ]


def _thinned(counts: Sequence[int], most: int, total: int) -> tuple[int, ...]:
    """So that, up to each minute, the calls are in proportion, rounded down."""
    sums = list(accumulate(counts, initial=0))
    return tuple(after * most // total - before * most // total for before, after in pairwise(sums))


def bind(rows: Sequence[Row], names: Sequence[str], wanted: Sequence[str]) -> tuple[Row, ...]:
    """A row for each name: the one `wanted` (its number from 0, or how its key begins), or the next one that is free.

    Raises ConfigError when there is no such row, or not enough of them.
    """
    chosen: dict[int, Row] = {place: _row(rows, given) for place, given in enumerate(wanted) if given}
    taken = set(map(id, chosen.values()))
    free = (row for row in rows if id(row) not in taken)
    for place, name in enumerate(names):
        if place not in chosen:
            row = next(free, None)
            if row is None:
                raise ConfigError(f"the trace has {len(rows)} rows; there is none left for {name}")
            chosen[place] = row
    return tuple(chosen[place] for place in range(len(names)))


def _row(rows: Sequence[Row], given: str) -> Row:
    if given.isdecimal() and int(given) < len(rows):
        return rows[int(given)]
    found = [row for row in rows if row.key.startswith(given)]
    if len(found) != 1:
        raise ConfigError(f"{len(found)} rows of the trace begin with {given!r}; give more of it, or a row's number")
    return found[0]
