"""Choice rules of JSONPath states, from the specification; StringMatches, Or and IsTimestamp above all."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from actorfaas.states.choices import OPERATORS, compile_rule
from actorfaas.states.errors import STATES_RUNTIME, ExpressionError, StatesError
from actorfaas.states.scope import Scope
from tests.states.expressions_kit import outside

Json = Any  # a decoded JSON value of any shape

EARLY, LATE = "2016-08-18T17:33:00Z", "2016-08-18T17:33:00.000000001Z"
VALUES: dict[str, Json] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "half": 0.5,
    "text": "text",
    "empty": "",
    "early": EARLY,
    "array": [],
    "object": {},
}
TYPES = {
    "IsNull": {"null"},
    "IsBoolean": {"true", "false"},
    "IsNumeric": {"zero", "one", "half"},
    "IsString": {"text", "empty", "early"},
    "IsTimestamp": {"early"},
    "IsPresent": set(VALUES),
}


def holds(rule: Json, document: Json = None, context: Json = None) -> bool:
    return compile_rule({**rule, "Next": "n"})(Scope(document, context, {"v": 1}, outside()))


def compare(operator: str, left: Json, right: Json) -> bool:
    """The operator with a constant; its Path variant must say the same."""
    found = holds({"Variable": "$.l", operator: right}, {"l": left})
    assert holds({"Variable": "$.l", operator + "Path": "$.r"}, {"l": left, "r": right}) is found
    return found


@pytest.mark.parametrize(("operator", "name"), list(itertools.product(TYPES, VALUES)))
def test_types(operator: str, name: str) -> None:
    expected = name in TYPES[operator]
    assert holds({"Variable": f"$.{name}", operator: True}, VALUES) is expected
    assert holds({"Variable": f"$.{name}", operator: False}, VALUES) is not expected


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("String", "a", "b"),
        ("String", "A", "a"),
        ("String", "", "a"),
        ("String", "a", "aa"),
        ("Numeric", -1, 0.5),
        ("Numeric", 1, 2),
        ("Timestamp", EARLY, LATE),
        ("Timestamp", "2016-08-18T17:33:00+01:00", EARLY),
        ("Timestamp", EARLY, "2016-08-18T17:33:00-00:30"),
    ],
)
def test_order(kind: str, low: Json, high: Json) -> None:
    expected = {
        "Equals": (False, False, True),
        "LessThan": (True, False, False),
        "LessThanEquals": (True, False, True),
        "GreaterThan": (False, True, False),
        "GreaterThanEquals": (False, True, True),
    }
    for relation, results in expected.items():
        operator = kind + relation
        assert (compare(operator, low, high), compare(operator, high, low), compare(operator, low, low)) == results


def test_equal_timestamps_may_be_written_differently() -> None:
    assert compare("TimestampEquals", "2016-08-18T18:33:00.0+01:00", EARLY)
    assert not compare("StringEquals", "2016-08-18T18:33:00.0+01:00", EARLY)


@pytest.mark.parametrize(
    ("operator", "constant"),
    [("StringEquals", "1"), ("NumericEquals", 1), ("BooleanEquals", True), ("TimestampLessThanEquals", LATE)],
)
def test_values_of_another_type_never_match(operator: str, constant: Json) -> None:
    others: list[Json] = [None, [], {}, [1], "x", 7, "1" if operator != "StringEquals" else 1]
    for value in others:
        assert not holds({"Variable": "$.l", operator: constant}, {"l": value})
        assert not holds({"Variable": "$.l", operator + "Path": "$.r"}, {"l": constant, "r": value})


def test_true_is_no_number() -> None:
    assert not compare("NumericEquals", True, 1)
    assert not holds({"Variable": "$.l", "BooleanEqualsPath": "$.r"}, {"l": True, "r": 1})
    assert compare("BooleanEquals", False, False)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("log-*.txt", ["log-.txt", "log-a.txt", "log-*.txt", "log-\n.txt"], ["log-a.txtx", "alog-.txt", "log.txt"]),
        ("*", ["", "anything"], []),
        ("", [""], ["a"]),
        ("*.log", [".log", "a.log", "a.log.log"], ["a.logs"]),
        ("a*b*c", ["abc", "aXbXc", "abcbc", "abbc"], ["acb", "ab", "ac"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("a*ab*b", ["aabb", "aabab"], ["aab", "ab"]),
        ("**a**", ["a", "bab"], ["b"]),
        (r"\*", ["*"], ["a", r"\*"]),
        (r"a\\*", ["a\\", r"a\b"], ["a", "a*"]),
        (r"a\\\*", [r"a\*"], ["a\\", r"a\b"]),
        (r"\a.[x]+", [r"\a.[x]+"], ["a.[x]+", "abx"]),
    ],
)
def test_wildcards(pattern: str, matching: list[str], others: list[str]) -> None:
    found = {text for text in [*matching, *others] if holds({"Variable": "$", "StringMatches": pattern}, text)}
    assert found == set(matching)


def test_wildcards_match_text_only_and_quickly() -> None:
    assert not holds({"Variable": "$", "StringMatches": "*"}, 1)
    assert not holds({"Variable": "$", "StringMatches": "*a" * 1_000 + "b"}, "a" * 100_000)


@pytest.mark.parametrize(("a", "b"), list(itertools.product([True, False], repeat=2)))
def test_combinations(a: bool, b: bool) -> None:
    rules = [{"Variable": "$.a", "BooleanEquals": True}, {"Variable": "$.b", "BooleanEquals": True}]
    document = {"a": a, "b": b}
    assert holds({"And": rules}, document) is (a and b)
    assert holds({"Or": rules}, document) is (a or b)
    assert holds({"Not": rules[0]}, document) is (not a)
    assert holds({"Not": {"Or": [{"Not": rules[0]}, {"And": rules}]}}, document) is (a and not b)


def test_a_combination_ends_as_soon_as_it_is_decided() -> None:
    guard: list[Json] = [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.a", "NumericEquals": 1}]
    assert not holds({"And": guard}, {})
    assert holds({"Or": [{"Not": guard[0]}, guard[1]]}, {})


@pytest.mark.parametrize("operator", ["IsNull", "StringMatches", "NumericEquals", "NumericEqualsPath"])
def test_what_is_not_there_is_an_error(operator: str) -> None:
    operand: Json = {"IsNull": True, "NumericEquals": 1}.get(operator, "$.there")
    with pytest.raises(StatesError) as caught:
        holds({"Variable": "$.no", operator: operand}, {"there": 1})
    cause = "Invalid path '$.no': The choice state's condition path references an invalid value."
    assert (caught.value.error, caught.value.cause) == (STATES_RUNTIME, cause)


def test_presence_of_what_is_not_there() -> None:
    assert holds({"Variable": "$.a.b[2]", "IsPresent": False}, {"a": {"b": []}})
    assert not holds({"Variable": "$.a.b[2]", "IsPresent": True}, {"a": {"b": []}})


def test_what_is_compared_with_must_be_there_too() -> None:
    with pytest.raises(StatesError, match=r"Invalid path '\$\.no'"):
        holds({"Variable": "$.a", "NumericEqualsPath": "$.no"}, {"a": 1})


def test_variables_and_the_context_can_be_compared() -> None:
    assert holds({"Variable": "$v", "NumericEqualsPath": "$$.Map.Item.Index"}, None, {"Map": {"Item": {"Index": 1}}})


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"Variable": "$"},
        {"IsNull": True},
        {"Variable": 1, "IsNull": True},
        {"Variable": "a", "IsNull": True},
        {"Variable": "$", "IsNull": "true"},
        {"Variable": "$", "IsNull": True, "IsString": True},
        {"Variable": "$", "Nope": True},
        {"Variable": "$", "BooleanLessThan": True},
        {"Variable": "$", "NumericEquals": "1"},
        {"Variable": "$", "NumericEquals": True},
        {"Variable": "$", "TimestampEquals": "today"},
        {"Variable": "$", "StringEqualsPath": "a"},
        {"Variable": "$", "StringEqualsPath": 1},
        {"Variable": "$", "StringMatches": 1},
        {"Variable": "$", "StringMatchesPath": "$.a"},
        {"And": []},
        {"Or": {}},
        {"And": [1]},
        {"Not": []},
        {"Not": {"Variable": "$", "IsNull": True, "Next": "x"}},
    ],
)
def test_what_is_no_rule_is_refused(rule: Json) -> None:
    with pytest.raises(ExpressionError):
        compile_rule(rule)


def test_a_rule_may_be_nested_too_deeply() -> None:
    rule: Json = {"Variable": "$", "IsNull": True}
    for _ in range(2_000):
        rule = {"Not": rule}
    with pytest.raises(ExpressionError, match="too deeply"):
        compile_rule(rule)


def test_every_operator_of_the_specification_is_known() -> None:
    assert len(OPERATORS) == 3 + 2 + 5 + 2 * (3 * 5 + 1)
