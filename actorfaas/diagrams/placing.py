"""Where everything stands from left to right: main lines straight, the rest near what it is connected with.

Entities that a line should connect straight make a column; columns keep their order and distances in every rank they
are in. Each is drawn to the mean of what it is connected with, and columns in each other's way are moved together
(after Dwyer, Marriott and Stuckey, Fast node overlap removal, 2005).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from actorfaas.diagrams.layering import Entity, Layers, lines

GAP, POINT_GAP = 30.0, 16.0
"""Between states or labels; beside a point of a line."""

ROUNDS = 12
TOLERANCE = 1e-6

Line = tuple[Entity, Entity]


@dataclass(slots=True)
class _Column:
    """Entities below each other. `wanted`: the x it is drawn to; `offset`: its place in its cluster; `behind` and
    `ahead`: columns to the left and right, with distances."""

    entities: list[Entity]
    x: float = 0.0
    wanted: float = 0.0
    weight: float = 0.01
    offset: float = 0.0
    behind: list[tuple[_Column, float]] = field(default_factory=list)
    ahead: list[tuple[_Column, float]] = field(default_factory=list)

    def keep_from(self, left: _Column, distance: float) -> None:
        """Stay so far to the right of a column."""
        self.behind.append((left, distance))
        left.ahead.append((self, distance))


def centres(layers: Layers, widths: Mapping[Entity, float], states: frozenset[Entity]) -> dict[Entity, float]:
    """The x of every entity's centre. `states`: those that are no points or labels of lines."""
    columns = _columns(layers, _straight_lines(layers, states))
    index_of = {entity: index for index, column in enumerate(columns) for entity in column.entities}
    apart: dict[tuple[int, int], float] = {}
    for left, right in (pair for rank in layers.ranks for pair in pairwise(rank)):
        gap = POINT_GAP if min(widths[left], widths[right]) == 0 else GAP
        both = index_of[left], index_of[right]
        apart[both] = max(apart.get(both, 0.0), (widths[left] + widths[right]) / 2 + gap)
    for (one, other), distance in apart.items():
        columns[other].keep_from(columns[one], distance)
    order = _from_left(columns)
    pairs = ((index_of[upper], index_of[lower]) for upper, lower in lines(layers))
    neighbours = [(columns[one], columns[other]) for one, other in pairs if one != other]
    _keep_apart(order)
    for _ in range(ROUNDS):
        for column in columns:
            column.wanted, column.weight = column.x * 0.01, 0.01
        for pair in neighbours:
            for column, towards in (pair, pair[::-1]):
                column.wanted += towards.x
                column.weight += 1.0
        for column in columns:
            column.wanted /= column.weight
        _keep_apart(order)
    return {entity: column.x for column in columns for entity in column.entities}


def _straight_lines(layers: Layers, states: frozenset[Entity]) -> dict[Entity, Entity]:
    """Which lines are to be straight, from upper to lower end; no two of them cross."""
    through = {entity for rank in layers.ranks for entity in rank} - states - set(layers.labels.values())
    scores: dict[Line, int] = {}
    for link, route in layers.routes.items():
        for line in pairwise(route):
            score = 3 if through.issuperset(line) else 2 if link.kind == "next" and link not in layers.rising else 1
            scores[line] = max(score, scores.get(line, 0))
    down = {upper: _favourite([(upper, lower) for lower in others], scores) for upper, others in layers.below.items()}
    up = {lower: _favourite([(upper, lower) for upper in others], scores) for lower, others in layers.above.items()}
    chosen: dict[Entity, Entity] = {}
    for upper_rank, lower_rank in pairwise(layers.ranks):
        place = {entity: index for index, entity in enumerate(lower_rank)}
        both = [line for line in map(down.__getitem__, upper_rank) if line is not None and up[line[1]] == line]
        chosen.update(_uncrossed(both, place, scores))
    return chosen


def _favourite(candidates: Sequence[Line], scores: Mapping[Line, int]) -> Line | None:
    """The line that matters most; of several that do, the one in the middle, if there is one."""
    best = max((scores[line] for line in candidates), default=0)
    found = [line for line in candidates if scores[line] == best]
    return found[len(found) // 2] if len(found) % 2 else None


def _uncrossed(found: Iterable[Line], place: Mapping[Entity, int], scores: Mapping[Line, int]) -> list[Line]:
    """Of lines from left to right those that do not cross; where two do, the one that matters more stays."""
    kept: list[Line] = []
    for line in found:
        crossed = [one for one in kept if place[one[1]] > place[line[1]]]
        if all(scores[one] < scores[line] for one in crossed):
            kept = [one for one in kept if one not in crossed]
            kept.append(line)
    return kept


def _columns(layers: Layers, straight: Mapping[Entity, Entity]) -> list[_Column]:
    columns: list[_Column] = []
    begun: dict[Entity, _Column] = {}
    for rank in layers.ranks:
        for entity in rank:
            column = begun.pop(entity, None)
            if column is None:
                column = _Column([])
                columns.append(column)
            column.entities.append(entity)
            if entity in straight:
                begun[straight[entity]] = column
    return columns


def _from_left(columns: Sequence[_Column]) -> list[_Column]:
    """The columns so that each comes after those to its left."""
    missing = {id(column): len(column.behind) for column in columns}
    ready = [column for column in columns if not column.behind]
    order: list[_Column] = []
    while ready:
        column = ready.pop()
        order.append(column)
        for right, _ in column.ahead:
            missing[id(right)] -= 1
            if missing[id(right)] == 0:
                ready.append(right)
    return order


@dataclass(slots=True)
class _Cluster:
    """Columns that touch each other and move together, each at its offset from `x`."""

    members: list[_Column]
    x: float
    weight: float


def _keep_apart(order: Sequence[_Column]) -> None:
    """Give every column the x nearest to what it wants that keeps the distances."""
    cluster_of: dict[int, _Cluster] = {}

    def place(column: _Column) -> float:
        return cluster_of[id(column)].x + column.offset

    def lacking(left: _Column, right: _Column, distance: float) -> float:
        return place(left) + distance - place(right)

    for column in order:
        column.offset = 0.0
        cluster_of[id(column)] = cluster = _Cluster([column], column.wanted, column.weight)
        while True:
            near = [
                (lacking(left, member, distance), left, member, distance)
                for member in cluster.members
                for left, distance in member.behind
                if cluster_of[id(left)] is not cluster
            ]
            broken = sorted((one for one in near if one[0] > TOLERANCE), key=lambda one: -one[0])
            if not broken:
                break
            for _, left, right, distance in broken:
                other = cluster_of[id(left)]
                if other is not cluster and lacking(left, right, distance) > TOLERANCE:
                    cluster = _merged(other, cluster, cluster_of)
    for column in order:  # clusters may have moved into those to their right, seldom and little
        column.x = max([place(column), *(left.x + distance for left, distance in column.behind)])


def _merged(left: _Cluster, right: _Cluster, cluster_of: dict[int, _Cluster]) -> _Cluster:
    """Both as one, the right one as near as all distances between them allow. The smaller one joins the larger."""
    if len(left.members) < len(right.members):
        between = ((one, other, far) for one in left.members for other, far in one.ahead)
    else:
        between = ((one, other, far) for other in right.members for one, far in other.behind)
    shift = max(
        one.offset + far - other.offset
        for one, other, far in between
        if cluster_of.get(id(one)) is left and cluster_of.get(id(other)) is right
    )
    weight = left.weight + right.weight
    x = (left.x * left.weight + (right.x - shift) * right.weight) / weight
    small, large = (left, right) if len(left.members) < len(right.members) else (right, left)
    by = -shift if small is left else shift
    for member in small.members:
        member.offset += by
        cluster_of[id(member)] = large
    large.members += small.members
    large.weight = weight
    large.x = x if large is left else x + shift
    return large


def spread(wanted: Sequence[float], weights: Sequence[float], distance: float) -> list[float]:
    """Places near the wanted ones, in their order, at least so far apart."""
    columns = [_Column([], wanted=want, weight=weight) for want, weight in zip(wanted, weights, strict=True)]
    for left, right in pairwise(columns):
        right.keep_from(left, distance)
    _keep_apart(columns)
    return [column.x for column in columns]
