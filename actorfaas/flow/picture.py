"""The flow as a picture: clients, workflows and functions, and what calls or runs what. Thick lines with words of their
own are the critical path; a sign and a thick frame mark what most of the time goes into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from actorfaas.diagrams.outline import Link, Node, Outline
from actorfaas.diagrams.svg import drawn
from actorfaas.flow.critical import OWN, Share
from actorfaas.flow.diagnosis import LEAST_SHARE, Diagnosis
from actorfaas.flow.graph import Edge, Graph, overview
from actorfaas.flow.report import edge_label
from actorfaas.flow.spans import STATE

MOST_EDGES = 80
"""More are a tangle that takes long to draw: those with the most time are drawn."""

MOST_SHARES = 2
"""What is said of the time at one node."""


def picture(graph: Graph, diagnosis: Diagnosis) -> tuple[str, int]:
    """An SVG element ("" where nothing was observed), and how many edges are left out of it."""
    whole = overview(graph)
    edges = sorted(whole.edges, key=lambda edge: -sum(edge.took_ns))
    shown = Graph(tuple(edges[:MOST_EDGES]), whole.seconds, whole.critical_ns)
    if not edges:
        return "", 0
    numbers = {place: number for number, place in enumerate(shown.places, 1)}
    at = _nodes_of(graph, shown)
    nodes = tuple(
        Node(number, place.name, place.kind.title(), _told(place.name, diagnosis.shares, at))
        for place, number in numbers.items()
    )
    links = tuple(_link(shown, edge, numbers[edge.source], numbers[edge.target]) for edge in shown.edges)
    statuses = {at.get(one.name, ""): "bottleneck" for one in diagnosis.shares[:1]}
    text = drawn(Outline(nodes, links), "What calls what", " ".join(_sentences(shown)), statuses, prefix="flow")
    return text, len(edges) - len(shown.edges)


def _nodes_of(graph: Graph, shown: Graph) -> dict[str, str]:
    """At which node time is told, by whose it is: its own, or that of the workflow whose state it is."""
    states = {place.name: place.workflow for place in graph.places if place.kind == STATE}
    return states | {place.name: place.name for place in shown.places}


def _told(name: str, shares: Sequence[Share], at: Mapping[str, str]) -> str:
    """What the time at a node goes into, as far as it is worth a word."""
    found = [one for one in shares if at.get(one.name) == name and one.share >= LEAST_SHARE]
    return ", ".join(f"{_word(one, name)} {one.share:.0%}" for one in found[:MOST_SHARES])


def _word(one: Share, name: str) -> str:
    if one.kind == OWN:
        return "around it" if one.name == name else f"around {one.name}"
    return one.kind if one.name == name else f"{one.name} {one.kind}"


def _link(graph: Graph, edge: Edge, origin: int, target: int) -> Link:
    share = graph.critical_share(edge)
    label = edge_label(graph, edge)
    if share < LEAST_SHARE:
        return Link(origin, target, label, "next")
    return Link(origin, target, f"{label}, {share:.0%} of the path", "critical")


def _sentences(graph: Graph) -> Iterator[str]:
    for edge in graph.edges:
        yield f"{edge.source} {edge.kind} {edge.target}: {edge_label(graph, edge)}."
