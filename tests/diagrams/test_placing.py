"""Places from left to right."""

from __future__ import annotations

import pytest

from actorfaas.diagrams.layering import layered
from actorfaas.diagrams.outline import outline
from actorfaas.diagrams.placing import centres, spread
from tests.states.machines_kit import definition, task


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([0, 10, 20], [0, 10, 20]),
        ([5, 5], [0, 10]),
        ([5, 5, 5], [-5, 5, 15]),
        ([0, 100, 100], [0, 95, 105]),
        ([30, 0], [10, 20]),
    ],
)
def test_spread_moves_as_little_as_it_can(wanted: list[float], found: list[float]) -> None:
    assert spread(wanted, [1.0] * len(wanted), 10) == pytest.approx(found)


def test_what_weighs_more_moves_less() -> None:
    assert spread([5, 5], [99.0, 1.0], 10) == pytest.approx([4.9, 14.9])


def test_a_chain_and_the_way_beside_it_are_straight() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "bad"}]
    states = {f"s{n}": task(Next=f"s{n + 1}", Catch=catch) for n in range(60)}
    found = outline(definition(**states, s60=task(End=True), bad={"Type": "Fail"}))
    layers = layered(found)
    numbers = [node.number for node in found.nodes]
    widths = {entity: 100.0 if entity in numbers else 0.0 for rank in layers.ranks for entity in rank}
    x = centres(layers, widths, frozenset(numbers))
    assert len({round(x[number], 3) for number in numbers[:-1]}) == 1
    points = [route[2] for link, route in layers.routes.items() if link.kind == "catch" and len(route) > 4]
    assert len({round(x[point], 3) for point in points}) == 1
