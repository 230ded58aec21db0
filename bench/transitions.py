"""What it takes from state to state: in the engine alone, on a node, and in DBOS on SQLite.

`python -m bench.transitions [--quick] [--json FILE]`. The engine comes first, without any platform. A chain of tasks
is its fast route: what they give is never decoded. The states of the other chains compute something at each transition.
Then workflows of steps that do nothing run on a node, every step durable: two and six of them beside DBOS (pip install
dbos), with its defaults, taking turns run by run; with paths, with JSONata; a thousand one after the other, a hundred
branches, and a Map state of ten thousand items, eight at once.

A node journals a state's result while the next state already runs, and answers when all of it is on disk: a crash in
between runs a state again. DBOS writes a step's result before it goes on. From step to step, two designs are compared;
the whole runs keep the same promise to their caller.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from actorfaas.states.context import ExecutionContext
from actorfaas.states.engine import Engine
from actorfaas.states.instructions import RunTask
from actorfaas.states.model import StateMachine
from actorfaas.states.parsing import parse
from bench import durable_steps
from bench.measure import Summary
from bench.report import Report, options

Json = Any  # decoded JSON of any shape

STATES = 1000
ITEMS = 1000
PAYLOAD = orjson.dumps({"a": {"n": 5}, "items": [1, 2, 3], "text": "x" * 200})
CONTEXT = ExecutionContext("execution", 0, "machine", "machine")
TASK: Json = {"Type": "Task", "Resource": "f"}


def engine_of(machine: StateMachine) -> Engine:
    """A new execution."""
    return Engine(machine, retries={}, context=CONTEXT)


def chain(language: str = "JSONPath", **fields: Json) -> StateMachine:
    """So many states of one kind."""
    states = {f"s{n}": {**fields, "Next": f"s{n + 1}"} for n in range(STATES - 1)}
    states[f"s{STATES - 1}"] = {**fields, "End": True}
    return parse(orjson.dumps({"StartAt": "s0", "States": states, "QueryLanguage": language}))


def tasks(*, handed_on: bool) -> Callable[[], int]:
    """A chain of tasks, each output through the engine, or handed on by the worker."""
    machine = chain(**TASK)

    def run() -> int:
        engine = engine_of(machine)
        engine.begin(PAYLOAD, 0)
        payload = None if handed_on else PAYLOAD
        for _ in range(STATES - 1):
            engine.task_succeeded(0, payload, 0, handed_on=handed_on)
        return STATES - 1

    return run


def walk(machine: StateMachine) -> Callable[[], int]:
    """A chain that waits for nothing."""

    def run() -> int:
        engine = engine_of(machine)
        engine.begin(PAYLOAD, 0)
        assert engine.ended
        return STATES

    return run


def iterations() -> Callable[[], int]:
    """A Map state whose iterations are one task each."""
    processor = {"StartAt": "i", "States": {"i": {**TASK, "End": True}}}
    state = {"Type": "Map", "ItemProcessor": processor, "End": True}
    machine = parse(orjson.dumps({"StartAt": "m", "States": {"m": state}}))
    items = orjson.dumps([{"id": n, "text": "x" * 100} for n in range(ITEMS)])

    def run() -> int:
        engine = engine_of(machine)
        waiting = deque(one for one in engine.begin(items, 0) if isinstance(one, RunTask))
        while waiting:
            request = waiting.popleft()
            done = engine.task_succeeded(request.branch, request.payload, 0, handed_on=False)
            waiting.extend(one for one in done if isinstance(one, RunTask))
        assert engine.ended
        return ITEMS

    return run


def cases() -> dict[str, Callable[[], int]]:
    """What is measured: something that runs, and says how many transitions that were."""
    rule = {"Variable": "$.a.n", "NumericGreaterThan": 0}
    loop = {
        "c": {"Type": "Choice", "Choices": [{**rule, "Next": "p"}], "Default": "p"},
        "p": {"Type": "Pass", "Next": "c"},
    }

    def choose() -> int:
        engine_of(looping).begin(PAYLOAD, 0)  # until its events are used up
        return 12_500

    looping = parse(orjson.dumps({"StartAt": "c", "States": loop}))
    return {
        "Task to Task, through the engine": tasks(handed_on=False),
        "Task to Task, handed on by the worker": tasks(handed_on=True),
        "Pass": walk(chain(Type="Pass")),
        "Pass with ResultPath": walk(chain(Type="Pass", Result=1, ResultPath="$.r")),
        "Pass with Parameters": walk(chain(Type="Pass", Parameters={"a": {"n": 1}, "n.$": "$.a.n"})),
        "Pass with a JSONata Output": walk(chain("JSONata", Type="Pass", Output={"a": "{% $states.input.a %}"})),
        "Choice and Pass in turn": choose,
        "iteration of a Map state, one task": iterations(),
    }


def per_transition_us(run: Callable[[], int], samples: int) -> Summary:
    """How long one transition takes, each sample the mean of a whole execution."""
    found = []
    for _ in range(samples):
        started = time.perf_counter_ns()
        count = run()
        found.append((time.perf_counter_ns() - started) / count / 1000)
    return Summary.of(found)


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__)
    report = Report("transitions", chosen.seed)
    for name, run in cases().items():
        found = per_transition_us(run, 10 if chosen.quick else 200)
        report.rows.append({"transition in the engine": name, "p50 µs": found.p50, "p99 µs": found.p99})
    durable_steps.measure(chosen.quick, report)
    report.finish(chosen)


if __name__ == "__main__":
    main()
