"""A very small interpreter of definitions, for testing expressions by what they do in a state.

It runs Pass, Choice, Wait (without waiting), Succeed, Fail and inline Map states, one after the other; anything else
raises NotHere. It is no model of the engine: no retries, no catchers, no limits.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from actorfaas.states import context as contexts
from actorfaas.states.choices import compile_rule
from actorfaas.states.errors import STATES_NO_CHOICE_MATCHED, STATES_QUERY_EVALUATION, STATES_RUNTIME, StatesError
from actorfaas.states.paths import Path, refer, result_path, select
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.scope import Outside, QueryScope, Scope, states_object
from actorfaas.states.templates import Field, Template
from actorfaas.states.timestamps import parse_timestamp

Json = Any  # a decoded JSON value of any shape

NOW_MS = 1_736_937_000_000


class NotHere(Exception):
    """The definition needs more than expressions."""


def outside(seed: int = 1) -> Outside:
    """Time and chance that are the same in every test."""
    chance = random.Random(seed)
    return Outside(NOW_MS, chance.random, lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4)))


@dataclass
class Machine:
    """One run of a definition."""

    context: dict[str, Json]
    language: str = "JSONPath"
    variables: dict[str, Json] = field(default_factory=dict)
    outside: Outside = field(default_factory=outside)

    def run(self, definition: Json, document: Json) -> Json:
        """The output. Raises StatesError."""
        if "TimeoutSeconds" in definition:
            raise NotHere("TimeoutSeconds")
        self.language = definition.get("QueryLanguage", self.language)
        name: str | None = definition["StartAt"]
        while name is not None:
            document, name = self.step(name, definition["States"][name], document)
        return document

    def step(self, name: str, state: Json, document: Json) -> tuple[Json, str | None]:
        """The output of one state, and the state after it."""
        context = contexts.state_context(self.context, state=name, entered_ms=NOW_MS)
        language = state.get("QueryLanguage", self.language)
        run = self._jsonata if language == "JSONata" else self._jsonpath
        try:
            return run(state, document, context)
        except StatesError as error:
            is_placed = state["Type"] == "Fail" or error.cause.startswith("An error occurred")
            raise error if is_placed else error.in_state(name, 2) from None

    def _scope(self, document: Json, context: Json) -> Scope:
        return Scope(document, context, self.variables, self.outside)

    def _jsonpath(self, state: Json, document: Json, context: Json) -> tuple[Json, str | None]:
        effective = select(_path(state, "InputPath"), self._scope(document, context))
        if "Parameters" in state and state["Type"] != "Map":
            effective = Template(state["Parameters"]).fill(self._scope(effective, context))
        scope = self._scope(effective, context)
        following, result, assign = state.get("Next"), effective, state.get("Assign")
        match state["Type"]:
            case "Pass":
                result = state.get("Result", effective)
            case "Choice":
                chosen = next((rule for rule in state["Choices"] if compile_rule(rule)(scope)), None)
                following = self._choose(state, chosen)
                assign = (chosen or state).get("Assign")
            case "Wait":
                self._check_wait(state, scope)
            case "Succeed":
                pass
            case "Fail":
                raise StatesError(*(_fail_text(state, name, scope) for name in ("Error", "Cause")))
            case "Map":
                result = self._map_items(state, self._items(state, scope), effective, context)
            case other:
                raise NotHere(other)
        before = dict(self.variables)
        if assign:
            self.variables = {**before, **Template(assign).fill(self._scope(result, context))}
        target = state.get("ResultPath", "$")
        output = document if target is None else result_path(target).insert(document, result)
        return select(_path(state, "OutputPath"), Scope(output, context, before, self.outside)), following

    def _items(self, state: Json, scope: Scope) -> Json:
        return Path(state.get("ItemsPath", "$")).find(scope)

    def _map_items(self, state: Json, items: Json, document: Json, context: Json) -> Json:
        processor = state.get("ItemProcessor", state.get("Iterator"))
        if processor.get("ProcessorConfig", {}).get("Mode", "INLINE") != "INLINE" or {"Catch", "Retry"} & state.keys():
            raise NotHere("Map")
        outputs = []
        for index, item in enumerate(items):
            inner = contexts.item_context(context, index, item)
            chosen = self._item(state, item, document, inner)
            outputs.append(Machine(context, self.language, dict(self.variables), self.outside).run(processor, chosen))
        return outputs

    def _item(self, state: Json, item: Json, document: Json, context: Json) -> Json:
        selector = state.get("ItemSelector", state.get("Parameters"))
        if selector is None:
            return item
        if state.get("QueryLanguage", self.language) == "JSONata":
            scope = QueryScope(states_object(document, context), self.variables, self.outside)
            return QueryTemplate(selector, "ItemSelector").evaluate(scope)
        return Template(selector).fill(self._scope(document, context))

    def _jsonata(self, state: Json, document: Json, context: Json) -> tuple[Json, str | None]:
        following = state.get("Next")
        chosen = state
        states = states_object(document, context)
        match state["Type"]:
            case "Pass" | "Succeed":
                pass
            case "Choice":
                scope = QueryScope(states, self.variables, self.outside)
                rules = enumerate(state["Choices"])
                found = (rule for n, rule in rules if _template(rule, "Condition", f"Choices[{n}]/").evaluate(scope))
                chosen = next(found, state)
                following = self._choose(state, None if chosen is state else chosen)
            case "Wait":
                self._check_jsonata_wait(state, QueryScope(states, self.variables, self.outside))
            case "Fail":
                scope = QueryScope(states, self.variables, self.outside)
                texts = (_template(state, name).evaluate(scope) if name in state else "" for name in ("Error", "Cause"))
                raise StatesError(*texts)
            case "Map":
                scope = QueryScope(states, self.variables, self.outside)
                items = _template(state, "Items").evaluate(scope, "array") if "Items" in state else document
                states = states_object(document, context, result=self._map_items(state, items, document, context))
            case other:
                raise NotHere(other)
        scope = QueryScope(states, self.variables, self.outside)
        output = states.get("result", document)
        if "Output" in chosen:
            output = _template(chosen, "Output").evaluate(scope)
        if "Assign" in chosen:
            self.variables = {**self.variables, **_template(chosen, "Assign").evaluate(scope)}
        return output, following

    @staticmethod
    def _choose(state: Json, chosen: Json) -> str:
        following: str | None = chosen["Next"] if chosen else state.get("Default")
        if following is None:
            raise StatesError(STATES_NO_CHOICE_MATCHED, "")
        return following

    @staticmethod
    def _check_wait(state: Json, scope: Scope) -> None:
        for name in ("SecondsPath", "TimestampPath"):
            if name in state:
                refer(Path(state[name]), scope, name)
        if "Timestamp" in state and parse_timestamp(state["Timestamp"]) is None:
            raise StatesError(STATES_RUNTIME, "no timestamp")

    @staticmethod
    def _check_jsonata_wait(state: Json, scope: QueryScope) -> None:
        if "Timestamp" in state:
            text = _template(state, "Timestamp").evaluate(scope, "string")
            if parse_timestamp(text) is None:
                what = "cannot be parsed as an ISO-8601 extended offset date-time format string"
                raise StatesError(STATES_QUERY_EVALUATION, f"The Timestamp field {what}: {text}")


def _path(state: Json, name: str) -> Path | None:
    text = state.get(name, "$")
    return None if text is None else Path(text)


def _template(fields: Json, name: str, place: str = "") -> QueryTemplate:
    return QueryTemplate(fields[name], place + name)


def _fail_text(state: Json, name: str, scope: Scope) -> str:
    path = state.get(f"{name}Path")
    return str(Field(f"{name}Path", path).fill(scope)) if path else str(state.get(name, ""))
