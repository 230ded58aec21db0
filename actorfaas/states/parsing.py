"""Definitions to machines: reads the whole States Language once, compiling every expression.

`parse` gives the machine and raises with every problem; `states.validate` only asks for the problems. Features that
who runs executions has not are problems that say so; they are never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import orjson

from actorfaas.errors import DeployError
from actorfaas.states.choices import compile_rule
from actorfaas.states.data_flow import Flow, Frame, PathFlow, QueryFlow
from actorfaas.states.definition import (
    Definition,
    check_target,
    has_assign,
    nullable_path,
    read_catch,
    read_flow,
    read_next,
    read_retry,
)
from actorfaas.states.document import Document
from actorfaas.states.errors import ExpressionError
from actorfaas.states.graph import graph_problems
from actorfaas.states.model import Choice, ChoiceRule, Fail, Pass, State, StateMachine, Succeed, Task, Wait
from actorfaas.states.parsing_maps import read_map, read_parallel
from actorfaas.states.paths import Path
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.reading import Fields, Problem
from actorfaas.states.resources import Resource, function_of, machine_of, parse_resource
from actorfaas.states.scope import Json
from actorfaas.states.settings import MAX_SECONDS, Moment, Number, Text
from actorfaas.states.templates import Field
from actorfaas.states.timestamps import parse_timestamp

MAX_NAME_LENGTH = 80
MAX_NESTING = 50
"""How deep Parallel and Map states may be inside each other."""

STORES = frozenset({"item readers", "result writers"})
"""Features that need the object store of a node."""


def parse(
    definition: bytes,
    functions: Collection[str] | None = None,
    *,
    refused: Collection[str] = (),
    is_express: bool = False,
) -> StateMachine:
    """The machine that a definition (JSON) describes.

    `functions`: what its tasks may call (None: anything). `refused`: features that are problems. `is_express`: it is
    for express executions, which cannot wait for others. Raises DeployError naming every problem.
    """
    machine, problems = read(definition, functions, refused=refused, is_express=is_express)
    if machine is None or problems:
        raise DeployError("; ".join(str(problem) for problem in problems))
    return machine


def read(
    definition: bytes,
    functions: Collection[str] | None = None,
    *,
    refused: Collection[str] = (),
    is_express: bool = False,
) -> tuple[StateMachine | None, list[Problem]]:
    """The machine and every problem; the machine is of use only where there are none."""
    try:
        document: Json = orjson.loads(definition)
    except orjson.JSONDecodeError as error:
        return None, [Problem("", f"the definition is not JSON: {error}")]
    if not isinstance(document, dict):
        return None, [Problem("", "a definition is a JSON object")]
    problems: list[Problem] = []
    whole = Definition(functions, refused, is_express)
    fields = Fields(document, (), problems, "a state machine")
    whole.is_jsonata = fields.choice("QueryLanguage", ("JSONPath", "JSONata"), "JSONPath") == "JSONata"
    fields.is_jsonata = whole.is_jsonata
    fields.text("Version")
    machine = read_machine(whole, fields, timeout_s=fields.seconds("TimeoutSeconds"))
    if not problems:
        for place, one in whole.machines:
            problems += graph_problems(place, one)
    return machine, problems


def read_machine(whole: Definition, fields: Fields, timeout_s: float = 0.0) -> StateMachine:
    """A machine: the whole one, or one inside a Parallel or Map state."""
    start = fields.text("StartAt")
    states = fields.take("States")
    if not start:
        fields.wrong("StartAt must name the first state", "StartAt")
    if not isinstance(states, dict) or not states:
        fields.wrong("at least one state is needed", "States")
        states = {}
    elif start and start not in states:
        fields.wrong(f"there is no state {start!r}", "StartAt")
    fields.finish()
    whole.depth += 1
    found: dict[str, State] = {}
    for name, source in states.items():
        state = _state(whole, fields, name, source, states) if whole.depth <= MAX_NESTING else None
        if state is not None:
            found[name] = state
    if whole.depth > MAX_NESTING:
        fields.wrong(f"machines are nested deeper than {MAX_NESTING}")
    whole.depth -= 1
    machine = StateMachine(start, found, timeout_s)
    whole.machines.append((fields.place, machine))
    return machine


def _state(whole: Definition, parent: Fields, name: str, source: Json, states: Collection[str]) -> State | None:
    if not 0 < len(name) <= MAX_NAME_LENGTH:
        parent.wrong(f"a state's name has 1 to {MAX_NAME_LENGTH} characters", "States", name)
    fields = parent.part(source, "a state", "States", name)
    if fields is None:
        return None
    kind = fields.take("Type")
    if not isinstance(kind, str) or kind not in _KINDS:
        fields.wrong(f"Type must be one of {', '.join(_KINDS)}, not {kind!r}", "Type")
        return None
    fields.what = f"a {kind} state"
    default = "JSONata" if whole.is_jsonata else "JSONPath"
    language = fields.choice("QueryLanguage", ("JSONPath", "JSONata"), default)
    if whole.is_jsonata and language == "JSONPath":
        fields.wrong("QueryLanguage cannot be JSONPath where the whole machine's is JSONata", "QueryLanguage")
    fields.is_jsonata = language == "JSONata"
    state = _KINDS[kind](whole, fields, name, states)
    fields.finish()
    return state


def _task(whole: Definition, fields: Fields, name: str, states: Collection[str]) -> Task:
    resource = _resource(whole, fields)
    timeout = fields.setting("TimeoutSeconds", 1, MAX_SECONDS)
    heartbeat = fields.setting("HeartbeatSeconds", 1, MAX_SECONDS)
    if timeout and heartbeat and (heartbeat.constant or 0) >= (timeout.constant or MAX_SECONDS + 1):
        fields.wrong("HeartbeatSeconds must be less than TimeoutSeconds", "HeartbeatSeconds")
    fields.take("Credentials")  # a role of another account: nothing here has accounts
    has_retry = "Retry" in fields.source
    retry = read_retry(fields)
    return Task(
        name=name,
        function=resource.name if resource.kind in ("function", "invoke") else resource.stand_in,
        resource=resource,
        timeout_s=(timeout and timeout.constant) or 0.0,
        heartbeat_s=(heartbeat and heartbeat.constant) or 0.0,
        retry=retry if has_retry else None,
        next=read_next(fields, states),
        flow=read_flow(fields, takes_parameters=True, has_result=True),
        catch=read_catch(fields, states),
        timeout=_evaluated(timeout),
        heartbeat=_evaluated(heartbeat),
        potential_next=_potential_next(fields, resource, states),
    )


def _potential_next(fields: Fields, resource: Resource, states: Collection[str]) -> tuple[str, ...]:
    """PotentialNext, which is this platform's own: the states that the task's function may have run next."""
    if not fields.has("PotentialNext"):
        return ()
    names = fields.take("PotentialNext")
    if resource.kind not in ("function", "invoke") or resource.pattern:
        fields.wrong("only a task that waits for what its function returns has PotentialNext", "PotentialNext")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        fields.wrong("PotentialNext must be a list of states, at least one", "PotentialNext")
        return ()
    for position, name in enumerate(names):
        if name not in states:
            fields.wrong(f"there is no state {name!r}", "PotentialNext", position)
    return tuple(dict.fromkeys(names))


def _evaluated(number: Number | None) -> Number | None:
    return None if number is None or number.constant is not None else number


def _resource(whole: Definition, fields: Fields) -> Resource:
    text = fields.text("Resource")
    nothing = Resource("function", "")
    if not text:
        if isinstance(fields.source.get("Resource", ""), str):
            fields.wrong("Resource must name a function", "Resource")
        return nothing
    resource = fields.compiled("Resource", lambda: parse_resource(text))
    if resource is None:
        return nothing
    if resource.kind == "invoke":
        resource = Resource("invoke", function_of(_named(fields, "lambda:invoke", "FunctionName")), resource.pattern)
    elif resource.kind == "start-execution":
        started = machine_of(_named(fields, "states:startExecution", "StateMachineArn"))
        resource = Resource("start-execution", started, resource.pattern)
    called = resource.stand_in or (resource.name if resource.kind in ("function", "invoke") else "")
    if whole.functions is not None and called and called not in whole.functions:
        fields.wrong(_missing(called, resource), "Resource")
    if whole.is_express and (resource.pattern or resource.kind == "activity"):
        fields.wrong(f"an express workflow cannot wait for {text!r}", "Resource")
    return resource


def _missing(function: str, resource: Resource) -> str:
    problem = f"this application has no function {function!r}"
    if resource.kind != "service":
        return problem
    return f"{problem}, which is called here in place of {resource.name}, with the state's effective input: deploy one"


def _named(fields: Fields, call: str, name: str) -> str:
    """The text of a parameter that a call cannot be without, "" where it must be evaluated."""
    field = "Arguments" if fields.is_jsonata else "Parameters"
    parameters = fields.source.get(field)
    if fields.is_jsonata and isinstance(parameters, str):
        return ""  # one expression for all of them
    if not isinstance(parameters, dict) or not {name, f"{name}.$"} & parameters.keys():
        fields.wrong(f"{call} needs a {name}", field)
        return ""
    value = parameters.get(name, "")
    if not isinstance(value, str):
        fields.wrong(f"{name} must be text", field, name)
        return ""
    return "" if fields.is_jsonata and value.startswith("{%") else value


def _pass(whole: Definition, fields: Fields, name: str, states: Collection[str]) -> Pass:
    result = None
    if not fields.is_jsonata and fields.has("Result"):
        result = Document.of(fields.source["Result"])
    return Pass(name, result, read_next(fields, states), read_flow(fields, takes_parameters=not fields.is_jsonata))


def _choice(whole: Definition, fields: Fields, name: str, states: Collection[str]) -> Choice:
    default = fields.text("Default")
    if default:
        check_target(fields, "Default", default, states)
    names = () if fields.is_jsonata else ("InputPath", "OutputPath")
    paths = {path: nullable_path(fields, path) for path in names}
    rules = [
        rule
        for position, part in enumerate(fields.objects("Choices", "a choice rule"))
        if (rule := _rule(part, position, states, paths))
    ]
    if not fields.source.get("Choices"):
        fields.wrong("a Choice state needs Choices, at least one", "Choices")
    return Choice(name, tuple(rules), default, read_flow(fields))


def _rule(part: Fields, position: int, states: Collection[str], paths: dict[str, Path | None]) -> ChoiceRule | None:
    following = part.text("Next")
    if not following:
        part.wrong("a choice rule needs Next")
    else:
        check_target(part, "Next", following, states)
    if part.is_jsonata:
        return _query_rule(part, position, following)
    flow = PathFlow(
        input_path=paths["InputPath"],
        output_path=paths["OutputPath"],
        assign=part.template("Assign") if has_assign(part) else None,
    )
    try:
        rule = compile_rule(part.source)
    except ExpressionError as error:
        part.wrong(str(error))
        return None
    return ChoiceRule(lambda frame, chosen: rule(frame.paths(chosen)), flow, following)


def _query_rule(part: Fields, position: int, following: str) -> ChoiceRule | None:
    place = f"Choices[{position}]/"
    if not part.is_query("Condition") and not isinstance(part.source.get("Condition"), bool):
        part.wrong("Condition must be a JSONata expression, true or false", "Condition")
    condition = part.query_template("Condition", f"{place}Condition")
    flow = QueryFlow(
        output=part.query_template("Output", f"{place}Output"),
        assign=part.query_template("Assign", f"{place}Assign") if has_assign(part) else None,
    )
    part.finish()
    return None if condition is None else ChoiceRule(_holds(condition), flow, following)


def _holds(condition: QueryTemplate) -> Callable[[Frame, Json], bool]:
    return lambda frame, chosen: bool(condition.evaluate(frame.queries(), "boolean"))


def _wait(whole: Definition, fields: Fields, name: str, states: Collection[str]) -> Wait:
    duration = fields.setting("Seconds", 0, MAX_SECONDS)
    moment = _moment(fields)
    given = {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} & fields.source.keys()
    if len(given) != 1:
        fields.wrong("a Wait state needs one of Seconds, SecondsPath, Timestamp and TimestampPath")
    return Wait(
        name=name,
        seconds=(duration and duration.constant) or 0.0,
        next=read_next(fields, states),
        flow=read_flow(fields),
        duration=_evaluated(duration),
        moment=moment,
    )


def _moment(fields: Fields) -> Moment | None:
    if fields.is_query("Timestamp"):
        query = fields.query_template("Timestamp")
        return None if query is None else Moment(query)
    if fields.has("Timestamp"):
        at_ns = parse_timestamp(fields.text("Timestamp"))
        if at_ns is None:
            fields.wrong("Timestamp must be an RFC 3339 timestamp, as 2026-01-01T00:00:00Z", "Timestamp")
        return Moment(at_ns or 0)
    if not fields.is_jsonata and fields.has("TimestampPath"):
        path = fields.path("TimestampPath")
        return None if path is None else Moment(path)
    return None


def _succeed(whole: Definition, fields: Fields, name: str, states: Collection[str]) -> Succeed:
    flow: Flow = QueryFlow(output=fields.query_template("Output"))
    if not fields.is_jsonata:
        flow = PathFlow(input_path=nullable_path(fields, "InputPath"), output_path=nullable_path(fields, "OutputPath"))
    return Succeed(name, flow)


def _fail(whole: Definition, fields: Fields, name: str, states: Collection[str]) -> Fail:
    return Fail(name, _fail_text(fields, "Error"), _fail_text(fields, "Cause"))


def _fail_text(fields: Fields, name: str) -> Text:
    if fields.is_query(name):
        return Text(name, fields.query_template(name) or "")
    path = f"{name}Path"
    if not fields.is_jsonata and fields.has(path):
        if name in fields.source:
            fields.wrong(f"{name} and {path} exclude each other", path)
        text = fields.text(path)
        return Text(path, fields.compiled(path, lambda: Field(path, text)) or "")
    return Text(name, fields.text(name))


_KINDS: dict[str, Callable[[Definition, Fields, str, Collection[str]], State]] = {
    "Task": _task,
    "Pass": _pass,
    "Choice": _choice,
    "Wait": _wait,
    "Succeed": _succeed,
    "Fail": _fail,
    "Parallel": lambda whole, fields, name, states: read_parallel(whole, fields, name, states, read_machine),
    "Map": lambda whole, fields, name, states: read_map(whole, fields, name, states, read_machine),
}
