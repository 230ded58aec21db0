"""What a task's effective parameters ask for where they say it: which function or workflow, with which input.

Owns how `lambda:invoke` and `states:startExecution` are written. (https://docs.aws.amazon.com/step-functions/latest/dg/
connect-lambda.html, connect-stepfunctions.html)
"""

from __future__ import annotations

from dataclasses import dataclass

from actorfaas.states.document import Document
from actorfaas.states.errors import STATES_RUNTIME, StatesError
from actorfaas.states.resources import function_of, machine_of
from actorfaas.states.scope import Json

INVOKED_LATER = Document(b'{"Payload":"","StatusCode":202}')
"""The result of an invocation of the type Event."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What parameters ask for. `function`: call it and wait; `starts`: begin an execution of this function or workflow,
    which is to be called `name` (""; as it comes); one of them is ""."""

    function: str
    starts: str
    document: Document
    name: str = ""


def invocation(parameters: Json) -> Asked:
    """What `lambda:invoke` asks for. Raises StatesError."""
    name = _text(parameters, "FunctionName", "lambda:invoke")
    kind = parameters.get("InvocationType", "RequestResponse")
    function, document = function_of(name), _input(parameters.get("Payload"))
    if kind == "Event":
        return Asked("", function, document)
    if kind != "RequestResponse":
        raise StatesError(STATES_RUNTIME, "lambda:invoke has an InvocationType that is not RequestResponse or Event")
    return Asked(function, "", document)


def execution_start(parameters: Json) -> Asked:
    """What `states:startExecution` asks for. Raises StatesError."""
    name = _text(parameters, "StateMachineArn", "states:startExecution")
    execution_name = "" if parameters.get("Name") is None else _text(parameters, "Name", "states:startExecution")
    return Asked("", machine_of(name), _input(parameters.get("Input")), execution_name)


def _text(parameters: Json, name: str, call: str) -> str:
    value = parameters.get(name) if isinstance(parameters, dict) else None
    if not isinstance(value, str) or not value:
        raise StatesError(STATES_RUNTIME, f"The parameters of {call} have no {name} that is text")
    return value


def _input(payload: Json) -> Document:
    """What is called with a payload gets: null is {}, text that is JSON is taken for it."""
    if payload is None:
        return Document.of({})
    if isinstance(payload, str):
        document = Document(payload.encode(errors="replace"))
        try:
            document.value  # noqa: B018  # whether it is JSON
        except StatesError:
            return Document.of(payload)
        return document
    return Document.of(payload)
