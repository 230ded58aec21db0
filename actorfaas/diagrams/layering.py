"""Which rank each state stands in, and the order within ranks: a layered drawing with few crossings.

States stand in even ranks, the labels of what leads away from them in the odd ones between. A link over several ranks
runs through a point in each; links to the same state share these points, so that a hundred catchers are one line.
(Method: Sugiyama, Tagawa and Toda, 1981, with barycentres.)
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

from actorfaas.diagrams.outline import END, START, Link, Outline

MOST_SWEEPS = 12

Entity = int
"""A state or mark by its number; above them all, points and labels."""


@dataclass(slots=True)
class Layers:
    """Where everything stands.

    `routes`: through which entities a link runs, from the upper end to the lower one; `rising`: links that lead back
    up; `labels`: the entity of each link's label; `loops`: links of a state to itself.
    """

    ranks: list[list[Entity]]
    rank_of: dict[Entity, int]
    routes: dict[Link, tuple[Entity, ...]]
    labels: dict[Link, Entity]
    rising: frozenset[Link]
    loops: tuple[Link, ...]
    above: dict[Entity, list[Entity]] = field(default_factory=dict)
    below: dict[Entity, list[Entity]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.above = {entity: [] for rank in self.ranks for entity in rank}
        self.below = {entity: [] for rank in self.ranks for entity in rank}
        pairs = dict.fromkeys(pair for route in self.routes.values() for pair in pairwise(route))
        for upper, lower in pairs:
            self.below[upper].append(lower)
            self.above[lower].append(upper)


def layered(outline: Outline) -> Layers:
    """Ranks and orders of a machine."""
    states = [node.number for node in outline.nodes]
    numbers = [*([START] if outline.has_start else []), *states, *([END] if outline.has_end else [])]
    loops = tuple(link for link in outline.links if link.origin == link.target)
    links = [link for link in outline.links if link.origin != link.target]
    order, rising = _walk(numbers, links)
    depth = dict.fromkeys(numbers, 0)
    leading: dict[int, list[int]] = {number: [] for number in numbers}
    for link in links:
        if link not in rising:
            leading[link.origin].append(link.target)
    for number in order:
        for target in leading[number]:
            depth[target] = max(depth[target], depth[number] + 1)
    if outline.has_end:
        depth[END] = 1 + max(rank for number, rank in depth.items() if number != END)
    layers = _routed(order, links, rising, loops, {number: 2 * rank for number, rank in depth.items()})
    _untangle(layers)
    return layers


def _walk(numbers: Sequence[int], links: Sequence[Link]) -> tuple[list[int], frozenset[Link]]:
    """The numbers so that each comes before those it leads to, and the links for which this does not hold."""
    leaving: dict[int, list[Link]] = {number: [] for number in numbers}
    for link in links:
        leaving[link.origin].append(link)
    rising: set[Link] = set()
    done: list[int] = []
    seen: set[int] = set()
    for root in numbers:
        if root in seen:
            continue
        seen.add(root)
        path, on_path = [(root, iter(leaving[root]))], {root}
        while path:
            number, rest = path[-1]
            following = next(rest, None)
            if following is None:
                done.append(number)
                on_path.remove(number)
                path.pop()
            elif following.target in on_path:
                rising.add(following)
            elif following.target not in seen:
                seen.add(following.target)
                on_path.add(following.target)
                path.append((following.target, iter(leaving[following.target])))
    return done[::-1], frozenset(rising)


class _Router:
    """Gives links the points they run through; each rank is in the order in which its entities are come upon."""

    def __init__(self, rank_of: dict[Entity, int]) -> None:
        self.rank_of = rank_of
        self.ranks: list[list[Entity]] = [[] for _ in range(max(rank_of.values()) + 1)]
        self.labels: dict[Link, Entity] = {}
        self._points: dict[tuple[int, bool, bool, int], Entity] = {}
        self._numbers = count(max(rank_of) + 1)

    def route(self, link: Link, *, rises: bool) -> tuple[Entity, ...]:
        """From the upper end to the lower one."""
        upper, lower = (link.target, link.origin) if rises else (link.origin, link.target)
        between = range(self.rank_of[upper] + 1, self.rank_of[lower])
        label_rank = (between[-1] if rises else between[0]) if link.label else None
        route = [upper]
        for rank in between:
            key = (link.target, link.kind == "catch", rises, rank)
            if rank == label_rank:
                self.labels[link] = self._entity_in(rank)
            elif key not in self._points:
                self._points[key] = self._entity_in(rank)
            route.append(self.labels[link] if rank == label_rank else self._points[key])
        return (*route, lower)

    def _entity_in(self, rank: int) -> Entity:
        entity = next(self._numbers)
        self.ranks[rank].append(entity)
        self.rank_of[entity] = rank
        return entity


def _routed(
    order: Sequence[int],
    links: Sequence[Link],
    rising: frozenset[Link],
    loops: tuple[Link, ...],
    rank_of: dict[Entity, int],
) -> Layers:
    """Everything in its rank."""
    router = _Router(rank_of)
    leaving: dict[int, list[Link]] = {number: [] for number in order}
    for link in links:
        leaving[link.origin].append(link)
    routes: dict[Link, tuple[Entity, ...]] = {}
    for number in order:
        router.ranks[rank_of[number]].append(number)
        for link in leaving[number]:
            routes[link] = router.route(link, rises=link in rising)
    return Layers(router.ranks, rank_of, routes, router.labels, rising, loops)


def _untangle(layers: Layers) -> None:
    """Order the ranks, down and up in turns, by the mean place of what each entity is connected with."""
    best, fewest = [list(rank) for rank in layers.ranks], crossings(layers)
    for sweep in range(MOST_SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        ranks = layers.ranks if down else layers.ranks[::-1]
        for fixed, rank in pairwise(ranks):
            _order(rank, fixed, layers.above if down else layers.below)
        found = crossings(layers)
        if found < fewest:
            best, fewest = [list(rank) for rank in layers.ranks], found
    layers.ranks[:] = best


def _order(rank: list[Entity], fixed: Sequence[Entity], neighbours: dict[Entity, list[Entity]]) -> None:
    place = {entity: index for index, entity in enumerate(fixed)}
    wanted: dict[Entity, float] = {}
    for index, entity in enumerate(rank):
        places = [place[other] for other in neighbours[entity]]
        wanted[entity] = sum(places) / len(places) if places else index
    rank.sort(key=wanted.__getitem__)


def crossings(layers: Layers) -> int:
    """How often lines between neighbouring ranks cross."""
    return sum(_crossings(upper, lower, layers.below) for upper, lower in pairwise(layers.ranks))


def _crossings(upper: Sequence[Entity], lower: Sequence[Entity], below: dict[Entity, list[Entity]]) -> int:
    place = {entity: index for index, entity in enumerate(lower)}
    count = 0
    passed: list[int] = []
    for entity in upper:
        ends = sorted(place[other] for other in below[entity])
        for end in ends:
            count += len(passed) - bisect_right(passed, end)
        for end in ends:
            insort(passed, end)
    return count


def lines(layers: Layers) -> Iterator[tuple[Entity, Entity]]:
    """Every line between neighbouring ranks once, upper end first."""
    for upper, others in layers.below.items():
        yield from ((upper, lower) for lower in others)
