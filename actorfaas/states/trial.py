"""One state tried out by itself, with what its work would give: what comes out of it, and each step on the way.

As the operation TestState of Step Functions, of which it takes the names: statuses, and the steps that an inspection
shows. Nothing is called here: tasks, branches and iterations are mocked. `asked` tells what a Task state would call,
and what that returned is then given as `Mock(returned=...)`.
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_TestState.html)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import orjson

from actorfaas.errors import DeployError
from actorfaas.states.adding import Added, follow
from actorfaas.states.branches import Branch
from actorfaas.states.context import ExecutionContext
from actorfaas.states.data_flow import PathFlow
from actorfaas.states.document import Document
from actorfaas.states.engine import START
from actorfaas.states.errors import StatedFailure, StatesError
from actorfaas.states.failures import next_attempt, uncaught
from actorfaas.states.gathering import items_of, limits_of, too_many_failures
from actorfaas.states.graph import successors
from actorfaas.states.instructions import RunTask
from actorfaas.states.item_reader import read_items
from actorfaas.states.model import Map, Parallel, Pass, State, StateMachine, Task
from actorfaas.states.parsing import parse
from actorfaas.states.run import Run
from actorfaas.states.scope import Json
from actorfaas.states.steps import finish, result_of

ALONE = "State"
"""What a state is called that is tested without its machine."""

Status = Literal["SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR"]


@dataclass(frozen=True, slots=True)
class Mock:
    """What a state's work gives: `result` (JSON), or what the function of a Task state itself `returned`, or the error.

    `failed_iterations`: of a distributed Map state; `items`: what its ItemReader would find. `retries`: how often the
    state was tried before. `added`: the states that the function had run next.
    """

    result: bytes | None = None
    returned: bytes | None = None
    error: str = ""
    cause: str = ""
    failed_iterations: int = 0
    items: bytes = b""
    retries: int = 0
    added: tuple[Added, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """The call that a Task state would make. `timeout_s` 0: the function's own; `attempt`: from 1."""

    function: str
    payload: bytes
    timeout_s: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out. `next`: the state that follows, or ""; `inspection`: the steps by their names."""

    status: Status
    output: bytes | None
    error: str
    cause: str
    next: str
    inspection: dict[str, Json] = field(default_factory=dict)


def try_state(
    definition: bytes,
    payload: bytes,
    *,
    state: str = "",
    mock: Mock | None = None,
    variables: Mapping[str, Json] | None = None,
    context: Json = None,
) -> Trial:
    """Try a state: of a whole definition the one named, also in a branch, else a definition that is one state.

    `context`: the whole context object, if expressions are to see another than one of no execution. Raises DeployError
    for a wrong definition, and where a state that does work has no mock.
    """
    given = mock or Mock()
    run, branch = _prepared(definition, payload, state, given.retries, variables, context)
    inspection: dict[str, Json] = {}
    try:
        _work(run, branch, given, inspection)
    except StatesError as error:
        return _failed(run, branch, error.in_state(branch.state.name, branch.entered_id), inspection)
    return Trial("SUCCEEDED", branch.input().text, "", "", branch.following, inspection)


def asked(
    definition: bytes,
    payload: bytes,
    *,
    state: str = "",
    retries: int = 0,
    variables: Mapping[str, Json] | None = None,
    context: Json = None,
) -> Asked | None:
    """The call that a Task state would make and whose result it would have; None of a state that makes none, or fails
    before it does."""
    run, branch = _prepared(definition, payload, state, retries, variables, context)
    task = branch.state
    if not isinstance(task, Task) or task.resource.kind not in ("function", "invoke") or task.resource.pattern:
        return None
    try:
        START[Task](run, branch, task)
    except StatesError:
        return None
    request = branch.request
    if not isinstance(request, RunTask) or not request.function:
        return None
    return Asked(request.function, request.payload, request.timeout_s, request.attempt)


def _prepared(
    definition: bytes,
    payload: bytes,
    state: str,
    retries: int,
    variables: Mapping[str, Json] | None,
    context: Json,
) -> tuple[Run, Branch]:
    """A run that stands at the state."""
    machine, name = _machine(definition, state)
    run = Run(machine, {}, ExecutionContext("test", 0, "test", "test"), 0)
    branch = run.branches[0]
    branch.state = machine.states[name]
    branch.entered_id = 2
    branch.variables = dict(variables or {})
    branch.execution = context
    branch.take(Document(payload))
    branch.attempt += retries
    branch.tries = dict.fromkeys(range(len(getattr(branch.state, "retry", None) or ())), retries)
    return run, branch


def _machine(definition: bytes, state: str) -> tuple[StateMachine, str]:
    if state:
        for machine in parse(definition, refused=()).machines():
            if state in machine.states:
                return machine, state
        raise DeployError(f"the definition has no state {state!r}")
    try:
        source = orjson.loads(definition)
    except orjson.JSONDecodeError as error:
        raise DeployError(f"the definition is not JSON: {error}") from None
    if not isinstance(source, dict):
        raise DeployError("a state is a JSON object")
    others = {name: {"Type": "Succeed"} for name in _mentioned(source)}
    whole = {"StartAt": ALONE, "States": {**others, ALONE: source}}
    return parse(orjson.dumps(whole), refused=()), ALONE


def _mentioned(source: dict[str, Json]) -> set[str]:
    """The states that one state's definition leads to."""
    entries = [source, *(entry for name in ("Choices", "Catch") for entry in source.get(name) or ())]
    targets = [entry.get(name) for entry in entries if isinstance(entry, dict) for name in ("Next", "Default")]
    return {target for target in targets if isinstance(target, str)}


def _work(run: Run, branch: Branch, mock: Mock, inspection: dict[str, Json]) -> None:
    """The state's work, mocked where it is not its own; afterwards the branch has its output."""
    state = branch.state
    inspection["input"] = branch.input().value
    if isinstance(state, Task | Parallel | Map):
        _work_of_others(run, branch, state, mock, inspection)
        return
    if isinstance(state.flow, PathFlow):
        _inspect_input(run, branch, state, inspection)
        if isinstance(state, Pass):
            frame = run.frame(branch)
            result = state.flow.effective(frame) if state.result is None else state.result.value
            _inspect_result(run, branch, state.flow, result, inspection)
    START[type(state)](run, branch, state)
    if branch.waits == "timer":
        finish(run, branch, state.flow, next(successors(state), ""))


def _inspect_input(run: Run, branch: Branch, state: State, inspection: dict[str, Json]) -> None:
    if isinstance(state, Pass) and state.result is not None:
        inspection["result"] = state.result.value
        return
    frame = run.frame(branch)
    inspection["afterInputPath"] = state.flow.chosen(frame)
    if isinstance(state, Pass | Task):
        inspection["afterParameters"] = state.flow.effective(frame)


def _inspect_result(run: Run, branch: Branch, flow: PathFlow, result: Json, inspection: dict[str, Json]) -> None:
    frame = run.frame(branch)
    selected = flow.selected(frame, result)
    inspection["afterResultSelector"] = selected
    inspection["afterResultPath"] = flow.placed(frame, selected)


def _work_of_others(
    run: Run, branch: Branch, state: Task | Parallel | Map, mock: Mock, inspection: dict[str, Json]
) -> None:
    flow = state.flow
    if isinstance(state, Task):
        START[Task](run, branch, state)
        if isinstance(flow, PathFlow):
            _inspect_input(run, branch, state, inspection)
        elif flow.computes_input:
            inspection["afterArguments"] = flow.effective(run.frame(branch))
    elif isinstance(state, Map):
        _iterate(run, branch, state, mock, inspection)
    if mock.error:
        raise StatedFailure(mock.error, mock.cause)
    result = _result(state, mock)
    if isinstance(state, Task):
        inspection["result"] = result.value
        if mock.added:
            _add(run, branch, state, mock, inspection)
            return
    if isinstance(flow, PathFlow):
        _inspect_result(run, branch, flow, result.value, inspection)
    finish(run, branch, flow, state.next, result)


def _result(state: Task | Parallel | Map, mock: Mock) -> Document:
    """What the state's work gives. Raises DeployError."""
    if mock.returned is not None and isinstance(state, Task):
        return result_of(state, mock.returned)
    if mock.result is None:
        raise DeployError(f"a {type(state).__name__} state is tested with the result, or the error, of its work")
    return Document(mock.result)


def _add(run: Run, branch: Branch, task: Task, mock: Mock, inspection: dict[str, Json]) -> None:
    """States that the task's function had run next. Of several, the output is not known: their inputs stand for it."""
    inspection["addedNext"] = [{"state": name, "input": orjson.loads(input_)} for name, input_ in mock.added]
    follow(run, branch, task, mock.returned or b"null", mock.added)
    if len(mock.added) > 1:
        finish(run, branch, task.flow, task.next, Document.of([one["input"] for one in inspection["addedNext"]]))


def _iterate(run: Run, branch: Branch, state: Map, mock: Mock, inspection: dict[str, Json]) -> None:
    """What a Map state does before and after its iterations."""
    frame = run.frame(branch)
    chosen = state.flow.chosen(frame)
    gathering = limits_of(run, branch, state, chosen)
    limits = {
        "maxConcurrency": state.max_concurrency,
        "toleratedFailureCount": state.tolerated_count,
        "toleratedFailurePercentage": state.tolerated_percentage,
    }
    inspection["maxConcurrency"] = 0
    inspection |= {name: limit.value(frame, chosen) for name, limit in limits.items() if limit is not None}
    if state.reader is None:
        gathering.items = list(items_of(run, branch, state, chosen))
    else:
        gathering.items = read_items(mock.items, state.reader.config, 0)
    gathering.failures = mock.failed_iterations
    if state.is_distributed and not mock.error and gathering.exceeds():
        raise too_many_failures()


def _failed(run: Run, branch: Branch, error: StatesError, inspection: dict[str, Json]) -> Trial:
    retried = next_attempt(run, branch, error)
    if retried is not None:
        position, wait_s = retried
        inspection["errorDetails"] = {"retryBackoffIntervalSeconds": wait_s, "retryIndex": position}
        return Trial("RETRIABLE", None, error.error, error.cause, "", inspection)
    ending = uncaught(run, branch, error)
    if ending is None:
        return Trial("CAUGHT_ERROR", branch.input().text, error.error, error.cause, branch.following, inspection)
    return Trial("FAILED", None, ending.error, ending.cause, "", inspection)
