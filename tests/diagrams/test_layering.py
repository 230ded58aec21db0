"""Ranks and orders."""

from __future__ import annotations

from typing import Any

from actorfaas.diagrams.layering import crossings, layered, lines
from actorfaas.diagrams.outline import END, START, outline
from tests.states.machines_kit import definition, task

Json = Any  # a part of a definition


def rank_names(**states: Json) -> list[list[str]]:
    """The names in each even rank; "<" and ">" for the marks, "" for a point."""
    found = outline(definition(**states))
    names = {node.number: node.name for node in found.nodes} | {START: "<", END: ">"}
    return [[names.get(entity, "") for entity in rank] for rank in layered(found).ranks[::2]]


def chooses(*targets: str) -> Json:
    rules = [{"Variable": "$.x", "NumericEquals": number, "Next": name} for number, name in enumerate(targets[1:])]
    return {"Type": "Choice", "Choices": rules, "Default": targets[0]}


def test_states_stand_below_all_that_lead_to_them() -> None:
    found = rank_names(a=chooses("b", "d"), b=task(Next="c"), c=task(Next="d"), d=task(End=True))
    assert [sorted(rank) for rank in found] == [["<"], ["a"], ["", "b"], ["", "c"], ["d"], [">"]]


def test_what_closes_a_loop_rises() -> None:
    whole = outline(definition(a=task(Next="b"), b=chooses("c", "a", "b"), c=task(End=True)))
    layers = layered(whole)
    assert [(link.origin, link.target) for link in layers.rising] == [(2, 1)]
    assert [(link.origin, link.target) for link in layers.loops] == [(2, 2)]
    rising = next(iter(layers.rising))
    route = layers.routes[rising]
    assert (route[0], route[-1]) == (1, 2)
    assert layers.rank_of[layers.labels[rising]] == layers.rank_of[2] - 1


def test_links_to_one_state_share_their_way() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "bad"}]
    states = {f"s{n}": task(Next=f"s{n + 1}", Catch=catch) for n in range(20)}
    layers = layered(outline(definition(**states, s20=task(End=True), bad={"Type": "Fail"})))
    assert max(len(rank) for rank in layers.ranks) == 3  # the chain, a label, the way to the handler
    assert crossings(layers) == 0


def test_orders_are_untangled() -> None:
    # in the order of their links the six would cross
    layers = layered(
        outline(
            definition(
                a=chooses("b", "c", "d"),
                b=chooses("g", "f"),
                c=task(Next="f"),
                d=task(Next="e"),
                e={"Type": "Succeed"},
                f={"Type": "Succeed"},
                g={"Type": "Succeed"},
            )
        )
    )
    assert crossings(layers) == 0


def test_lines_join_neighbouring_ranks() -> None:
    layers = layered(outline(definition(a=chooses("b", "d"), b=task(Next="c"), c=task(Next="d"), d=task(End=True))))
    assert all(layers.rank_of[lower] == layers.rank_of[upper] + 1 for upper, lower in lines(layers))
