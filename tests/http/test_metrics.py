"""Counters and their Prometheus text, read back with Prometheus's own parser."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from actorfaas.core.lifecycle import TRANSITIONS
from actorfaas.core.tally import BUCKETS_NS
from actorfaas.http.metrics import UNKNOWN, Metrics, NodeFigures
from actorfaas.messages import (
    ActorDescription,
    CallFigures,
    FunctionMemory,
    MemoryFigures,
    PoolFigures,
    SpansExported,
    StateCount,
    TopicState,
)

ACTOR = ActorDescription("local_queue", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10_000_000, 11)
ALONE = NodeFigures(2, 3, [ACTOR], None, None, None)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(metrics: Metrics, node: NodeFigures = ALONE) -> Samples:
    """Every sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families("".join(metrics.text(node)))
        for sample in family.samples
    }


def test_requests_are_counted_by_name_status_and_start_kind() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.count("f", 200, "resident", 1_000_000)
    metrics.count("f", 500, "fork", 1_000_000)
    metrics.traced_calls_lost = 7
    metrics.exported = SpansExported(5, 6, 8)
    found = samples(metrics)
    exported = ("exported_spans", "dropped_spans", "export_missed")
    assert [found[f"actorfaas_{name}_total", ()] for name in exported] == [5, 6, 8]
    assert found["actorfaas_traced_calls_lost_total", ()] == 7
    assert found["actorfaas_requests_total", (("name", "f"), ("start_kind", "resident"), ("status", "200"))] == 3
    assert found["actorfaas_requests_total", (("name", "f"), ("start_kind", "fork"), ("status", "500"))] == 1


def test_latencies_are_a_cumulative_histogram_by_start_kind() -> None:
    metrics = Metrics()
    for duration_s in (0.0001, 0.0005, 0.002, 100.0):
        metrics.count("f", 200, "fork", int(duration_s * 1e9))
    found = samples(metrics)
    labels = (("name", "f"), ("start_kind", "fork"))

    def bucket(bound: str) -> float:
        return found["actorfaas_request_duration_seconds_bucket", (("le", bound), *labels)]

    assert bucket("0.0005") == 2, "a bucket includes its bound"
    assert bucket("0.001") == 2
    assert bucket("0.0025") == 3
    assert bucket("30") == 3
    assert bucket("+Inf") == 4
    assert found["actorfaas_request_duration_seconds_count", labels] == 4
    assert abs(found["actorfaas_request_duration_seconds_sum", labels] - 100.0026) < 1e-6


def test_gauges_and_actors() -> None:
    found = samples(Metrics())
    actor = (("actor", "local_queue"),)
    assert found["actorfaas_requests_in_flight", ()] == 2
    assert found["actorfaas_http_connections", ()] == 3
    assert found["actorfaas_actor_mailbox_length", actor] == 2
    assert found["actorfaas_actor_messages_handled_total", actor] == 4
    assert found["actorfaas_actor_messages_refused_total", actor] == 5
    assert found["actorfaas_actor_loop_lag_seconds", actor] == 0.01
    assert found["actorfaas_actor_restarts_total", actor] == 11


def test_labels_of_what_is_gone_are_forgotten() -> None:
    metrics = Metrics()
    for name in ("f", "g", UNKNOWN):
        metrics.count(name, 200, "", 1)
    metrics.forget_except(["f"])
    found = samples(metrics)
    assert {dict(labels)["name"] for key, labels in found if key == "actorfaas_requests_total"} == {"f", UNKNOWN}
    latencies = {dict(labels)["name"] for key, labels in found if key == "actorfaas_request_duration_seconds_count"}
    assert latencies == {"f", UNKNOWN}


def pool(*tasks: CallFigures) -> PoolFigures:
    """Two kinds of states and some tasks."""
    return PoolFigures((StateCount("resident", 1), StateCount("swapped", 2)), 4, 9, 2, 5, tasks)


def test_the_pool_is_shown_by_state() -> None:
    found = samples(Metrics(), replace(ALONE, pool=pool()))
    states = {dict(labels)["state"]: value for (name, labels), value in found.items() if name == "actorfaas_workers"}
    assert states == dict.fromkeys(TRANSITIONS, 0) | {"resident": 1, "swapped": 2}
    assert found["actorfaas_executions_running", ()] == 4
    guesses = ("reservations", "reservations_used", "wrong_guesses")
    assert [found[f"actorfaas_{name}_total", ()] for name in guesses] == [9, 5, 2]


def test_calls_and_tasks_are_billed_together() -> None:
    metrics = Metrics()
    metrics.count("f", 200, "resident", 5_000_000, 1_500_000, 512)
    task = CallFigures("f", "fork", 3, 1, 7_000_000, (1,) * (len(BUCKETS_NS) + 1), 8, 8 * 512)
    found = samples(metrics, replace(ALONE, pool=pool(task)))
    labels = (("function", "f"),)
    assert found["actorfaas_billed_milliseconds_total", labels] == 10
    assert found["actorfaas_billed_gb_seconds_total", labels] == 0.005
    ended = (("function", "f"), ("outcome", "failed"), ("start_kind", "fork"))
    assert found["actorfaas_tasks_total", ended] == 1
    assert found["actorfaas_task_duration_seconds_sum", (("function", "f"), ("start_kind", "fork"))] == 0.007


def test_memory_and_what_moved() -> None:
    parts = (FunctionMemory("f@1", 60, 30), FunctionMemory("g@1", 40, -1))
    memory = MemoryFigures(100, 200, 400, 300, 7, 6, 5000, 4000, parts)
    found = samples(Metrics(), replace(ALONE, memory=memory))
    assert found["actorfaas_memory_usage_bytes", ()] == 100
    assert found["actorfaas_memory_budget_bytes", ()] == 200
    assert found["actorfaas_swap_total_bytes", ()] == 400
    assert found["actorfaas_swap_used_bytes", ()] == 300
    assert (found["actorfaas_page_outs_total", ()], found["actorfaas_page_ins_total", ()]) == (7, 6)
    assert found["actorfaas_paged_out_bytes_total", ()] == 5000
    assert found["actorfaas_paged_in_bytes_total", ()] == 4000
    assert found["actorfaas_function_memory_bytes", (("topic", "g@1"),)] == 40
    assert found["actorfaas_function_swap_bytes", (("topic", "f@1"),)] == 30
    assert ("actorfaas_function_swap_bytes", (("topic", "g@1"),)) not in found, "it is not known"


def test_topics() -> None:
    found = samples(Metrics(), replace(ALONE, topics=[TopicState("f@1", 3, 100, 2, 1)]))
    shown = {name: value for (name, labels), value in found.items() if labels == (("topic", "f@1"),)}
    assert shown == {
        "actorfaas_topic_waiting": 3,
        "actorfaas_topic_queue_limit": 100,
        "actorfaas_topic_members": 2,
        "actorfaas_topic_busy": 1,
    }


def test_what_could_not_be_asked_is_left_out() -> None:
    assert not [name for name, _ in samples(Metrics()) if "worker" in name or "swap" in name or "topic" in name]


def test_switched_off_nothing_is_counted() -> None:
    metrics = Metrics(is_counting=False)
    metrics.count("f", 200, "resident", 1_000_000)
    assert not [name for name, _ in samples(metrics) if name == "actorfaas_requests_total"]


def test_a_thousand_functions_come_in_many_pieces() -> None:
    """What is sent in one piece keeps the event loop from everything else."""
    metrics = Metrics()
    for number in range(1000):
        for kind in ("resident", "fork"):
            metrics.count(f"function_{number}", 200, kind, 1_000_000, 1, 128)
    pieces = list(metrics.text(ALONE))
    assert len(pieces) > 40
    assert max(len(piece) for piece in pieces) < 250_000
