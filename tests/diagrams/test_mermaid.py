"""Definitions as Mermaid text."""

from __future__ import annotations

from actorfaas.diagrams.mermaid import mermaid
from tests.states.machines_kit import definition, task


def test_a_flowchart() -> None:
    rules = [{"Variable": "$.x", "StringEquals": "y", "Next": "m"}]
    inner = definition(i=task(End=True))
    source = definition(
        a=task(Next="c", Catch=[{"ErrorEquals": ["E"], "Next": "bad"}]),
        c={"Type": "Choice", "Choices": rules, "Default": "bad"},
        m={"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": inner, "End": True},
        bad={"Type": "Fail"},
    )
    assert mermaid(source).splitlines() == [
        "flowchart TD",
        "    start1(( ))",
        '    s2["a: f"]',
        '    s3{"c"}',
        '    subgraph s4["Map m: each of $.l"]',
        '        subgraph b5[" "]',
        "            start6(( ))",
        '            s7["i: f"]',
        "            end8((( )))",
        "            start6 --> s7",
        "            s7 --> end8",
        "        end",
        "    end",
        '    s9(["bad"])',
        "    end10((( )))",
        "    start1 --> s2",
        "    s2 --> s3",
        '    s2 -.->|"E"| s9',
        '    s3 -->|"$.x = #quot;y#quot;"| s4',
        '    s3 -->|"otherwise"| s9',
        "    s4 --> end10",
    ]


def test_what_would_be_read_as_mermaid_is_not() -> None:
    text = mermaid(definition(**{'a"b<c>#`d`\n': task(End=True)}))
    assert '["a#quot;b#lt;c#gt;#35;#96;d#96; : f"]' in text
