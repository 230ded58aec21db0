"""The flow as text, as JSON documents, and as a Mermaid graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from actorfaas.diagrams.mermaid import quoted
from actorfaas.flow.critical import Segment
from actorfaas.flow.diagnosis import Diagnosis, Effect, describe
from actorfaas.flow.graph import CALLS, FOLLOWS, RUNS, Edge, Graph, Place, percentile

Document = dict[str, Any]  # mixed JSON values

EDGE_COLUMNS = ("from", "", "to", "calls", "per min", "p50 ms", "p99 ms", "waits", "errors", "on path")
SHARE_COLUMNS = ("of the time", "in", "what", "ms each")
EFFECT_COLUMNS = ("what if", "p50 now", "p50 then", "gain")


def edge_rows(graph: Graph) -> list[tuple[str, ...]]:
    """What calls what, for a table."""
    return [
        (
            str(edge.source),
            edge.kind,
            str(edge.target),
            str(edge.calls),
            f"{graph.per_minute(edge):.1f}",
            f"{edge.percentile_ns(50) / 1e6:.3f}",
            f"{edge.percentile_ns(99) / 1e6:.3f}",
            f"{edge.waited_share:.0%}" if edge.kind != FOLLOWS else "",
            str(edge.errors) if edge.kind != FOLLOWS else "",
            f"{graph.critical_share(edge):.0%}" if edge.kind != FOLLOWS else "",
        )
        for edge in graph.edges
    ]


def share_rows(diagnosis: Diagnosis, most: int = 8) -> list[tuple[str, ...]]:
    """Where the time goes, for a table."""
    number = len(diagnosis.took_ns) or 1
    return [
        (f"{one.share:.1%}", one.name, one.kind, f"{one.took_ns / number / 1e6:.3f}") for one in diagnosis.shares[:most]
    ]


def effect_rows(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    """What changes would do, for a table."""
    now = percentile(diagnosis.took_ns, 50)
    return [
        (describe(one.change), f"{now / 1e6:.1f} ms", f"{one.expected_p50_ns / 1e6:.1f} ms", f"{one.gain:.0%}")
        for one in diagnosis.effects
    ]


def caution(effect: Effect) -> str:
    """How much to believe, in a sentence."""
    return (
        f"Simulated from what was observed; without a change the simulation takes {effect.replay_ratio:.2f} × the time"
        " measured. It does not know how many processors there are, nor of calls that were not kept."
    )


def path_rows(path: Iterable[Segment]) -> list[tuple[str, ...]]:
    """A critical path, for a table."""
    segments = list(path)
    began_ns = segments[0].began_ns if segments else 0
    return [
        (f"{(one.began_ns - began_ns) / 1e6:.3f}", f"{one.took_ns / 1e6:.3f}", one.name, one.kind) for one in segments
    ]


def document(graph: Graph, diagnosis: Diagnosis) -> Document:
    """All of it as JSON."""
    return {
        "name": diagnosis.name,
        "seconds": graph.seconds,
        "nodes": [_place(place) for place in graph.places],
        "edges": [_edge(graph, edge) for edge in graph.edges],
        "observed": len(diagnosis.took_ns),
        "errors": diagnosis.errors,
        "p50_ms": percentile(diagnosis.took_ns, 50) / 1e6,
        "p99_ms": percentile(diagnosis.took_ns, 99) / 1e6,
        "bottleneck": diagnosis.bottleneck,
        "critical_path": [
            {"name": one.name, "kind": one.kind, "ms": one.took_ns / 1e6, "share": one.share}
            for one in diagnosis.shares
        ],
        "what_if": [
            {
                "change": describe(one.change),
                "workers": dict(one.change.workers),
                "faster": dict(one.change.faster),
                "gain": one.gain,
                "expected_p50_ms": one.expected_p50_ns / 1e6,
                "replay_ratio": one.replay_ratio,
            }
            for one in diagnosis.effects
        ],
    }


def _edge(graph: Graph, edge: Edge) -> Document:
    return {
        "kind": edge.kind,
        "source": _place(edge.source),
        "target": _place(edge.target),
        "calls": edge.calls,
        "per_minute": graph.per_minute(edge),
        "p50_ms": edge.percentile_ns(50) / 1e6,
        "p99_ms": edge.percentile_ns(99) / 1e6,
        "waited_share": edge.waited_share,
        "errors": edge.errors,
        "critical_share": graph.critical_share(edge),
    }


def _place(place: Place) -> Document:
    return {"kind": place.kind, "name": place.name, "workflow": place.workflow}


def mermaid(graph: Graph) -> Iterator[str]:
    """The graph as Mermaid text: workflows as boxes around their states. States are called as people like."""
    places = graph.places
    ids = {place: f"p{number}" for number, place in enumerate(places, 1)}
    yield "flowchart LR"
    for place in places:
        if place.kind not in ("state", "workflow"):
            yield f"  {_shape(ids[place], place)}"
    for workflow in (place for place in places if place.kind == "workflow"):
        yield f"  subgraph {ids[workflow]}[{quoted(workflow.name)}]"
        for place in places:
            if place.kind == "state" and place.workflow == workflow.name:
                yield f"    {_shape(ids[place], place)}"
        yield "  end"
    arrows = {CALLS: "-->", RUNS: "-.->", FOLLOWS: "==>"}
    for edge in graph.edges:
        text = f"|{quoted(edge_label(graph, edge))}|" if edge.kind != FOLLOWS else ""
        yield f"  {ids[edge.source]} {arrows[edge.kind]}{text} {ids[edge.target]}"


def _shape(key: str, place: Place) -> str:
    left, right = {"client": ("([", "])"), "state": ("[", "]")}.get(place.kind, ("(", ")"))
    return f"{key}{left}{quoted(place.name)}{right}"


def edge_label(graph: Graph, edge: Edge) -> str:
    """What is written at an edge of a picture."""
    failed = f", {edge.errors} failed" if edge.errors else ""
    return f"{graph.per_minute(edge):.1f}/min, p50 {edge.percentile_ns(50) / 1e6:.1f} ms{failed}"
