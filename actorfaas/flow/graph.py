"""The graph of what calls what, as it was observed: clients, functions, workflows and their states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from actorfaas.flow.spans import EXECUTION, PAGE_IN, QUEUE, REQUEST, RUN, STATE, Span
from actorfaas.flow.tree import Forest

CLIENT = "client"

CALLS, RUNS, FOLLOWS = "calls", "runs", "follows"
"""Kinds of edges: a client or a handler calls a function or starts a workflow; a workflow's state runs a function; a
state comes after another."""

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """A node of the graph. `kind`: client, function, workflow or state; a state is of a workflow."""

    kind: str
    name: str
    workflow: str = ""

    def __str__(self) -> str:
        return f"{self.workflow}.{self.name}" if self.kind == STATE else self.name


@dataclass(slots=True)
class Edge:
    """What was observed between two places. Of `FOLLOWS`, the times are those between the two."""

    kind: str
    source: Place
    target: Place
    took_ns: list[int] = field(default_factory=list)
    waited_ns: int = 0
    errors: int = 0

    @property
    def calls(self) -> int:
        """How often."""
        return len(self.took_ns)

    def percentile_ns(self, percent: float) -> int:
        """The time that so many per cent did not exceed (nearest rank)."""
        return percentile(self.took_ns, percent)

    @property
    def waited_share(self) -> float:
        """How much of its time went into waiting for a worker or its memory."""
        return self.waited_ns / (sum(self.took_ns) or 1)


@dataclass(frozen=True, slots=True)
class Graph:
    """Edges, and how long was observed."""

    edges: tuple[Edge, ...]
    seconds: float

    def per_minute(self, edge: Edge) -> float:
        """How often in a minute, of what was observed."""
        return edge.calls * 60 / self.seconds if self.seconds else 0.0


def percentile(samples: Iterable[int], percent: float) -> int:
    """The smallest sample that at least `percent` % of all do not exceed; 0 of none."""
    ordered = sorted(samples)
    return ordered[max(0, int(-(-len(ordered) * percent // 100)) - 1)] if ordered else 0


def graph_of(forest: Forest) -> Graph:
    """The graph of all traces."""
    edges: dict[tuple[str, Place, Place], Edge] = {}

    def edge(kind: str, source: Place, target: Place) -> Edge:
        return edges.setdefault((kind, source, target), Edge(kind, source, target))

    began_ns, ended_ns = [], []
    for root in forest.roots:
        began_ns.append(root.began_ns)
        ended_ns.append(root.ended_ns)
        for _, span in forest.walk(root):
            link = _link(forest, span)
            if link is not None:
                found = edge(*link)
                found.took_ns.append(span.took_ns)
                found.waited_ns += sum(part.took_ns for part in forest.below(span) if part.kind in (QUEUE, PAGE_IN))
                found.errors += bool(span.error)
            for before, after, workflow in _following(forest, span):
                found = edge(FOLLOWS, Place(STATE, before.name, workflow), Place(STATE, after.name, workflow))
                found.took_ns.append(max(0, after.began_ns - before.ended_ns))
    seconds = (max(ended_ns) - min(began_ns)) / NS_PER_S if began_ns else 0.0
    order = (CALLS, RUNS, FOLLOWS)
    return Graph(tuple(sorted(edges.values(), key=lambda one: (order.index(one.kind), -sum(one.took_ns)))), seconds)


def _link(forest: Forest, span: Span) -> tuple[str, Place, Place] | None:
    if span.kind in (REQUEST, EXECUTION):
        above = forest.above(span)
        while above is not None and above.kind != RUN:
            above = forest.above(above)
        return CALLS, _caller(forest, above), Place("function" if span.kind == REQUEST else "workflow", span.name)
    if span.kind == STATE and "function" in span.told:
        workflow = workflow_of(forest, span)
        return RUNS, Place(STATE, span.name, workflow), Place("function", span.told["function"])
    return None


def _caller(forest: Forest, run: Span | None) -> Place:
    """Who called, by what was running: nobody that is known, a state that starts executions, or a function."""
    if run is None:
        return Place(CLIENT, CLIENT)
    state = forest.above(run)
    if state is not None and state.kind == STATE and "function" not in state.told:
        return Place(STATE, state.name, workflow_of(forest, state))
    return Place("function", run.name)


def workflow_of(forest: Forest, span: Span) -> str:
    """The workflow whose state a span is."""
    above: Span | None = span
    while above is not None and above.kind != EXECUTION:
        above = forest.above(above)
    return "" if above is None else above.name


def _following(forest: Forest, span: Span) -> Iterator[tuple[Span, Span, str]]:
    """Of the states directly below a span, each with the one that came before it."""
    lanes: dict[str, Span] = {}
    workflow = ""
    for state in forest.below(span):
        if state.kind != STATE:
            continue
        workflow = workflow or workflow_of(forest, state)
        lane = state.told.get("index", "")
        before = lanes.get(lane)
        if before is not None and before.ended_ns <= state.began_ns:
            yield before, state, workflow
        lanes[lane] = state
