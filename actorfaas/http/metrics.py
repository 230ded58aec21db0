"""What is counted of calls, and all metrics in Prometheus's text form.

The hot path only adds to plain numbers. Labels are bounded by what is deployed: names of functions and workflows, start
kinds, HTTP statuses, topics, actors; never requests, workers or errors. Text comes in pieces, so that whoever sends it
can let others go first in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from actorfaas.core.lifecycle import TRANSITIONS
from actorfaas.core.tally import BUCKETS_NS, Figures, Tally, gb_seconds
from actorfaas.http import exposition
from actorfaas.messages import ActorDescription, CallFigures, MemoryFigures, PoolFigures, SpansExported, TopicState

UNKNOWN = "unknown"
"""The name label of requests for something that is not deployed: one value, whatever people ask for."""

BOUNDS = tuple(f"{bound / 1e9:g}" for bound in BUCKETS_NS)

SERIES_AT_ONCE = 50
"""Histograms in one piece of the text: about a millisecond's work."""


class Metrics:
    """What happened so far."""

    def __init__(self, *, is_counting: bool = True) -> None:
        self._is_counting = is_counting
        self._figures: dict[tuple[str, int, str], Figures] = {}
        self.streamed_pieces = 0
        self.callers_lost = 0
        self.traced_calls_lost = 0
        self.exported = SpansExported(0, 0, 0)

    def count(self, name: str, status: int, start_kind: str, took_ns: int, run_ns: int = 0, memory_mb: int = 0) -> None:
        """One invocation ended. `start_kind` "" when none is known; `run_ns` in the handler, 0 if it did not run."""
        if not self._is_counting:
            return
        key = (name, status, start_kind)
        figures = self._figures.get(key)
        if figures is None:
            figures = self._figures[key] = Figures()
        figures.add(took_ns, status >= 400, run_ns, memory_mb)

    def forget_except(self, names: Iterable[str]) -> None:
        """Drop the numbers of what is no longer deployed, so that labels do not accumulate."""
        keep = {*names, UNKNOWN}
        self._figures = {key: value for key, value in self._figures.items() if key[0] in keep}

    def figures(self) -> list[CallFigures]:
        """Calls by name and start kind, since the start."""
        tally = Tally()
        for (name, _, start_kind), figures in self._figures.items():
            tally.of(name, start_kind).include(figures)
        return list(tally.figures())

    def text(self, node: NodeFigures) -> Iterator[str]:
        """The exposition of these numbers and of the node's, piece by piece."""
        calls = self.figures()
        tasks = node.pool.tasks if node.pool is not None else ()
        yield self._requests(node)
        yield from _histograms(
            "actorfaas_request_duration_seconds", "From the request's head to the last byte handed on", "name", calls
        )
        yield _outcomes(tasks)
        yield from _histograms(
            "actorfaas_task_duration_seconds", "From the state's turn to the handler's end", "function", tasks
        )
        yield _billed((*calls, *tasks))
        yield "".join(_actor_families(node.actors))
        if node.pool is not None:
            yield "".join(_pool_families(node.pool))
        if node.memory is not None:
            yield "".join(_memory_families(node.memory))
        if node.topics is not None:
            yield "".join(_topic_families(node.topics))

    def _requests(self, node: NodeFigures) -> str:
        statuses = (
            ({"name": name, "status": str(status), "start_kind": kind}, figures.calls)
            for (name, status, kind), figures in self._figures.items()
        )
        return "".join(
            (
                exposition.family("actorfaas_requests_total", "counter", "Invocations answered", statuses),
                exposition.gauge("actorfaas_requests_in_flight", "Invocations under way", node.in_flight),
                exposition.gauge("actorfaas_http_connections", "Open client connections", node.connections),
                exposition.counter(
                    "actorfaas_streamed_pieces_total", "Pieces of streamed responses", self.streamed_pieces
                ),
                exposition.counter("actorfaas_callers_lost_total", "Callers that hung up first", self.callers_lost),
                exposition.counter(
                    "actorfaas_traced_calls_lost_total",
                    "Calls of traces that could not be kept while the DataLayer was away",
                    self.traced_calls_lost,
                ),
                exposition.counter(
                    "actorfaas_exported_spans_total", "Spans that the collector took", self.exported.taken
                ),
                exposition.counter(
                    "actorfaas_dropped_spans_total", "Spans that the collector did not take", self.exported.dropped
                ),
                exposition.counter(
                    "actorfaas_export_missed_total",
                    "Calls and executions that were not kept until the collector was ready for them",
                    self.exported.missed,
                ),
            )
        )


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """What the other parts of the node told; None: it could not be asked."""

    in_flight: int
    connections: int
    actors: Sequence[ActorDescription]
    pool: PoolFigures | None
    memory: MemoryFigures | None
    topics: Sequence[TopicState] | None


def _histograms(name: str, text: str, label: str, figures: Sequence[CallFigures]) -> Iterator[str]:
    yield exposition.histogram_head(name, text)
    for first in range(0, len(figures), SERIES_AT_ONCE):
        yield "".join(
            exposition.histogram(
                name, {label: one.function, "start_kind": one.start_kind}, BOUNDS, one.buckets, one.sum_ns / 1e9
            )
            for one in figures[first : first + SERIES_AT_ONCE]
        )


def _outcomes(tasks: Sequence[CallFigures]) -> str:
    samples = (
        ({"function": one.function, "start_kind": one.start_kind, "outcome": outcome}, number)
        for one in tasks
        for outcome, number in (("succeeded", one.calls - one.failed), ("failed", one.failed))
    )
    return exposition.family("actorfaas_tasks_total", "counter", "Tasks of executions that ended", samples)


def _billed(figures: Iterable[CallFigures]) -> str:
    """Per function, calls and tasks of executions together."""
    sums: dict[str, Figures] = {}
    for one in figures:
        if one.billed_ms:
            total = sums.setdefault(one.function, Figures())
            total.billed_ms += one.billed_ms
            total.billed_mb_ms += one.billed_mb_ms
    return exposition.family(
        "actorfaas_billed_milliseconds_total",
        "counter",
        "Time in handlers, each call rounded up to 1 ms",
        (({"function": function}, total.billed_ms) for function, total in sums.items()),
    ) + exposition.family(
        "actorfaas_billed_gb_seconds_total",
        "counter",
        "The same times declared memory",
        (({"function": function}, gb_seconds(total.billed_mb_ms)) for function, total in sums.items()),
    )


_ACTOR_FIGURES = (
    ("mailbox_length", "gauge", "Messages waiting", "mailbox_length"),
    ("mailbox_limit", "gauge", "Most messages that may wait", "mailbox_limit"),
    ("tasks", "gauge", "asyncio tasks", "tasks"),
    ("open_files", "gauge", "Open file descriptors", "open_files"),
    ("resident_bytes", "gauge", "Resident memory", "rss_bytes"),
    ("connections", "gauge", "Connections", "connections"),
    ("messages_handled_total", "counter", "Messages handled", "messages_handled"),
    ("messages_refused_total", "counter", "Messages refused because the mailbox was full", "messages_refused"),
    ("restarts_total", "counter", "How often its process was started again", "restarts"),
)


def _actor_families(actors: Sequence[ActorDescription]) -> Iterator[str]:
    for name, kind, text, attribute in _ACTOR_FIGURES:
        samples = (({"actor": actor.actor}, getattr(actor, attribute)) for actor in actors)
        yield exposition.family(f"actorfaas_actor_{name}", kind, text, samples)
    yield exposition.family(
        "actorfaas_actor_loop_lag_seconds",
        "gauge",
        "How late its event loop was at worst since it was last asked",
        (({"actor": actor.actor}, actor.loop_lag_ns / 1e9) for actor in actors),
    )


def _pool_families(pool: PoolFigures) -> Iterator[str]:
    states = dict.fromkeys(TRANSITIONS, 0) | {one.state: one.workers for one in pool.states}
    workers = (({"state": state}, number) for state, number in states.items())
    yield exposition.family("actorfaas_workers", "gauge", "Workers by state", workers)
    yield exposition.gauge("actorfaas_executions_running", "Executions under way", pool.running_executions)
    yield exposition.counter(
        "actorfaas_reservations_total", "Workers reserved ahead of their states", pool.reservations
    )
    yield exposition.counter("actorfaas_reservations_used_total", "Of these, those that were used", pool.used)
    yield exposition.counter(
        "actorfaas_wrong_guesses_total", "Of these, those that were given up without use", pool.wrong_guesses
    )


_MEMORY_FIGURES = (
    ("memory_usage_bytes", "gauge", "Memory of all functions together; 0: not measured", "usage_bytes"),
    ("memory_budget_bytes", "gauge", "What all functions may use together; 0: no limit", "budget_bytes"),
    ("swap_used_bytes", "gauge", "Swap of the machine in use", "swap_used_bytes"),
    ("swap_total_bytes", "gauge", "Swap of the machine", "swap_total_bytes"),
    ("page_outs_total", "counter", "Workers paged out", "page_outs"),
    ("page_ins_total", "counter", "Workers paged in", "page_ins"),
    ("paged_out_bytes_total", "counter", "Memory that page-outs freed", "paged_out_bytes"),
    ("paged_in_bytes_total", "counter", "Memory that page-ins read", "paged_in_bytes"),
)


def _memory_families(memory: MemoryFigures) -> Iterator[str]:
    for name, kind, text, attribute in _MEMORY_FIGURES:
        yield exposition.family(f"actorfaas_{name}", kind, text, (({}, getattr(memory, attribute)),))
    parts = [({"topic": one.function_topic}, one) for one in memory.functions]
    yield exposition.family(
        "actorfaas_function_memory_bytes",
        "gauge",
        "What the control group of a function is charged with: template and workers",
        ((labels, one.usage_bytes) for labels, one in parts if one.usage_bytes >= 0),
    )
    yield exposition.family(
        "actorfaas_function_swap_bytes",
        "gauge",
        "What of a function is in swap",
        ((labels, one.swap_bytes) for labels, one in parts if one.swap_bytes >= 0),
    )


_TOPIC_FIGURES = (
    ("waiting", "Requests that wait for a worker", "waiting"),
    ("queue_limit", "Most requests that may wait", "queue_limit"),
    ("members", "Workers lent to the topic", "members"),
    ("busy", "Of these, those that have a request", "busy"),
)


def _topic_families(topics: Sequence[TopicState]) -> Iterator[str]:
    for name, text, attribute in _TOPIC_FIGURES:
        samples = (({"topic": topic.topic}, getattr(topic, attribute)) for topic in topics)
        yield exposition.family(f"actorfaas_topic_{name}", "gauge", text, samples)
