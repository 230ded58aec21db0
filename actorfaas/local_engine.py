"""Workflows in this process, for unit tests: the platform's engine, plain functions and mocks, no node, no waiting.

Drives `states.engine` as a node does, one task at a time; timers are taken in order and the time until then is
skipped. Imported only when a workflow is run, for the engine needs more than the standard library.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from actorfaas.context import Context
from actorfaas.core.children import child_id, ending, started
from actorfaas.core.execution import own_retriers
from actorfaas.data import Data
from actorfaas.data.memory import MemoryData
from actorfaas.errors import DeclarationError, DeployError, WorkflowFailed
from actorfaas.ids import new_id
from actorfaas.local import call
from actorfaas.local_platform import LocalPlatform, LocalSession
from actorfaas.messages import ExecutionState
from actorfaas.states.adding import Added
from actorfaas.states.context import ExecutionContext
from actorfaas.states.engine import STATES_TASK_FAILED, Engine
from actorfaas.states.instructions import Closed, Entered, Finish, Instruction, Opened, RunTask, Sleep
from actorfaas.states.model import StateMachine
from actorfaas.states.parsing import STORES, parse
from actorfaas.states.trial import Mock, asked, try_state

if TYPE_CHECKING:
    from actorfaas.declarations import AnyFunction, Workflow

Json = Any  # a decoded JSON document: the caller's business
Mocks = Mapping[str, Json]

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class WorkflowTest:
    """What a run came to.

    `status`: succeeded or failed; `error` and `cause`: of a failed one; `visited`: the states in the order in which
    they were entered; `waited_s`: the time that was skipped; `exception`: what a handler raised, where that failed it.
    """

    status: str
    output: Json
    error: str
    cause: str
    visited: tuple[str, ...]
    waited_s: float
    exception: BaseException | None = None

    def result(self) -> Json:
        """The output. Raises the handler's exception, or WorkflowFailed, when the run failed."""
        if self.exception is not None:
            raise self.exception
        if self.status == "failed":
            raise WorkflowFailed(self.error, self.cause)
        return self.output


@dataclass(frozen=True, slots=True)
class StateTest:
    """What one state came to, in the words of TestState. `status`: SUCCEEDED, FAILED, RETRIABLE or CAUGHT_ERROR;
    `next`: the state that follows, or ""; `inspection`: its data step by step (afterInputPath, result, ...)."""

    status: str
    output: Json
    error: str
    cause: str
    next: str
    inspection: Mapping[str, Json]


def rehearse(workflow: Workflow, value: Json, mocks: Mocks, data: Data | None) -> WorkflowTest:
    """Run a workflow to its end. Raises DeclarationError for a wrong definition or a mock that is of no use."""
    execution_id = new_id("exe")
    machine, functions = _prepared(workflow, mocks)
    calls = _Calls(functions, mocks, MemoryData() if data is None else data, execution_id)
    now_ns = time.time_ns() // _NS_PER_MS * _NS_PER_MS
    engine = Engine(
        machine,
        retries={name: own_retriers(one.spec()) for name, one in functions.items()},
        context=ExecutionContext(execution_id, now_ns // _NS_PER_MS, workflow.name, workflow.name),
    )
    return _Rehearsal(engine, calls, now_ns).run(_json(value, "the input"))


def try_alone(
    workflow: Workflow,
    state: str,
    value: Json,
    *,
    mock: Json,
    variables: Mapping[str, Json] | None,
    context: Json,
    data: Data | None,
) -> StateTest:
    """Try one state, also one in a branch. Raises DeclarationError."""
    _, functions = _prepared(workflow, {})
    definition, payload = workflow.spec().definition, _json(value, "the input")
    work: Mock | None = None
    try:
        if mock is not ...:
            work = _work(state, lambda event: _mocked(mock, event), value)
        else:
            request = asked(definition, payload, state=state, variables=variables, context=context)
            if request is not None:
                calls = _Calls(functions, {}, MemoryData() if data is None else data, "test")
                given = orjson.loads(request.payload)
                work = _work(state, lambda event: calls.call(request.function, state, event, 1), given)
                work = replace(work, returned=work.result, result=None, added=tuple(calls.added))
        trial = try_state(definition, payload, state=state, mock=work, variables=variables, context=context)
    except DeployError as error:
        raise DeclarationError(f"workflow {workflow.name!r}, state {state!r}: {error}") from error
    output = None if trial.output is None else orjson.loads(trial.output)
    return StateTest(trial.status, output, trial.error, trial.cause, trial.next, trial.inspection)


@dataclass(slots=True)
class _Calls:
    """How functions are called, or mocked."""

    functions: Mapping[str, AnyFunction]
    mocks: Mocks
    data: Data
    execution_id: str
    session: LocalSession = field(default_factory=LocalSession)
    added: list[Added] = field(default_factory=list)

    def call(self, name: str, state: str, event: Json, attempt: int, index: int = -1) -> Json:
        """What the function returns; raises what it raises. `added`: the states that it had run next."""
        self.added = []
        if name in self.mocks:
            return _mocked(self.mocks[name], event)
        if name not in self.functions:
            raise DeclarationError(f"state {state!r} calls {name!r}, which is no function here; give a mock for it")
        with self.data.transaction() as data:
            platform = LocalPlatform(self.session, data, state, index)
            self.added = platform.added
            context = Context(
                request_id=new_id("req"),
                execution_id=self.execution_id,
                function_name=name,
                state=state,
                attempt=attempt,
                platform=platform,
            )
            return call(self.functions[name], event, context)


@dataclass(slots=True)
class _Rehearsal:
    """One run: tasks in the order in which they came up, then the timer that is due first."""

    engine: Engine
    calls: _Calls
    now_ns: int
    tasks: deque[RunTask] = field(default_factory=deque)
    timers: list[tuple[int, int]] = field(default_factory=list)
    closed: set[int] = field(default_factory=set)
    index: dict[int, int] = field(default_factory=dict)
    visited: list[str] = field(default_factory=list)
    raised: dict[str, BaseException] = field(default_factory=dict)
    finish: Finish | None = None

    def run(self, payload: bytes) -> WorkflowTest:
        """To the end."""
        began_ns = self.now_ns
        self._follow(self.engine.begin(payload, self.now_ns))
        while self.finish is None:
            if self.tasks:
                self._do(self.tasks.popleft())
            else:
                until_ns, branch = heapq.heappop(self.timers)
                if branch not in self.closed:
                    self.now_ns = max(self.now_ns, until_ns)
                    self._follow(self.engine.timer_fired(branch, self.now_ns))
        end = self.finish
        output = None if end.failed else orjson.loads(end.payload)
        exception = self.raised.get(end.error) if end.failed else None
        if exception is not None and str(exception) != end.cause:
            exception = None  # a Fail state's error that has the name of one that was caught
        waited_s = (self.now_ns - began_ns) / _NS_PER_S
        status = "failed" if end.failed else "succeeded"
        return WorkflowTest(status, output, end.error, end.cause, tuple(self.visited), waited_s, exception)

    def _follow(self, instructions: list[Instruction]) -> None:
        for one in instructions:
            match one:
                case RunTask():
                    self.tasks.append(one)
                case Sleep():
                    heapq.heappush(self.timers, (one.until_ns, one.branch))
                case Opened():
                    self.index[one.branch] = one.index
                case Entered():
                    self.visited.append(one.state)
                case Closed():
                    self.closed.add(one.branch)
                case Finish():
                    self.finish = one

    def _do(self, task: RunTask) -> None:
        if task.branch in self.closed:
            return
        state = task.task.name
        try:
            index = self.index.get(task.branch, -1)
            if task.token:
                payload = self._answered(task, index)
            else:
                result = self.calls.call(task.function, state, orjson.loads(task.payload), task.attempt, index)
                payload = _json(result, f"state {state!r}: the result")
        except WorkflowFailed as failed:
            self._follow(self.engine.task_failed(task.branch, failed.error, failed.cause, self.now_ns))
        except DeclarationError:
            raise
        except Exception as error:  # noqa: BLE001  # user code raises anything; Retry and Catch decide
            name = type(error).__name__
            self.raised[name] = error
            self._follow(self.engine.task_failed(task.branch, name, str(error), self.now_ns))
        else:
            added = self.calls.added
            self._follow(self.engine.task_succeeded(task.branch, payload, self.now_ns, handed_on=False, added=added))

    def _answered(self, task: RunTask, index: int) -> bytes:
        """What somebody outside answers: the mock of the function, activity or workflow. Raises WorkflowFailed where a
        started workflow fails."""
        resource, state = task.task.resource, task.task.name
        name = task.starts or task.function or resource.name
        is_awaited = bool(resource.pattern) or resource.kind == "activity"
        if name not in self.calls.mocks and is_awaited:
            raise DeclarationError(f"state {state!r} waits for an answer from outside; give a mock of {name!r} for it")
        event = orjson.loads(task.payload)
        if resource.pattern in ("sync", "sync:2"):
            return self._child(task, name, event, index)
        result = self.calls.call(name, state, event, task.attempt, index) if name in self.calls.mocks else None
        return _json(result, f"state {state!r}: the result") if is_awaited else started(name, self.now_ns // _NS_PER_MS)

    def _child(self, task: RunTask, name: str, event: Json, index: int) -> bytes:
        """How a started workflow ends."""
        output, error, cause = b"", "", ""
        try:
            output = _json(self.calls.call(name, task.task.name, event, task.attempt, index), f"the output of {name!r}")
        except Exception as raised:  # noqa: BLE001  # a mock raises anything; Retry and Catch decide
            error, cause = type(raised).__name__, str(raised)
        now_ms = self.now_ns // _NS_PER_MS
        child = ExecutionState(
            execution_id=child_id(task.token, 1),
            name=name,
            app="",
            version=0,
            kind="workflow",
            durability="standard",
            status="failed" if error else "succeeded",
            error_type=error,
            error_message=cause,
            started_at_ms=now_ms,
            ended_at_ms=now_ms,
            redrive_count=0,
            redriven_at_ms=0,
            execution_name="",
            events=(),
            payload=output,
        )
        succeeded, described = ending(child, task.payload, task.task.resource.pattern)
        if not succeeded:
            raise WorkflowFailed(STATES_TASK_FAILED, described.decode())
        return described


def _prepared(workflow: Workflow, mocks: Mocks) -> tuple[StateMachine, Mapping[str, AnyFunction]]:
    """The machine, and the functions that are there for it. Raises DeclarationError."""
    functions = workflow.functions or workflow.functions_of_module()
    try:
        is_express = workflow.durability == "express"
        machine = parse(workflow.spec().definition, refused=STORES, is_express=is_express)
    except DeployError as error:
        raise DeclarationError(f"workflow {workflow.name!r}: {error}") from error
    called = {task.function or task.resource.name for task in machine.tasks()}
    unused = sorted(mocks.keys() - called)
    if unused and "" not in called:  # "": which one is computed
        raise DeclarationError(f"workflow {workflow.name!r} does not call {', '.join(map(repr, unused))}: a mock of it")
    return machine, functions


def _mocked(mock: Json, event: Json) -> Json:
    """What a mock gives: raises it, calls it, or it is the result."""
    if isinstance(mock, BaseException) or (isinstance(mock, type) and issubclass(mock, BaseException)):
        raise mock
    return mock(event) if callable(mock) else mock


def _work(state: str, work: Any, event: Json) -> Mock:  # a callable on decoded JSON
    try:
        return Mock(_json(work(event), f"state {state!r}: the result"))
    except DeclarationError:
        raise
    except Exception as error:  # noqa: BLE001  # user code raises anything; Retry and Catch decide
        return Mock(error=type(error).__name__, cause=str(error))


def _json(value: Json, what: str) -> bytes:
    """A value as JSON. Raises TypeError."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise TypeError(f"{what} is not JSON: {error}") from error
