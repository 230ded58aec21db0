"""`actorfaas.conditions`: places, comparisons, combinations, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from actorfaas import event
from actorfaas.conditions import Condition, condition_of
from actorfaas.errors import DeclarationError


class TestPlaces:
    @pytest.mark.parametrize(
        ("place", "path"),
        [
            (event, "$"),
            (event.order.total, "$.order.total"),
            (event["order"]["e-mail"], "$.order['e-mail']"),
            (event["it's"], "$['it\\'s']"),
            (event.lines[0].sku, "$.lines[0].sku"),
        ],
    )
    def test_paths(self, place: object, path: str) -> None:
        assert str(place) == path

    def test_it_has_no_value_while_the_workflow_is_declared(self) -> None:
        with pytest.raises(DeclarationError, match=r"event\.vip == True"):
            bool(event.vip)


class TestComparisons:
    @pytest.mark.parametrize(
        ("condition", "rule"),
        [
            (event.a == "x", {"Variable": "$.a", "StringEquals": "x"}),
            (event.a > 1, {"Variable": "$.a", "NumericGreaterThan": 1}),
            (event.a >= 1.5, {"Variable": "$.a", "NumericGreaterThanEquals": 1.5}),
            (event.a < 1, {"Variable": "$.a", "NumericLessThan": 1}),
            (event.a <= "m", {"Variable": "$.a", "StringLessThanEquals": "m"}),
            (event.a == True, {"Variable": "$.a", "BooleanEquals": True}),  # noqa: E712  # that is how it is written
            (event.a != 2, {"Not": {"Variable": "$.a", "NumericEquals": 2}}),
            (event.a == None, {"Variable": "$.a", "IsNull": True}),  # noqa: E711  # that is how it is written
            (event.a.exists(), {"Variable": "$.a", "IsPresent": True}),
            (event.a.is_null(), {"Variable": "$.a", "IsNull": True}),
            (event.a.is_string(), {"Variable": "$.a", "IsString": True}),
            (event.a.is_number(), {"Variable": "$.a", "IsNumeric": True}),
            (event.a.is_boolean(), {"Variable": "$.a", "IsBoolean": True}),
            (event.a.is_timestamp(), {"Variable": "$.a", "IsTimestamp": True}),
            (event.a.matches("b*"), {"Variable": "$.a", "StringMatches": "b*"}),
            (
                event.at > datetime(2026, 1, 2, tzinfo=UTC),
                {"Variable": "$.at", "TimestampGreaterThan": "2026-01-02T00:00:00Z"},
            ),
            (
                event.a < event.b,
                {
                    "Or": [
                        {"Variable": "$.a", "StringLessThanPath": "$.b"},
                        {"Variable": "$.a", "NumericLessThanPath": "$.b"},
                    ]
                },
            ),
        ],
    )
    def test_rules(self, condition: Condition, rule: dict[str, Any]) -> None:
        assert condition.rule == rule

    def test_combinations_stay_flat(self) -> None:
        a, b, c = (event.a == 1), (event.b == 2), (event.c == 3)
        assert (a & b & c).rule == {"And": [a.rule, b.rule, c.rule]}
        assert (a | b | ~c).rule == {"Or": [a.rule, b.rule, {"Not": c.rule}]}
        assert ((a | b) & c).rule == {"And": [{"Or": [a.rule, b.rule]}, c.rule]}

    def test_pythons_own_words_are_refused_with_advice(self) -> None:
        with pytest.raises(DeclarationError, match="combine with &"):
            _ = (event.a == 1) and (event.b == 2)
        with pytest.raises(DeclarationError, match="combine with &"):
            _ = 0 < event.a < 10
        with pytest.raises(DeclarationError, match="in brackets"):
            _ = (event.a == 1) & 2  # type: ignore[operator]  # that is the mistake

    @pytest.mark.parametrize(
        "compare",
        [lambda: event.a == [1], lambda: event.a > True, lambda: event.a > None, lambda: event.a == {"b": 1}],
    )
    def test_what_choice_rules_cannot_compare(self, compare: Any) -> None:
        with pytest.raises(DeclarationError, match="cannot compare"):
            compare()

    def test_a_time_without_a_zone(self) -> None:
        with pytest.raises(DeclarationError, match="names no time zone"):
            _ = event.at == datetime(2026, 1, 2)  # that is the mistake


class TestTexts:
    @pytest.mark.parametrize(
        ("parts", "rule"),
        [
            (("$.a", ">", 100), {"Variable": "$.a", "NumericGreaterThan": 100}),
            (("$.a", "!=", "x"), {"Not": {"Variable": "$.a", "StringEquals": "x"}}),
            (("$.a", "exists"), {"Variable": "$.a", "IsPresent": True}),
            (("$.a", "is null"), {"Variable": "$.a", "IsNull": True}),
            (("$.a", "matches", "x*"), {"Variable": "$.a", "StringMatches": "x*"}),
        ],
    )
    def test_rules(self, parts: tuple[Any, ...], rule: dict[str, Any]) -> None:
        made = condition_of(parts)
        assert isinstance(made, Condition)
        assert made.rule == rule

    def test_jsonata(self) -> None:
        assert condition_of(("$states.input.a > 1",)) == "{% $states.input.a > 1 %}"
        assert condition_of(("{% true %}",)) == "{% true %}"

    @pytest.mark.parametrize("parts", [(), ("",), (3,), ("$.a", "=~", 1), ("$.a", "is blue")])
    def test_refused(self, parts: tuple[Any, ...]) -> None:
        with pytest.raises(DeclarationError):
            condition_of(parts)
