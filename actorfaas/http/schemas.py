"""The documents of the API as JSON schemas, written compactly.

A type is `string`, `integer`, `number`, `boolean`, `any`, one of `ENUMERATIONS` or the name of another document;
`[...]` is an array of it, and a trailing `?` means that it may be null. Every member is always present unless its name
ends in `?`.
"""

from __future__ import annotations

from typing import Any

from actorfaas.ids import STRATEGY_MEANINGS
from actorfaas.writes import KINDS

Schema = dict[str, Any]  # a JSON schema: mixed JSON values

ENUMERATIONS: dict[str, tuple[str, ...]] = {"strategy": tuple(STRATEGY_MEANINGS), "data_kind": KINDS}
"""Strings of which only these occur."""

DOCUMENTS: dict[str, dict[str, str]] = {
    "Problem": {
        "type": "string",
        "title": "string",
        "status": "integer",
        "detail": "string",
        "request_id": "string",
        "retryable": "boolean",
        "error_type?": "string",
        "function?": "string",
        "execution_id?": "string",
        "traceback?": "string",
    },
    "Accepted": {"execution_id": "string", "status": "string"},
    "Deployed": {
        "app": "string",
        "version": "integer",
        "functions": "[string]",
        "workflows": "[string]",
        "unforkable": "[string]",
        "unchanged": "boolean",
    },
    "Deployment": {
        "app": "string",
        "version": "integer",
        "active": "boolean",
        "created_at_ms": "integer",
        "sha256": "string",
        "entry": "string",
        "functions": "[string]",
        "workflows": "[string]",
    },
    "Deployments": {"deployments": "[Deployment]"},
    "Function": {
        "name": "string",
        "app": "string",
        "version": "integer",
        "description": "string",
        "kind": "string",
        "strategy": "strategy",
        "timeout_s": "number",
        "memory_mb": "integer",
        "concurrency": "integer",
        "queue_limit": "integer",
        "warm": "integer",
        "idle_timeout_s": "number",
        "retries": "integer",
        "retry_delay_s": "number",
        "init": "string",
        "env": "[string]",
        "topic": "string",
        "serving": "boolean",
    },
    "Functions": {"functions": "[Function]"},
    "Workflow": {
        "name": "string",
        "app": "string",
        "version": "integer",
        "description": "string",
        "durability": "string",
        "timeout_s": "number",
        "definition": "any",
        "serving": "boolean",
    },
    "Workflows": {"workflows": "[Workflow]"},
    "Trial": {
        "status": "string",
        "output": "any",
        "error": "string",
        "cause": "string",
        "next_state": "string",
        "inspection?": "any",
        "call?": "TrialCall",
    },
    "TrialCall": {
        "request_id": "string",
        "worker": "string",
        "start_kind": "string",
        "queue_ms": "number",
        "start_ms": "number",
        "run_ms": "number",
    },
    "ExecutionSummary": {
        "execution_id": "string",
        "execution_name": "string?",
        "name": "string",
        "version": "integer",
        "kind": "string",
        "status": "string",
        "started_at_ms": "integer",
        "ended_at_ms": "integer?",
        "duration_ms": "integer?",
    },
    "Executions": {"executions": "[ExecutionSummary]", "next_cursor": "string?"},
    "ExecutionError": {"error_type": "string", "error_message": "string"},
    "StateVisit": {
        "name": "string",
        "branch": "integer",
        "index": "integer?",
        "status": "string",
        "seq": "integer",
        "entered_at_ms": "integer",
        "ended_at_ms": "integer?",
        "attempt": "integer",
        "worker": "string",
        "start_kind": "string",
        "queue_ms": "number",
        "start_ms": "number",
        "run_ms": "number",
        "gap_ms": "number",
        "error_type": "string",
        "error_message": "string",
        "output": "string?",
    },
    "Execution": {
        "execution_id": "string",
        "execution_name": "string?",
        "name": "string",
        "app": "string",
        "version": "integer",
        "kind": "string",
        "durability": "string",
        "status": "string",
        "started_at_ms": "integer",
        "ended_at_ms": "integer?",
        "duration_ms": "integer?",
        "billed_ms": "integer",
        "billed_gb_s": "number",
        "output": "any",
        "error": "ExecutionError?",
        "states": "[StateVisit]",
        "map_runs": "[MapRun]",
        "next_cursor": "string?",
        "redrive_status": "string",
        "redrive_count": "integer",
        "redriven_at_ms": "integer?",
    },
    "MapRun": {
        "arn": "string",
        "state": "string",
        "branch": "integer",
        "status": "string",
        "total": "integer?",
        "pending": "integer?",
        "running": "integer?",
        "succeeded": "integer?",
        "failed": "integer?",
        "aborted": "integer?",
    },
    "Redriven": {"execution_id": "string", "status": "string", "redrive_count": "integer"},
    "HistoryEvent": {
        "seq": "integer",
        "at_ms": "integer",
        "type": "string",
        "state": "string",
        "branch": "integer",
        "index": "integer?",
        "attempt": "integer",
        "worker": "string",
        "start_kind": "string",
        "queue_ms": "number",
        "start_ms": "number",
        "run_ms": "number",
        "gap_ms": "number",
        "billed_ms": "integer",
        "billed_gb_s": "number",
        "span_id": "string",
        "error_type": "string",
        "error_message": "string",
        "payload": "any",
    },
    "History": {"execution_id": "string", "events": "[HistoryEvent]", "next_cursor": "string?"},
    "Activity": {"name": "string", "created_at_ms": "integer"},
    "Activities": {"activities": "[Activity]"},
    "ActivityTask": {"task_token": "string", "input": "any"},
    "LogLine": {
        "seq": "integer",
        "at_ms": "integer",
        "function": "string",
        "version": "integer",
        "request_id": "string",
        "execution_id": "string",
        "pid": "integer",
        "stream": "string",
        "level": "string",
        "text": "string",
        "trace_id": "string",
    },
    "Logs": {"lines": "[LogLine]", "after": "integer"},
    "TraceSummary": {
        "trace_id": "string",
        "name": "string",
        "kind": "string",
        "began_at_ms": "integer",
        "took_ms": "number",
        "error": "string",
        "request_id": "string",
        "execution_id": "string",
    },
    "Traces": {"traces": "[TraceSummary]"},
    "Span": {
        "trace_id": "string",
        "span_id": "string",
        "parent_id": "string",
        "kind": "string",
        "name": "string",
        "began_at_us": "integer",
        "took_us": "number",
        "error": "string",
        "told": "any",
    },
    "Trace": {"trace_id": "string", "spans": "[Span]"},
    "Spans": {"spans": "[Span]"},
    "Worker": {
        "worker": "string",
        "function": "string",
        "version": "integer",
        "pid": "integer",
        "state": "string",
        "activity": "string",
        "start_kind": "string",
        "held_by": "string",
        "request_id": "string",
        "execution_id": "string",
        "age_ms": "number",
        "idle_ms": "number",
        "tasks": "integer",
        "connected": "boolean",
        "usage_bytes": "integer?",
        "swap_bytes": "integer?",
        "working_set_bytes": "integer?",
        "last_page_in_ms": "number?",
    },
    "Topic": {
        "topic": "string",
        "waiting": "integer",
        "queue_limit": "integer",
        "members": "integer",
        "busy": "integer",
    },
    "Workers": {
        "workers": "[Worker]",
        "topics": "[Topic]",
        "running_executions": "integer",
        "reservations": "integer",
        "wrong_guesses": "integer",
        "paging_mode": "string",
        "paging_sentence": "string",
        "memory_usage_bytes": "integer",
        "memory_budget_bytes": "integer",
        "swap_total_bytes": "integer",
        "swap_used_bytes": "integer",
    },
    "ActorState": {
        "actor": "string",
        "connected": "boolean",
        "pid": "integer",
        "mailbox_length": "integer",
        "mailbox_limit": "integer",
        "messages_handled": "integer",
        "messages_refused": "integer",
        "tasks": "integer",
        "open_files": "integer",
        "rss_bytes": "integer",
        "connections": "integer",
        "loop_lag_ms": "number",
        "restarts": "integer",
    },
    "Template": {
        "topic": "string",
        "pid": "integer",
        "forkable": "boolean",
        "threads": "integer",
        "workers": "integer",
        "restarts": "integer",
    },
    "Mechanisms": {
        "event_loop": "string",
        "http_parser": "string",
        "strategies": "[strategy]",
        "paging_mode": "string",
        "paging_sentence": "string",
        "templates": "[Template]",
    },
    "Node": {
        "version": "string",
        "pid": "integer",
        "python": "string",
        "ready": "boolean",
        "in_flight": "integer",
        "settings": "any",
        "actors": "[ActorState]",
        "mechanisms": "Mechanisms",
    },
    "DataKeys": {"app": "string", "kind": "data_kind", "name": "string", "keys": "[string]", "next_after": "string?"},
    "DataEntry": {
        "app": "string",
        "kind": "data_kind",
        "name": "string",
        "key": "string",
        "version": "integer?",
        "value?": "any",
    },
    "Health": {"status": "string"},
    "Readiness": {"ready": "boolean", "waiting_for": "[string]"},
}
"""Document name → member → type."""

_BASIC = ("string", "integer", "number", "boolean")


def schema_of(text: str) -> Schema:
    """The JSON schema of one type in the notation of this module."""
    if text == "any":
        return {}
    if text.endswith("?"):
        inner = schema_of(text[:-1])
        if "$ref" in inner:
            return {"anyOf": [inner, {"type": "null"}]}
        return {**inner, "type": [inner["type"], "null"]}
    if text in ENUMERATIONS:
        return {"type": "string", "enum": list(ENUMERATIONS[text])}
    if text.startswith("["):
        return {"type": "array", "items": schema_of(text[1:-1])}
    return {"type": text} if text in _BASIC else {"$ref": f"#/components/schemas/{text}"}


def component(name: str) -> Schema:
    """The JSON schema of one document."""
    members = DOCUMENTS[name]
    return {
        "type": "object",
        "properties": {member.rstrip("?"): schema_of(text) for member, text in members.items()},
        "required": [member for member in members if not member.endswith("?")],
    }
