"""Messages as the JSON documents of the API. Pure; field names are those of the messages, durations in `_ms`.

Payloads are JSON already and are placed into the document as they are, never decoded. What a document contains is
described in docs/http-api.md and, for machines, in `http.schemas`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from actorfaas.core import tally
from actorfaas.flow.spans import Span
from actorfaas.http.directory import Directory
from actorfaas.http.visits import Visits, durations, ms, place
from actorfaas.messages import (
    ActorDescription,
    ConnectedWorker,
    Deployed,
    DeploymentRecord,
    ExecutionRedriven,
    Executions,
    ExecutionState,
    FunctionSpec,
    HistoryEvent,
    Logs,
    PoolDescription,
    QueueDescription,
    TemplateState,
    WorkerState,
    WorkflowSpec,
)

Document = dict[str, Any]  # mixed JSON values

SECRETS = frozenset({"api_token", "otlp_headers"})
"""Settings that are never shown."""


def json_or_none(payload: bytes) -> orjson.Fragment | None:
    """A payload as a part of a document; None when there is none."""
    return orjson.Fragment(payload) if payload else None


def deployed(message: Deployed) -> Document:
    """The answer to a deployment."""
    return {
        "app": message.app,
        "version": message.version,
        "functions": message.functions,
        "workflows": message.workflows,
        "unforkable": message.unforkable,
        "unchanged": message.unchanged,
    }


def deployments(records: Iterable[DeploymentRecord]) -> Document:
    """Versions of applications."""
    return {
        "deployments": [
            {
                "app": record.app,
                "version": record.version,
                "active": record.active,
                "created_at_ms": record.created_at_ms,
                "sha256": record.bundle.sha256,
                "entry": record.bundle.entry,
                "functions": [spec.name for spec in record.functions],
                "workflows": [spec.name for spec in record.workflows],
            }
            for record in records
        ]
    }


def function(record: DeploymentRecord, spec: FunctionSpec, directory: Directory) -> Document:
    """One function with its settings; of its environment only the names, because values may be secrets."""
    target = directory.get(spec.name)
    serving = target is not None and not target.is_workflow and target.route.version == record.version
    return {
        "name": spec.name,
        "app": record.app,
        "version": record.version,
        "description": spec.description,
        "kind": spec.kind,
        "strategy": spec.strategy,
        "timeout_s": target.timeout_s if target is not None and serving else spec.timeout_s,
        "memory_mb": spec.memory_mb,
        "concurrency": spec.concurrency,
        "queue_limit": spec.queue_limit,
        "warm": spec.warm,
        "idle_timeout_s": spec.idle_timeout_s,
        "retries": spec.retries,
        "retry_delay_s": spec.retry_delay_s,
        "init": spec.init,
        "env": sorted(spec.env),
        "topic": target.route.topic if target is not None and serving else "",
        "serving": serving,
    }


def workflow(record: DeploymentRecord, spec: WorkflowSpec, directory: Directory) -> Document:
    """One workflow with its definition."""
    target = directory.get(spec.name)
    return {
        "name": spec.name,
        "app": record.app,
        "version": record.version,
        "description": spec.description,
        "durability": spec.durability,
        "timeout_s": target.timeout_s if target is not None else spec.timeout_s,
        "definition": json_or_none(spec.definition),
        "serving": target is not None and target.is_workflow and target.route.version == record.version,
    }


def executions(message: Executions) -> Document:
    """One page of a listing."""
    return {
        "executions": [
            {
                "execution_id": item.execution_id,
                "execution_name": item.execution_name or None,
                "name": item.name,
                "version": item.version,
                "kind": item.kind,
                "status": item.status,
                "started_at_ms": item.started_at_ms,
                "ended_at_ms": item.ended_at_ms or None,
                "duration_ms": item.ended_at_ms - item.started_at_ms if item.ended_at_ms else None,
            }
            for item in message.executions
        ],
        "next_cursor": message.next_cursor or None,
    }


def execution(state: ExecutionState, visits: list[Document] | None = None, billed_: Document | None = None) -> Document:
    """One execution with its visits to states and what it is billed, by its events where not given."""
    error = {"error_type": state.error_type, "error_message": state.error_message}
    return {
        "execution_id": state.execution_id,
        "execution_name": state.execution_name or None,
        "name": state.name,
        "app": state.app,
        "version": state.version,
        "kind": state.kind,
        "durability": state.durability,
        "status": state.status,
        "started_at_ms": state.started_at_ms,
        "ended_at_ms": state.ended_at_ms or None,
        "duration_ms": state.ended_at_ms - state.started_at_ms if state.ended_at_ms else None,
        **(billed(state.events) if billed_ is None else billed_),
        "output": json_or_none(state.payload) if state.status == "succeeded" else None,
        "error": error if state.error_type or state.error_message else None,
        "states": [settled(visit, state) for visit in (Visits.of(state.events).all if visits is None else visits)],
        "redrive_status": "redrivable" if _is_redrivable(state) else "not_redrivable",
        "redrive_count": state.redrive_count,
        "redriven_at_ms": state.redriven_at_ms or None,
    }


def _is_redrivable(state: ExecutionState) -> bool:
    return state.durability == "standard" and state.status in ("failed", "timed_out", "cancelled")


def redriven(message: ExecutionRedriven) -> Document:
    """The answer to a redrive."""
    return {"execution_id": message.execution_id, "status": "running", "redrive_count": message.redrive_count}


def settled(visit: Document, state: ExecutionState) -> Document:
    """No state outlives its execution: one that neither finished nor failed by itself ended as the execution did."""
    if visit["status"] != "running" or state.status == "running":
        return visit
    return {**visit, "status": state.status, "ended_at_ms": state.ended_at_ms or None}


def history(state: ExecutionState) -> Document:
    """Events of an execution."""
    return {"execution_id": state.execution_id, "events": [_event(event) for event in state.events]}


def _event(event: HistoryEvent) -> Document:
    return {
        "seq": event.seq,
        "at_ms": event.at_ms,
        "type": event.type,
        "state": event.state,
        **place(event),
        "attempt": event.attempt,
        "worker": event.worker_topic,
        "start_kind": event.start_kind,
        **durations(event),
        **billed((event,)),
        "span_id": event.span_id,
        "error_type": event.error_type,
        "error_message": event.error_message,
        "payload": json_or_none(event.payload),
    }


def billed(events: Iterable[HistoryEvent]) -> Document:
    """What the tasks among them are billed; of what ran under a version without these figures only the time."""
    return billed_sum(*tally.billed((event.run_ns, event.memory_mb) for event in events))


def billed_sum(whole_ms: int, mb_ms: int) -> Document:
    """Milliseconds, and megabytes times milliseconds, as they are shown."""
    return {"billed_ms": whole_ms, "billed_gb_s": round(tally.gb_seconds(mb_ms), 6)}


def logs(message: Logs) -> Document:
    """Lines that functions wrote."""
    lines = [
        {
            "seq": line.seq,
            "at_ms": line.at_ms,
            "function": line.function,
            "version": line.version,
            "request_id": line.request_id,
            "execution_id": line.execution_id,
            "pid": line.pid,
            "stream": line.stream,
            "level": line.level,
            "text": line.text,
            "trace_id": line.trace_id,
        }
        for line in message.lines
    ]
    return {"lines": lines, "after": message.after_seq}


def span(one: Span) -> Document:
    """One span."""
    return {
        "trace_id": one.trace_id,
        "span_id": one.span_id,
        "parent_id": one.parent_id,
        "kind": one.kind,
        "name": one.name,
        "began_at_us": one.began_ns // 1000,
        "took_us": one.took_ns / 1000,
        "error": one.error,
        "told": one.told,
    }


def trace_summary(one: Span) -> Document:
    """A line of a listing of traces: the call or execution by which a trace is known."""
    return {
        "trace_id": one.trace_id,
        "name": one.name,
        "kind": one.kind,
        "began_at_ms": one.began_ns // 1_000_000,
        "took_ms": ms(one.took_ns),
        "error": one.error,
        "request_id": one.told.get("request_id", ""),
        "execution_id": one.told.get("execution_id", ""),
    }


def workers(pool: PoolDescription, queue: QueueDescription) -> Document:
    """The pool as the ExecutionManager sees it, each worker with what the LocalQueue knows about it."""
    connected = {worker.worker_topic: worker for worker in queue.workers}
    known = {worker.worker_topic for worker in pool.workers}
    return {
        "workers": [
            *(_worker(worker, connected.get(worker.worker_topic)) for worker in pool.workers),
            *(_stranger(worker) for worker in queue.workers if worker.worker_topic not in known),
        ],
        "topics": [
            {
                "topic": topic.topic,
                "waiting": topic.waiting,
                "queue_limit": topic.queue_limit,
                "members": topic.members,
                "busy": topic.busy,
            }
            for topic in queue.topics
        ],
        "running_executions": pool.running_executions,
        "reservations": pool.reservations,
        "wrong_guesses": pool.wrong_guesses,
        "paging_mode": pool.paging_mode,
        "paging_sentence": pool.paging_sentence,
        "memory_usage_bytes": pool.memory_usage_bytes,
        "memory_budget_bytes": pool.memory_budget_bytes,
        "swap_total_bytes": pool.swap_total_bytes,
        "swap_used_bytes": pool.swap_used_bytes,
    }


def _worker(worker: WorkerState, connected: ConnectedWorker | None) -> Document:
    return {
        "worker": worker.worker_topic,
        "function": worker.function,
        "version": worker.version,
        "pid": worker.pid,
        "state": worker.state,
        "activity": connected.activity if connected is not None else "",
        "start_kind": worker.start_kind,
        "held_by": worker.held_by,
        "request_id": connected.request_id if connected is not None else "",
        "execution_id": connected.execution_id if connected is not None else "",
        "age_ms": ms(worker.age_ns),
        "idle_ms": ms(connected.idle_ns) if connected is not None else 0.0,
        "tasks": connected.deliveries if connected is not None else worker.tasks,
        "connected": connected is not None,
        "usage_bytes": _known(worker.usage_bytes),
        "swap_bytes": _known(worker.swap_bytes),
        "working_set_bytes": _known(worker.working_set_bytes),
        "last_page_in_ms": ms(worker.last_page_in_ns) if worker.last_page_in_ns >= 0 else None,
    }


def _known(number: int) -> int | None:
    return number if number >= 0 else None


def _stranger(worker: ConnectedWorker) -> Document:
    """A worker that only the LocalQueue knows: the ExecutionManager has just restarted."""
    name, _, version = worker.function_topic.rpartition("@")
    return {
        "worker": worker.worker_topic,
        "function": name,
        "version": int(version) if version.isdigit() else 0,
        "pid": worker.pid,
        "state": "",
        "activity": worker.activity,
        "start_kind": worker.start_kind,
        "held_by": worker.lent_to,
        "request_id": worker.request_id,
        "execution_id": worker.execution_id,
        "age_ms": 0.0,
        "idle_ms": ms(worker.idle_ns),
        "tasks": worker.deliveries,
        "connected": True,
        **dict.fromkeys(("usage_bytes", "swap_bytes", "working_set_bytes", "last_page_in_ms")),
    }


def masked(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings without secrets, each as a JSON value."""
    shown: dict[str, object] = {}
    for name, value in settings.items():
        if name in SECRETS:
            value = "***" if value else ""
        shown[name] = value if isinstance(value, int | float) else str(value)
    return shown


def actor(name: str, described: ActorDescription | None) -> Document:
    """One actor; zeros when it could not be asked."""
    return {
        "actor": name,
        "connected": described is not None,
        "pid": described.pid if described else 0,
        "mailbox_length": described.mailbox_length if described else 0,
        "mailbox_limit": described.mailbox_limit if described else 0,
        "messages_handled": described.messages_handled if described else 0,
        "messages_refused": described.messages_refused if described else 0,
        "tasks": described.tasks if described else 0,
        "open_files": described.open_files if described else 0,
        "rss_bytes": described.rss_bytes if described else 0,
        "connections": described.connections if described else 0,
        "loop_lag_ms": ms(described.loop_lag_ns) if described else 0.0,
        "restarts": described.restarts if described else 0,
    }


def template(state: TemplateState) -> Document:
    """One template process."""
    return {
        "topic": state.function_topic,
        "pid": state.template_pid,
        "forkable": state.forkable,
        "threads": state.threads,
        "workers": state.workers,
        "restarts": state.restarts,
    }
