"""The flow as a picture: clients, workflows and functions, and what calls or runs what. Thick lines with words of their
own are the critical path; a sign and a thick frame mark what most of the time goes into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actorfaas.diagrams.outline import Link, Node, Outline
from actorfaas.diagrams.svg import drawn
from actorfaas.flow.critical import OWN, Share
from actorfaas.flow.diagnosis import LEAST_SHARE, Diagnosis
from actorfaas.flow.graph import Edge, Graph, overview
from actorfaas.flow.report import edge_label

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
    nodes = tuple(
        Node(number, place.name, place.kind.title(), _told(place.name, diagnosis.shares))
        for place, number in numbers.items()
    )
    links = tuple(_link(shown, edge, numbers[edge.source], numbers[edge.target]) for edge in shown.edges)
    statuses = {diagnosis.shares[0].name: "bottleneck"} if diagnosis.shares else {}
    text = drawn(Outline(nodes, links), "What calls what", " ".join(_sentences(shown)), statuses, prefix="flow")
    return text, len(edges) - len(shown.edges)


def _told(name: str, shares: Sequence[Share]) -> str:
    """What the time at a node goes into, as far as it is worth a word."""
    found = [one for one in shares if one.name == name and one.share >= LEAST_SHARE]
    return ", ".join(f"{'around it' if one.kind == OWN else one.kind} {one.share:.0%}" for one in found[:MOST_SHARES])


def _link(graph: Graph, edge: Edge, origin: int, target: int) -> Link:
    share = graph.critical_share(edge)
    label = edge_label(graph, edge)
    if share < LEAST_SHARE:
        return Link(origin, target, label, "next")
    return Link(origin, target, f"{label}, {share:.0%} of the path", "critical")


def _sentences(graph: Graph) -> Iterator[str]:
    for edge in graph.edges:
        yield f"{edge.source} {edge.kind} {edge.target}: {edge_label(graph, edge)}."
