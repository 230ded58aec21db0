"""Counters of the HTTP layer and their Prometheus text form.

The hot path only adds to plain numbers; `prometheus_client` sees them when `/metrics` is read, through a collector
of its own registry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from actorfaas.core.lifecycle import TRANSITIONS
from actorfaas.messages import ActorDescription, PoolDescription

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
UNKNOWN = "unknown"
"""The name label of requests for something that is not deployed: one value, whatever people ask for."""


class _Latency:
    """One histogram: counts per bucket (the last one: above all) and the sum."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0


class Metrics:
    """What happened so far."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int, str], int] = {}
        self._latencies: dict[str, _Latency] = {}
        self.streamed_pieces = 0
        self.callers_lost = 0

    def count(self, name: str, status: int, start_kind: str, duration_ns: int) -> None:
        """One invocation ended. `start_kind` "" when none is known."""
        key = (name, status, start_kind)
        self._requests[key] = self._requests.get(key, 0) + 1
        latency = self._latencies.get(name)
        if latency is None:
            latency = self._latencies[name] = _Latency()
        duration_s = duration_ns / 1e9
        latency.counts[bisect_left(BUCKETS_S, duration_s)] += 1
        latency.sum_s += duration_s

    def forget_except(self, names: Iterable[str]) -> None:
        """Drop the numbers of what is no longer deployed, so that labels do not accumulate."""
        keep = {*names, UNKNOWN}
        self._requests = {key: value for key, value in self._requests.items() if key[0] in keep}
        self._latencies = {name: value for name, value in self._latencies.items() if name in keep}

    def text(
        self, in_flight: int, connections: int, actors: Sequence[ActorDescription], pool: PoolDescription | None
    ) -> bytes:
        """The Prometheus exposition of these numbers, the actors' descriptions and the pool's, if it is known."""
        families = [*self._families(in_flight, connections), *_actor_families(actors)]
        if pool is not None:
            families.extend(_pool_families(pool))
        registry = CollectorRegistry()
        registry.register(_Snapshot(families))
        return generate_latest(registry)

    def _families(self, in_flight: int, connections: int) -> list[Metric]:
        requests = CounterMetricFamily(
            "actorfaas_requests", "Invocations answered", labels=("name", "status", "start_kind")
        )
        for (name, status, start_kind), total in self._requests.items():
            requests.add_metric((name, str(status), start_kind), total)
        latencies = HistogramMetricFamily(
            "actorfaas_request_duration_seconds", "From the request's head to the last byte handed on", labels=("name",)
        )
        for name, latency in self._latencies.items():
            latencies.add_metric((name,), _cumulated(latency.counts), latency.sum_s)
        return [
            requests,
            latencies,
            GaugeMetricFamily("actorfaas_requests_in_flight", "Invocations under way", in_flight),
            GaugeMetricFamily("actorfaas_http_connections", "Open client connections", connections),
            CounterMetricFamily("actorfaas_streamed_pieces", "Pieces of streamed responses", self.streamed_pieces),
            CounterMetricFamily("actorfaas_callers_lost", "Callers that hung up first", self.callers_lost),
        ]


class _Snapshot(Collector):
    """Families computed before, as `generate_latest` wants them."""

    def __init__(self, families: list[Metric]) -> None:
        self._families_now = families

    def collect(self) -> Iterable[Metric]:
        return self._families_now


def _cumulated(counts: Sequence[int]) -> list[tuple[str, float]]:
    total = 0
    buckets = []
    for bound, number in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True):
        total += number
        buckets.append((bound, float(total)))
    return buckets


_ACTOR_GAUGES = (
    ("actorfaas_actor_mailbox_length", "Messages waiting", "mailbox_length"),
    ("actorfaas_actor_mailbox_limit", "Most messages that may wait", "mailbox_limit"),
    ("actorfaas_actor_tasks", "asyncio tasks", "tasks"),
    ("actorfaas_actor_open_files", "Open file descriptors", "open_files"),
    ("actorfaas_actor_resident_bytes", "Resident memory", "rss_bytes"),
    ("actorfaas_actor_connections", "Connections", "connections"),
)
_ACTOR_COUNTERS = (
    ("actorfaas_actor_messages_handled", "Messages handled", "messages_handled"),
    ("actorfaas_actor_messages_refused", "Messages refused because the mailbox was full", "messages_refused"),
)


def _actor_families(actors: Sequence[ActorDescription]) -> list[Metric]:
    families: list[Metric] = []
    for name, documentation, attribute in _ACTOR_GAUGES:
        gauge = GaugeMetricFamily(name, documentation, labels=("actor",))
        for actor in actors:
            gauge.add_metric((actor.actor,), getattr(actor, attribute))
        families.append(gauge)
    for name, documentation, attribute in _ACTOR_COUNTERS:
        counter = CounterMetricFamily(name, documentation, labels=("actor",))
        for actor in actors:
            counter.add_metric((actor.actor,), getattr(actor, attribute))
        families.append(counter)
    return families


_POOL_GAUGES = (
    ("actorfaas_memory_usage_bytes", "Memory of all functions together; 0: not measured", "memory_usage_bytes"),
    ("actorfaas_memory_budget_bytes", "What all functions may use together; 0: no limit", "memory_budget_bytes"),
    ("actorfaas_swap_used_bytes", "Swap of the machine in use", "swap_used_bytes"),
    ("actorfaas_swap_total_bytes", "Swap of the machine", "swap_total_bytes"),
)


_POOL_COUNTERS = (
    ("actorfaas_reservations", "Workers reserved ahead of their states", "reservations"),
    ("actorfaas_wrong_guesses", "Of these, those that were given up without use", "wrong_guesses"),
)


def _pool_families(pool: PoolDescription) -> list[Metric]:
    workers = GaugeMetricFamily("actorfaas_workers", "Workers by state", labels=("state",))
    states = Counter(worker.state for worker in pool.workers)
    for state in TRANSITIONS:
        workers.add_metric((state,), states[state])
    return [
        workers,
        *(GaugeMetricFamily(name, text, getattr(pool, attribute)) for name, text, attribute in _POOL_GAUGES),
        *(CounterMetricFamily(name, text, getattr(pool, attribute)) for name, text, attribute in _POOL_COUNTERS),
    ]
