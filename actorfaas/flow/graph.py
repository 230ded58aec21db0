"""The graph of what calls what, as it was observed: clients, functions, workflows and their states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from actorfaas.flow.critical import stretches, wholes
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
    """What was observed between two places. Of `FOLLOWS`, the times are those between the two. `critical_ns`: how much
    of all critical paths was spent in what it leads to."""

    kind: str
    source: Place
    target: Place
    took_ns: list[int] = field(default_factory=list)
    waited_ns: int = 0
    errors: int = 0
    critical_ns: int = 0

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


_Link = tuple[str, Place, Place]
"""What an edge is known by: its kind and its ends."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Edges, how long was observed, and how long all critical paths are together."""

    edges: tuple[Edge, ...]
    seconds: float
    critical_ns: int = 0

    @property
    def places(self) -> list[Place]:
        """Every node once."""
        return list(dict.fromkeys(place for edge in self.edges for place in (edge.source, edge.target)))

    def per_minute(self, edge: Edge) -> float:
        """How often in a minute, of what was observed."""
        return edge.calls * 60 / self.seconds if self.seconds else 0.0

    def critical_share(self, edge: Edge) -> float:
        """How much of the time of all critical paths is spent in what an edge leads to."""
        return edge.critical_ns / (self.critical_ns or 1)


def percentile(samples: Iterable[int], percent: float) -> int:
    """The smallest sample that at least `percent` % of all do not exceed; 0 of none."""
    ordered = sorted(samples)
    return ordered[max(0, int(-(-len(ordered) * percent // 100)) - 1)] if ordered else 0


def graph_of(forest: Forest, name: str = "") -> Graph:
    """The graph of all traces, or only of the calls and executions of `name` and what is below them."""
    edges: dict[_Link, Edge] = {}

    def edge(kind: str, source: Place, target: Place) -> Edge:
        return edges.setdefault((kind, source, target), Edge(kind, source, target))

    began_ns, ended_ns = [], []
    for root in _topmost(forest, name):
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
    critical_ns = _add_critical(forest, name, edges)
    seconds = (max(ended_ns) - min(began_ns)) / NS_PER_S if began_ns else 0.0
    order = (CALLS, RUNS, FOLLOWS)
    in_order = sorted(edges.values(), key=lambda one: (order.index(one.kind), -sum(one.took_ns)))
    return Graph(tuple(in_order), seconds, critical_ns)


def _add_critical(forest: Forest, name: str, edges: Mapping[_Link, Edge]) -> int:
    """Give every edge what it has of the critical paths, and tell how long they are together."""
    whole_ns = 0
    for whole in wholes(forest, name):
        for span, segment in stretches(forest, whole):
            whole_ns += segment.took_ns
            for link in _links_above(forest, span, whole):
                edges[link].critical_ns += segment.took_ns
    return whole_ns


def overview(graph: Graph) -> Graph:
    """The same with workflows instead of their states: who calls whom, and which functions a workflow runs."""
    edges: dict[_Link, Edge] = {}
    for edge in graph.edges:
        if edge.kind == FOLLOWS:
            continue
        source = Place("workflow", edge.source.workflow) if edge.source.kind == STATE else edge.source
        found = edges.setdefault((edge.kind, source, edge.target), Edge(edge.kind, source, edge.target))
        found.took_ns += edge.took_ns
        found.waited_ns += edge.waited_ns
        found.errors += edge.errors
        found.critical_ns += edge.critical_ns
    return replace(graph, edges=tuple(edges.values()))


def _topmost(forest: Forest, name: str) -> Iterator[Span]:
    """What is looked at, and nothing that is below another of these."""
    waiting = list(reversed(forest.roots))
    while waiting:
        span = waiting.pop()
        if not name or (span.kind in (EXECUTION, REQUEST) and span.name == name):
            yield span
        else:
            waiting.extend(reversed(forest.below(span)))


def _links_above(forest: Forest, span: Span, whole: Span) -> set[_Link]:
    """The links that a span is below, or has itself, up to those of what is looked at; each once."""
    found = set()
    above: Span | None = span
    while above is not None:
        link = _link(forest, above)
        if link is not None:
            found.add(link)
        above = None if above is whole else forest.above(above)
    return found


def _link(forest: Forest, span: Span) -> _Link | None:
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
