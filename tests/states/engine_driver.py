"""Runs an engine without a platform: functions are Python callables, timers pass at once, objects are in a dict.

Plays who drives an engine in tests: answers every instruction, keeps the history as Step Functions would write it, and
can be asked for the events that it gave, to give them to another engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from actorfaas.states.adding import Added
from actorfaas.states.context import ExecutionContext
from actorfaas.states.engine import Engine
from actorfaas.states.errors import StatesError
from actorfaas.states.instructions import (
    Closed,
    Entered,
    Exited,
    Failed,
    Finish,
    Instruction,
    Noted,
    Opened,
    ReadItems,
    Recorded,
    RunTask,
    Sleep,
    WriteResults,
)
from actorfaas.states.item_reader import read_items
from actorfaas.states.model import Retrier, StateMachine
from tests.states.expressions_kit import NOW_MS

Json = Any  # a decoded JSON value of any shape


NS_PER_MS = 1_000_000

CONTEXT = ExecutionContext("execution", NOW_MS, "machine-id", "machine")


class TaskError(Exception):
    """A function fails with an error name and a cause."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


Call = Callable[[RunTask], bytes]


@dataclass(slots=True)
class Event:
    """Something from outside that an engine was told: the method's name, and what it was given."""

    method: str
    arguments: tuple[Any, ...]  # the method's own


@dataclass
class Driver:
    """One run. `call` answers tasks, `adds` says which states they have run next; `objects` are those that item readers
    name, by bucket and key."""

    machine: StateMachine
    call: Call
    objects: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    retries: Mapping[str, tuple[Retrier, ...]] = field(default_factory=dict)
    context: ExecutionContext = CONTEXT
    max_data_bytes: int = 0
    adds: Callable[[RunTask], tuple[Added, ...]] = lambda _: ()
    now_ns: int = NOW_MS * NS_PER_MS
    history: list[str] = field(default_factory=lambda: ["ExecutionStarted"])
    instructions: list[Instruction] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    written: list[WriteResults] = field(default_factory=list)
    finish: Finish | None = None
    steps: int = 0

    def __post_init__(self) -> None:
        self.engine = self.new_engine()
        self._waiting: dict[int, RunTask | ReadItems | WriteResults | Sleep] = {}
        self._order: deque[int] = deque()
        self._parents = {0: -1}
        self._apart: set[int] = set()

    def new_engine(self) -> Engine:
        return Engine(self.machine, retries=self.retries, context=self.context, max_data_bytes=self.max_data_bytes)

    def run(self, payload: Json, most_steps: int = 100_000) -> Finish:
        """Until the execution ends."""
        self.start(payload)
        return self._to_the_end(most_steps)

    def _to_the_end(self, most_steps: int) -> Finish:
        while self.finish is None:
            self.step()
            assert self.steps < most_steps, "the execution does not end"
        return self.finish

    def redrive(self) -> Finish:
        """Go on after the end, until the next one."""
        self.finish = None
        self._tell("redrive", self.now_ns)
        return self._to_the_end(100_000)

    def fail(self, branch: int, error: str) -> None:
        """What a branch asked for fails."""
        self._waiting.pop(branch)
        self._order.remove(branch)
        self._tell("task_failed", branch, error, "", self.now_ns)

    def cancel(self) -> None:
        """The execution is ended from outside: nobody waits for anything any more."""
        self._waiting.clear()
        self._order.clear()

    def start(self, payload: Json) -> None:
        self._tell("begin", orjson.dumps(payload), self.now_ns)

    def step(self) -> None:
        """Answer what has been outstanding for longest; sleeps only when nothing else is."""
        assert self._waiting, "the execution waits for nothing"
        self.steps += 1
        asleep = [one for one in self._order if isinstance(self._waiting[one], Sleep)]
        awake = [one for one in self._order if not isinstance(self._waiting[one], Sleep)]
        branch = awake[0] if awake else min(asleep, key=lambda one: self._waiting[one].until_ns)  # type: ignore[union-attr]
        self.answer(branch)

    @property
    def waiting(self) -> dict[int, RunTask | ReadItems | WriteResults | Sleep]:
        """What is outstanding, by branch."""
        return self._waiting

    def answer(self, branch: int) -> None:
        """Answer what is outstanding for a branch."""
        request = self._waiting.pop(branch)
        self._order.remove(branch)
        match request:
            case Sleep():
                self.now_ns = max(self.now_ns, request.until_ns)
                self._tell("timer_fired", branch, self.now_ns)
            case RunTask():
                self._run_task(request)
            case ReadItems():
                self._read(request)
            case WriteResults():
                self.written.append(request)
                place = orjson.dumps({"Bucket": "b", "Key": "k"})
                self._tell("task_succeeded", branch, place, self.now_ns, handed_on=False)

    def _run_task(self, request: RunTask) -> None:
        kind = "LambdaFunction" if request.task.resource.kind == "function" else "Task"
        self._note(request.branch, f"{kind}Scheduled", f"{kind}Started")
        try:
            payload = self.call(request)
        except TaskError as failed:
            timed_out = failed.error == "States.Timeout"
            self._note(request.branch, f"{kind}{'TimedOut' if timed_out else 'Failed'}")
            self._tell("task_failed", request.branch, failed.error, failed.cause, self.now_ns)
            return
        limit = self.max_data_bytes
        self._note(request.branch, f"{kind}{'Failed' if 0 < limit < len(payload) else 'Succeeded'}")
        added = self.adds(request)
        self._tell("task_succeeded", request.branch, payload, self.now_ns, handed_on=False, added=added)

    def _read(self, request: ReadItems) -> None:
        place = (request.parameters["Bucket"], request.parameters["Key"])
        if place not in self.objects:
            self._tell("task_failed", request.branch, "States.ItemReaderFailed", "no such object", self.now_ns)
            return
        try:
            items = read_items(self.objects[place], request.config, request.most)
        except StatesError as error:
            self._tell("task_failed", request.branch, error.error, error.cause, self.now_ns)
        else:
            self._tell("items_read", request.branch, items, self.now_ns)

    def _tell(self, method: str, *arguments: Any, **more: Any) -> None:  # the method's own
        self.events.append(Event(method, (*arguments, *more.values())))
        for instruction in getattr(self.engine, method)(*arguments, **more):
            self.instructions.append(instruction)
            self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case RunTask() | ReadItems() | WriteResults() | Sleep():
                assert instruction.branch not in self._waiting, f"two things at once in {instruction.branch}"
                self._waiting[instruction.branch] = instruction
                self._order.append(instruction.branch)
            case Opened():
                self._parents[instruction.branch] = instruction.parent
                if instruction.is_execution or instruction.parent in self._apart:
                    self._apart.add(instruction.branch)
            case Closed(branch):
                if self._waiting.pop(branch, None) is not None:
                    self._order.remove(branch)
            case Finish():
                self.finish = instruction
                self._note(0, "ExecutionFailed" if instruction.failed else "ExecutionSucceeded")
            case _:
                self._record(instruction)

    def _record(self, instruction: Recorded) -> None:
        match instruction:
            case Entered():
                self._note(instruction.branch, f"{instruction.kind}StateEntered")
            case Exited():
                self._note(instruction.branch, f"{instruction.kind}StateExited")
            case Failed():
                self._note(instruction.branch, f"{instruction.kind}StateFailed")
            case Noted():
                self._note(instruction.branch, instruction.type)

    def _note(self, branch: int, *types: str) -> None:
        """Executions of a distributed Map state have histories of their own."""
        if branch not in self._apart:
            self.history += types


def replayed(driver: Driver) -> Engine:
    """Another engine that was told the same."""
    engine = driver.new_engine()
    for event in driver.events:
        arguments = event.arguments
        if event.method == "task_succeeded":
            engine.task_succeeded(*arguments[:3], handed_on=arguments[3], added=(*arguments[4:], ())[0])
        else:
            getattr(engine, event.method)(*arguments)
    return engine
