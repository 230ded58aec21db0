"""A definition as Mermaid text, which many editors and forges draw (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from actorfaas.diagrams.outline import END, START, Node, Outline, outline

Json = Any  # a decoded JSON document: a definition

_SHAPES = {"Choice": ("{", "}"), "Succeed": ("([", "])"), "Fail": ("([", "])")}
_ENTITIES = str.maketrans({"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "\n": " "})


def mermaid(definition: Mapping[str, Json]) -> str:
    """The flowchart of a valid definition."""
    return "\n".join(["flowchart TD", *_machine(outline(definition), count(1), "    ")]) + "\n"


def _machine(machine: Outline, numbers: Iterator[int], indent: str) -> Iterator[str]:
    names = {START: f"start{next(numbers)}"}
    yield f"{indent}{names[START]}(( ))"
    for node in machine.nodes:
        names[node.number] = f"s{next(numbers)}"
        yield from _state(names[node.number], node, numbers, indent)
    if machine.has_end:
        names[END] = f"end{next(numbers)}"
        yield f"{indent}{names[END]}((( )))"
    for link in machine.links:
        arrow = "-.->" if link.kind == "catch" else "-->"
        label = f"|{quoted(link.label)}|" if link.label else ""
        yield f"{indent}{names[link.origin]} {arrow}{label} {names[link.target]}"


def _state(key: str, node: Node, numbers: Iterator[int], indent: str) -> Iterator[str]:
    is_told = node.detail and node.detail != node.name
    text = f"{node.name}: {node.detail}" if is_told else node.name
    if not node.machines:
        opening, closing = _SHAPES.get(node.kind, ("[", "]"))
        yield f"{indent}{key}{opening}{quoted(text)}{closing}"
        return
    yield f"{indent}subgraph {key}[{quoted(f'{node.kind} {text}')}]"
    for machine in node.machines:
        yield f'{indent}    subgraph b{next(numbers)}[" "]'
        yield from _machine(machine, numbers, indent + "        ")
        yield f"{indent}    end"
    yield f"{indent}end"


def quoted(text: str) -> str:
    """Any text as Mermaid reads it back."""
    return f'"{text.translate(_ENTITIES)}"'
