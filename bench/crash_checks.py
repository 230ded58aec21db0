"""Whether the history of an execution makes sense, and whether it gives the same again.

Each check yields a sentence for everything that is wrong. The history is what the HTTP API says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from actorfaas.core.replay import JournalMismatch, Replay
from actorfaas.messages import HistoryEvent
from actorfaas.states.context import ExecutionContext
from actorfaas.states.engine import Engine
from actorfaas.states.model import StateMachine

Json = Any  # a decoded JSON document
Call = tuple[str, str, int, int]
"""Execution, state, item (-1: of no Map state), attempt."""

ENDS = {
    "ExecutionSucceeded": "succeeded",
    "ExecutionFailed": "failed",
    "ExecutionTimedOut": "timed_out",
    "ExecutionAborted": "cancelled",
}


def in_order(events: list[Json]) -> Iterator[str]:
    """Numbers without a gap, times that do not go back, one beginning and one end, at their places."""
    if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
        yield f"events are numbered {[event['seq'] for event in events]}"
    types = [event["type"] for event in events]
    if types.count("ExecutionStarted") != 1 or types[0] != "ExecutionStarted":
        yield f"it begins {types.count('ExecutionStarted')} times, first with {types[:1]}"
    ends = [type_ for type_ in types if type_ in ENDS]
    if len(ends) != 1 or types[-1] not in ENDS:
        yield f"it ends with {ends}, last with {types[-1:]}"
    for before, after in pairwise(events):
        if after["at_ms"] < before["at_ms"]:
            yield f"event {after['seq']} is {before['at_ms'] - after['at_ms']} ms before the one before it"


@dataclass
class Visits:
    """Where every branch stands: its state, and how many attempts at it have ended, how many of them well."""

    states: dict[int, str] = field(default_factory=dict)
    ended: Counter[int] = field(default_factory=Counter)
    returned: Counter[int] = field(default_factory=Counter)

    def enter(self, branch: int, state: str) -> Iterator[str]:
        """The branch comes to a state."""
        if branch in self.states:
            yield f"the branch is still at {self.states[branch]!r}"
        self.states[branch] = state
        self.ended[branch] = self.returned[branch] = 0

    def end_attempt(self, branch: int, *, well: bool) -> Iterator[str]:
        """A task returned, or failed."""
        if self.returned[branch]:
            yield "the task had returned"
        self.ended[branch] += 1
        self.returned[branch] += well

    def leave(self, branch: int, *, is_task: bool) -> Iterator[str]:
        """The branch leaves its state."""
        if self.states.pop(branch, None) is None:
            yield "it was not entered"
        if is_task and not self.ended[branch]:
            yield "its task has not ended"


def states_whole(events: list[Json]) -> Iterator[str]:
    """In every branch one state after the other: entered, its task with one end for each attempt, left."""
    visits = Visits()
    for event in events:
        for what in _step(visits, event["branch"], event["state"], event["type"]):
            yield f"event {event['seq']}, {event['type']} of {event['state']!r} in branch {event['branch']}: {what}"


def _step(visits: Visits, branch: int, state: str, type_: str) -> Iterator[str]:
    if not state or type_.endswith("StateAborted"):
        return
    if type_.endswith("StateEntered"):
        yield from visits.enter(branch, state)
        return
    if visits.states.get(branch, state) != state:
        yield f"the branch is at {visits.states[branch]!r}"
    if type_ in ("TaskSucceeded", "TaskFailed", "TaskTimedOut"):
        yield from visits.end_attempt(branch, well=type_ == "TaskSucceeded")
    elif type_.endswith("StateExited"):
        yield from visits.leave(branch, is_task=type_ == "TaskStateExited")


def gives_the_same(events: list[Json], execution: Json, machine: StateMachine, given: Json) -> Iterator[str]:
    """A replay in a new engine comes to the same end with the same output, and decides nothing that is not written."""
    name = execution["name"]
    machine_id = f"{execution['app']}:{name}:{execution['version']}"
    context = ExecutionContext(execution["execution_id"], events[0]["at_ms"], machine_id, name)
    functions = {task.function for task in machine.tasks()}
    replay = Replay(Engine(machine, retries=dict.fromkeys(functions, ()), context=context))
    try:
        replay.run(map(_event, events), orjson.dumps(given), events[0]["at_ms"])
    except JournalMismatch as error:
        yield f"replay: {error}"
        return
    if replay.unwritten:
        yield f"replay: {list(replay.unwritten)} is not in the history"
    if replay.finish is None or replay.outcome is None:
        yield "replay: it has not ended"
    elif replay.outcome[0] != execution["status"]:
        yield f"replay: {replay.outcome[0]} instead of {execution['status']}"
    elif execution["status"] == "succeeded" and orjson.loads(replay.finish.payload) != execution["output"]:
        yield f"replay: {replay.finish.payload[:200]!r} instead of {str(execution['output'])[:200]}"


def _event(event: Json) -> HistoryEvent:
    return HistoryEvent(
        seq=event["seq"],
        at_ms=event["at_ms"],
        type=event["type"],
        state=event["state"],
        attempt=event["attempt"],
        worker_topic=event["worker"],
        start_kind=event["start_kind"],
        queue_ns=0,
        start_ns=0,
        run_ns=0,
        gap_ns=0,
        error_type=event["error_type"],
        error_message=event["error_message"],
        payload=b"" if event["payload"] is None else orjson.dumps(event["payload"]),
        branch=event["branch"],
        index=-1 if event["index"] is None else event["index"],
    )


def calls_in(path: Path) -> Counter[Call]:
    """How often each call was made, as the functions noted it."""
    found: Counter[Call] = Counter()
    for line in path.read_text("utf-8").splitlines():
        execution_id, state, item, attempt = json.loads(line)
        found[execution_id, state, item, attempt] += 1
    return found


def were_called(events: Iterable[Json], called: set[tuple[str, int]]) -> Iterator[str]:
    """Every task that returned was really called. `called`: states of this execution with their attempt."""
    for event in events:
        if event["type"] == "TaskSucceeded" and (event["state"], event["attempt"]) not in called:
            yield f"event {event['seq']}: {event['state']!r} returned, but no function was called"
