"""What a picture of a definition shows: the states of each machine, what leads where, and the words at both.

Owns the wording. Sizes and places are left to `diagrams.layout`, drawing to `diagrams.svg` and `diagrams.mermaid`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = Any  # a decoded JSON document: a definition, or a part of one

START, END = 0, -1
"""The numbers of the two marks of a machine; its states are numbered from 1."""

LinkKind = Literal["next", "choice", "catch", "critical"]


@dataclass(frozen=True, slots=True)
class Node:
    """One state. `detail`: what it calls, waits for or fails with; `machines`: those it runs."""

    number: int
    name: str
    kind: str
    detail: str
    machines: tuple[Outline, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """What may follow what, by number; `label`: on which condition, or after which errors. "critical" stands out."""

    origin: int
    target: int
    label: str
    kind: LinkKind


@dataclass(frozen=True, slots=True)
class Outline:
    """One machine. Links of the same kind between the same states are one, with both labels."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]

    @property
    def has_start(self) -> bool:
        """Whether it is a machine; other graphs have no state to start at."""
        return any(link.origin == START for link in self.links)

    @property
    def has_end(self) -> bool:
        """Whether a state ends the machine by End: true."""
        return any(link.target == END for link in self.links)


def outline(machine: Mapping[str, Json]) -> Outline:
    """The outline of a valid machine: a whole definition, or one of a Parallel or Map state."""
    numbers = {name: number for number, name in enumerate(machine["States"], 1)}
    nodes = tuple(_node(number, name, machine["States"][name]) for name, number in numbers.items())
    labels: dict[tuple[int, int, LinkKind], list[str]] = {}
    for origin, target, label, kind in _links(machine):
        found = labels.setdefault((numbers.get(origin, START), numbers.get(target, END), kind), [])
        if label and label not in found:
            found.append(label)
    links = (Link(origin, target, " or ".join(texts), kind) for (origin, target, kind), texts in labels.items())
    return Outline(nodes, tuple(links))


def _node(number: int, name: str, state: Mapping[str, Json]) -> Node:
    inner = (*state.get("Branches", ()), *(state[key] for key in ("ItemProcessor", "Iterator") if key in state))
    return Node(number, name, state["Type"], detail(state), tuple(outline(machine) for machine in inner))


def _links(machine: Mapping[str, Json]) -> Iterator[tuple[str, str, str, LinkKind]]:
    """From, to, label, kind; "" is the start, or the end."""
    yield "", machine["StartAt"], "", "next"
    for name, state in machine["States"].items():
        for rule in state.get("Choices", ()):
            yield name, rule["Next"], condition(rule), "choice"
        if "Default" in state:
            yield name, state["Default"], "otherwise", "choice"
        if "Next" in state:
            yield name, state["Next"], "", "next"
        elif state.get("End"):
            yield name, "", "", "next"
        for catcher in state.get("Catch", ()):
            errors = ("any error" if error == "States.ALL" else error for error in catcher["ErrorEquals"])
            yield name, catcher["Next"], ", ".join(errors), "catch"


_SIGNS = (
    ("LessThanEquals", "≤"),
    ("GreaterThanEquals", "≥"),
    ("LessThan", "<"),
    ("GreaterThan", ">"),
    ("Equals", "="),
    ("Matches", "like"),
)
_TESTS = {"IsPresent": "is there", "IsNumeric": "is a number", "IsNull": "is null"}


def condition(rule: Mapping[str, Json]) -> str:
    """A choice rule as a person reads it: `$.total > 100 and $.vip is there`."""
    if "Condition" in rule:
        return expression(rule["Condition"])
    for operator in ("And", "Or"):
        if operator in rule:
            parts = (condition(part) for part in rule[operator])
            return f" {operator.lower()} ".join(f"({part})" if " or " in part else part for part in parts)
    if "Not" in rule:
        inner = condition(rule["Not"])
        return f"not ({inner})" if " and " in inner or " or " in inner else f"not {inner}"
    operator = next(name for name in rule if name.startswith("Is") or any(sign in name for sign, _ in _SIGNS))
    return _comparison(str(rule.get("Variable", "")), operator, rule[operator])


def _comparison(variable: str, operator: str, operand: Json) -> str:
    if operator.startswith("Is"):
        test = _TESTS.get(operator, f"is a {operator.removeprefix('Is').lower()}")
        return f"{variable} {test if operand else test.replace('is', 'is not', 1)}"
    sign = next(sign for name, sign in _SIGNS if name in operator)
    is_text = isinstance(operand, str) and not operator.endswith("Path")
    shown = f'"{operand}"' if is_text else str(operand).lower() if isinstance(operand, bool) else str(operand)
    return f"{variable} {sign} {shown}"


def expression(text: Json) -> str:
    """A JSONata expression without its brackets, or another value as it is."""
    if isinstance(text, bool):
        return str(text).lower()
    return str(text).strip().removeprefix("{%").removesuffix("%}").strip()


def detail(state: Mapping[str, Json]) -> str:
    """What a state does, in a few words, and how often it is tried again; "" where its type says it all."""
    said = {"Task": _called, "Map": _mapped, "Wait": _waited, "Fail": _failed}.get(state["Type"], _nothing)(state)
    attempts = sum(retrier.get("MaxAttempts", 3) for retrier in state.get("Retry", ()))
    retries = f"{attempts} {'retry' if attempts == 1 else 'retries'}" if attempts else ""
    return ", ".join(part for part in (said, retries) if part)


def _nothing(_: Mapping[str, Json]) -> str:
    return ""


def _called(state: Mapping[str, Json]) -> str:
    resource = str(state["Resource"])
    given = state.get("Arguments", state.get("Parameters"))
    if ":lambda:invoke" in resource and isinstance(given, dict):
        function = str(given.get("FunctionName", given.get("FunctionName.$", "")))
        waits = " and waits" if resource.endswith(".waitForTaskToken") else ""
        return expression(function).rsplit(":function:", 1)[-1] + waits
    if resource.startswith("arn:"):
        return resource.split(":function:")[-1] if ":function:" in resource else resource.split(":", 5)[-1]
    return resource


def _mapped(state: Mapping[str, Json]) -> str:
    if "ItemReader" in state:
        items = "the items of its reader"
    else:
        items = expression(state.get("Items", state.get("ItemsPath", "$")))
    at_once = state.get("MaxConcurrency", 0)
    limit = f", {at_once} at once" if isinstance(at_once, int) and at_once > 0 else ""
    return f"each of {items}{limit}"


def _waited(state: Mapping[str, Json]) -> str:
    for name in ("Seconds", "SecondsPath"):
        if name in state:
            return f"{expression(state[name])} s"
    return f"until {expression(state.get('Timestamp', state.get('TimestampPath', '')))}"


def _failed(state: Mapping[str, Json]) -> str:
    return expression(state.get("Error", state.get("ErrorPath", "")))
