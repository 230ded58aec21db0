"""What decorators declare, for tests: specs with the defaults of `api`, and chains as definitions."""

from __future__ import annotations

from actorfaas.messages import FunctionSpec, WorkflowSpec


def function(name: str, **changes: object) -> FunctionSpec:
    """A function's spec with the defaults of `api.function`, one warm instance."""
    settings: dict[str, object] = {
        "name": name,
        "module": "app",
        "kind": "sync",
        "strategy": "auto",
        "timeout_s": 30.0,
        "memory_mb": 512,
        "concurrency": 16,
        "queue_limit": 1000,
        "warm": 1,
        "idle_timeout_s": 60.0,
        "retries": 0,
        "retry_delay_s": 0.1,
        "init": "",
        "env": {},
        "description": "",
    }
    return FunctionSpec(**{**settings, **changes})  # type: ignore[arg-type]  # the test's own keywords


def workflow(name: str, definition: bytes, durability: str = "standard", timeout_s: float = 0.0) -> WorkflowSpec:
    """A workflow's spec."""
    return WorkflowSpec(name, definition, durability, timeout_s, "")


def chain(*states: str) -> bytes:
    """The definition that `a >> b` makes; a repeated function is named NAME_2."""
    names: list[str] = []
    for position, state in enumerate(states):
        count = states[: position + 1].count(state)
        names.append(state if count == 1 else f"{state}_{count}")
    parts = []
    for position, (name, state) in enumerate(zip(names, states, strict=True)):
        end = '"End":true' if position + 1 == len(names) else f'"Next":"{names[position + 1]}"'
        parts.append(f'"{name}":{{"Type":"Task","Resource":"{state}",{end}}}')
    return f'{{"StartAt":"{names[0]}","States":{{{",".join(parts)}}}}}'.encode()
