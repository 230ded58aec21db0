"""Counters and their Prometheus text, read back with Prometheus's own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from actorfaas.core.lifecycle import TRANSITIONS
from actorfaas.http.metrics import BUCKETS_S, UNKNOWN, Metrics
from actorfaas.messages import ActorDescription, PoolDescription, WorkerState

ACTOR = ActorDescription("local_queue", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(metrics: Metrics, pool: PoolDescription | None = None) -> Samples:
    """Every sample by name and labels."""
    text = metrics.text(2, 3, [ACTOR], pool).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_name_status_and_start_kind() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.count("f", 200, "resident", 1_000_000)
    metrics.count("f", 500, "fork", 1_000_000)
    found = samples(metrics)
    assert found["actorfaas_requests_total", (("name", "f"), ("start_kind", "resident"), ("status", "200"))] == 3
    assert found["actorfaas_requests_total", (("name", "f"), ("start_kind", "fork"), ("status", "500"))] == 1


def test_latencies_are_a_cumulative_histogram() -> None:
    metrics = Metrics()
    for duration_s in (0.0001, 0.0005, 0.002, 100.0):
        metrics.count("f", 200, "", int(duration_s * 1e9))
    found = samples(metrics)

    def bucket(bound: str) -> float:
        return found["actorfaas_request_duration_seconds_bucket", (("le", bound), ("name", "f"))]

    assert bucket("0.0005") == 2, "a bucket includes its bound"
    assert bucket("0.001") == 2
    assert bucket("0.0025") == 3
    assert bucket(str(BUCKETS_S[-1])) == 3
    assert bucket("+Inf") == 4
    assert found["actorfaas_request_duration_seconds_count", (("name", "f"),)] == 4
    assert abs(found["actorfaas_request_duration_seconds_sum", (("name", "f"),)] - 100.0026) < 1e-6


def test_gauges_and_actors() -> None:
    found = samples(Metrics())
    assert found["actorfaas_requests_in_flight", ()] == 2
    assert found["actorfaas_http_connections", ()] == 3
    assert found["actorfaas_actor_mailbox_length", (("actor", "local_queue"),)] == 2
    assert found["actorfaas_actor_messages_handled_total", (("actor", "local_queue"),)] == 4


def test_labels_of_what_is_gone_are_forgotten() -> None:
    metrics = Metrics()
    for name in ("f", "g", UNKNOWN):
        metrics.count(name, 200, "", 1)
    metrics.forget_except(["f"])
    names = {dict(labels)["name"] for key, labels in samples(metrics) if key == "actorfaas_requests_total"}
    assert names == {"f", UNKNOWN}


def test_the_pool_is_shown_by_state_with_its_memory() -> None:
    workers = tuple(
        WorkerState(f"f@1_{pid}", "f", 1, pid, state, "fork", "f@1", 0, 0)
        for pid, state in enumerate(("resident", "swapped", "swapped"))
    )
    pool = PoolDescription(workers, 0, 5, 2, "outside", "why", 100, 200, 400, 300)
    found = samples(Metrics(), pool)
    states = {dict(labels)["state"]: value for (name, labels), value in found.items() if name == "actorfaas_workers"}
    assert states == dict.fromkeys(TRANSITIONS, 0) | {"resident": 1, "swapped": 2}
    assert found["actorfaas_memory_usage_bytes", ()] == 100
    assert found["actorfaas_memory_budget_bytes", ()] == 200
    assert found["actorfaas_swap_total_bytes", ()] == 400
    assert found["actorfaas_swap_used_bytes", ()] == 300
    assert (found["actorfaas_reservations_total", ()], found["actorfaas_wrong_guesses_total", ()]) == (5, 2)


def test_a_pool_that_is_not_known_is_left_out() -> None:
    assert not [name for name, _ in samples(Metrics()) if "workers" in name or "swap" in name]
