"""The context object (`$$`, `$states.context`): what an execution, its machine and its state are called.

(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from actorfaas.states.scope import Json
from actorfaas.states.timestamps import format_timestamp


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """What one execution and its machine are called, and when it began (`started_ms` since 1970). Its id seeds its
    chance, too."""

    execution_id: str
    started_ms: int
    machine_id: str
    machine_name: str
    execution_name: str = ""
    role: str = ""
    redrives: int = 0
    redriven_ms: int | None = None

    def redriven(self, at_ms: int) -> ExecutionContext:
        """The same once it goes on after its end."""
        return replace(self, redrives=self.redrives + 1, redriven_ms=at_ms)

    def object(self, execution_input: Json) -> dict[str, Json]:
        """The context object without a state."""
        return execution_context(
            execution_id=self.execution_id,
            execution_name=self.execution_name or self.execution_id,
            execution_input=execution_input,
            started_ms=self.started_ms,
            machine_id=self.machine_id,
            machine_name=self.machine_name,
            role=self.role,
            redrives=self.redrives,
            redriven_ms=self.redriven_ms,
        )


def execution_context(
    *,
    execution_id: str,
    execution_name: str,
    execution_input: Json,
    started_ms: int,
    machine_id: str,
    machine_name: str,
    role: str = "",
    redrives: int = 0,
    redriven_ms: int | None = None,
) -> dict[str, Json]:
    """What stays the same for all states of an execution; times are milliseconds since 1970."""
    execution = {
        "Id": execution_id,
        "Input": execution_input,
        "StartTime": format_timestamp(started_ms),
        "Name": execution_name,
        "RoleArn": role,
        "RedriveCount": redrives,
    }
    if redriven_ms is not None:
        execution["RedriveTime"] = format_timestamp(redriven_ms)
    return {"Execution": execution, "StateMachine": {"Id": machine_id, "Name": machine_name}}


def state_context(
    execution: Mapping[str, Json],
    *,
    state: str,
    entered_ms: int,
    retries: int | None = None,
    task_token: str | None = None,
) -> dict[str, Json]:
    """The context object in one state. `retries`: of states that can be tried again; `task_token`: of a callback."""
    entered: dict[str, Json] = {"Name": state, "EnteredTime": format_timestamp(entered_ms)}
    if retries is not None:
        entered["RetryCount"] = retries
    context = {**execution, "State": entered}
    if task_token is not None:
        context["Task"] = {"Token": task_token}
    return context


def item_context(context: Mapping[str, Json], index: int, value: Json, *, key: str | None = None) -> dict[str, Json]:
    """The context object for one item of a Map state; `key`: of an item that is the member of an object."""
    item: dict[str, Json] = {"Index": index, "Value": value}
    if key is not None:
        item["Key"] = key
    return {**context, "Map": {"Item": item}}
