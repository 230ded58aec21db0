"""`POST /v1/test-state`: one state tried out, as TestState of Step Functions does.

Owns the request, and calling the function of a state that is not mocked. What a state does with data is
`states.trial`'s business; it is computed in a process of its own, one trial at a time: an expression may not end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from actorfaas.errors import DeployError
from actorfaas.http.bodies import CallerGone
from actorfaas.http.calls import Call, now_ns
from actorfaas.http.directory import Directory
from actorfaas.http.exchange import json_object, json_response
from actorfaas.http.invoke import Invoker
from actorfaas.http.links import DATA_LAYER, Links, Office
from actorfaas.http.problems import Problem, from_failure
from actorfaas.ids import new_id
from actorfaas.messages import Deployments, InvocationFailed, InvocationResult, ListDeployments, Publish
from actorfaas.runtime.apart import MAX_MEMORY_BYTES, apart

if TYPE_CHECKING:
    from actorfaas.states.trial import Asked, Mock, Trial

Json = Any  # a decoded JSON document
Given = ParamSpec("Given")
Answer = TypeVar("Answer")

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_TRIALS = 32
"""Trials under way at once, each with a body of that size; more are refused with 503."""
LIMIT_S = 15.0
"""What a state may compute, the start of the process included. One expression gives up by itself after some seconds."""
LEVELS = ("INFO", "DEBUG", "TRACE")
NOT_RUN = frozenset({"queue_full", "overloaded", "no_topic", "cancelled", "stopping", "unavailable"})
"""Reasons of failed calls that say nothing of the function: they are the request's problems, not the state's errors."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be tried. `workflow` "": `definition` is given; `mock` None: the function is called."""

    workflow: str
    definition: bytes
    state: str
    payload: bytes
    mock: Mock | None
    level: str
    retries: int
    variables: dict[str, Json]
    context: Json


class TrialEndpoints:
    """Its method answers one operation of `http.surface`."""

    def __init__(self, office: Office, links: Links, directory: Directory, invoker: Invoker) -> None:
        self._links = links
        self._directory = directory
        self._invoker = invoker
        self._body_timeout_s = office.settings.body_timeout_s
        self._turn = asyncio.Lock()
        self._under_way = asyncio.Semaphore(MAX_TRIALS)

    async def test_state(self, request: Request) -> Response:
        """Try a state."""
        if self._under_way.locked():
            raise Problem("overloaded", f"{MAX_TRIALS} states are being tried already")
        async with self._under_way:
            return await self._links.unless_stopping(self._answer(request), "try a state")

    async def _answer(self, request: Request) -> Response:
        from actorfaas.states.trial import Mock, asked, try_state

        wanted = _wanted(await json_object(request, self._body_timeout_s, MAX_BODY_BYTES))
        if wanted.workflow:
            wanted = replace(wanted, definition=await self._definition(wanted.workflow))
        outcome: InvocationResult | InvocationFailed | None = None
        mock = wanted.mock
        given: dict[str, Json] = {"state": wanted.state, "variables": wanted.variables, "context": wanted.context}
        if mock is None:
            task = await self._computed(asked, wanted.definition, wanted.payload, retries=wanted.retries, **given)
            if task is not None:
                outcome = await self._call(request, task)
                mock = _mock_of(outcome, wanted.retries)
        mock = mock or Mock(retries=wanted.retries)
        trial = await self._computed(try_state, wanted.definition, wanted.payload, mock=mock, **given)
        return json_response(_rendered(trial, wanted.level, outcome))

    async def _computed(self, work: Callable[Given, Answer], *args: Given.args, **kwargs: Given.kwargs) -> Answer:
        async with self._turn:
            try:
                return await apart(LIMIT_S, work, *args, **kwargs)
            except DeployError as error:
                raise Problem("invalid", str(error)) from None
            except TimeoutError:
                detail = f"the state was still computing after {LIMIT_S:g} s; does an expression of it ever end?"
                raise Problem("timeout", detail) from None
            except MemoryError:
                detail = f"computing the state takes more than {MAX_MEMORY_BYTES >> 20} MiB of memory"
                raise Problem("invalid", detail) from None

    async def _definition(self, name: str) -> bytes:
        found = await self._links.ask(DATA_LAYER, ListDeployments(app="", active_only=True), Deployments)
        for record in found.deployments:
            for spec in record.workflows:
                if spec.name == name:
                    return spec.definition
        raise Problem("not_found", f"no workflow is called {name!r}; GET /v1/workflows lists them")

    async def _call(self, request: Request, asked: Asked) -> InvocationResult | InvocationFailed:
        """Call the function as any call, once; its own retries are not the state's."""
        target = self._directory.find(asked.function)
        if target.is_workflow:
            raise Problem("invalid", f"{asked.function} is a workflow; a Task state calls functions")
        if self._invoker.is_stopping:
            raise Problem("stopping", "the node is stopping")
        limit_s = min(asked.timeout_s or target.timeout_s, target.timeout_s)
        sent_ns = now_ns()
        publish = Publish(
            topic=target.topics[target.route.strategy],
            request_id=new_id("req"),
            deadline_ns=sent_ns + int(limit_s * 1e9),
            max_attempts=1,
            retry_delay_ns=0,
            stream=False,
            traceparent="",
            payload=asked.payload,
        )
        call = Call(publish.request_id, publish.deadline_ns, sent_ns, request.receive)
        outcome = await self._invoker.outcome(call, publish)
        if outcome is None:
            raise CallerGone
        if isinstance(outcome, Problem):
            raise outcome
        if isinstance(outcome, InvocationFailed) and outcome.reason in NOT_RUN:
            raise from_failure(outcome, asked.function, with_traceback=False)
        return outcome


_FIELDS: dict[str, tuple[type, ...]] = {
    "workflow": (str,),
    "definition": (dict,),
    "state": (str,),
    "mock": (dict,),
    "inspection_level": (str,),
    "variables": (dict,),
    "retries": (int,),
    "failed_iterations": (int,),
    "items": (str,),
}
_NAMES = {str: "text", dict: "an object", int: "a whole number"}
_FREE = frozenset({"input", "context"})


def _wanted(document: dict[str, Json]) -> _Wanted:
    """A request's body, checked. Raises Problem "invalid"."""
    for name, value in document.items():
        if name not in _FIELDS and name not in _FREE:
            raise Problem("invalid", f"there is no field {name!r}; there are {', '.join(sorted({*_FIELDS, *_FREE}))}")
        kinds = _FIELDS.get(name)
        if kinds and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise Problem("invalid", f"{name} must be {_NAMES[kinds[0]]}")
    if ("definition" in document) == ("workflow" in document):
        raise Problem("invalid", "give either a definition or the name of a deployed workflow")
    if "workflow" in document and not document.get("state"):
        raise Problem("invalid", "give the state of the workflow that is to be tried")
    level = document.get("inspection_level", "INFO")
    if level not in LEVELS:
        raise Problem("invalid", f"inspection_level must be one of {', '.join(LEVELS)}, not {level!r}")
    retries, failed = document.get("retries", 0), document.get("failed_iterations", 0)
    if retries < 0 or failed < 0:
        raise Problem("invalid", "retries and failed_iterations count from 0")
    for name in ("variables", "context"):
        _text(document.get(name), f"the {name}")  # or the process that computes could not be given it
    return _Wanted(
        workflow=document.get("workflow", ""),
        definition=_text(document.get("definition"), "the definition"),
        state=document.get("state", ""),
        payload=_text(document.get("input", {}), "the input"),
        mock=_mock(document, retries, failed),
        level=level,
        retries=retries,
        variables=document.get("variables", {}),
        context=document.get("context"),
    )


def _text(value: Json, what: str) -> bytes:
    """A value as JSON; what was nested in a body is more than can be written. Raises Problem "invalid"."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise Problem("invalid", f"{what} cannot be written as JSON: {error}") from None


def _mock(document: dict[str, Json], retries: int, failed: int) -> Mock | None:
    """What the state's work is to give; None: it is to be done."""
    from actorfaas.states.trial import Mock

    if "mock" not in document:
        return None
    mock = document["mock"]
    unknown = mock.keys() - {"result", "error", "cause"}
    texts = all(isinstance(mock.get(name, ""), str) for name in ("error", "cause"))
    if unknown or ("result" in mock) == ("error" in mock) or not texts or mock.get("error") == "":
        raise Problem("invalid", 'mock must be {"result": ANY} or {"error": "NAME", "cause": "TEXT"}')
    return Mock(
        result=_text(mock["result"], "the mock's result") if "result" in mock else None,
        error=mock.get("error", ""),
        cause=mock.get("cause", ""),
        failed_iterations=failed,
        items=document.get("items", "").encode(),
        retries=retries,
    )


def _mock_of(outcome: InvocationResult | InvocationFailed, retries: int) -> Mock:
    from actorfaas.core.execution import error_of
    from actorfaas.states.trial import Mock

    if isinstance(outcome, InvocationResult):
        return Mock(returned=outcome.payload, retries=retries)
    error, cause = error_of(outcome)
    return Mock(error=error, cause=cause, retries=retries)


def _rendered(trial: Trial, level: str, outcome: InvocationResult | InvocationFailed | None) -> dict[str, Json]:
    document: dict[str, Json] = {
        "status": trial.status,
        "output": None if trial.output is None else orjson.Fragment(trial.output),
        "error": trial.error,
        "cause": trial.cause,
        "next_state": trial.next,
    }
    if level != "INFO":
        document["inspection"] = orjson.Fragment(_text(trial.inspection, "the inspection"))
    if level == "TRACE" and outcome is not None:
        document["call"] = {
            "request_id": outcome.request_id,
            "worker": outcome.worker_topic,
            "start_kind": outcome.start_kind,
            "queue_ms": round(outcome.queue_ns / 1e6, 3),
            "start_ms": round(outcome.start_ns / 1e6, 3),
            "run_ms": round(outcome.run_ns / 1e6, 3),
        }
    return document
