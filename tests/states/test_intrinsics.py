"""Intrinsic functions: the specification's examples, Step Functions' limits, and how calls are written."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from actorfaas.states.errors import STATES_INTRINSIC_FAILURE, ExpressionError, StatesError
from actorfaas.states.functions import FUNCTIONS
from actorfaas.states.intrinsics import MAX_NESTING, parse_call
from actorfaas.states.paths import NoMatch
from actorfaas.states.scope import Scope
from tests.states.expressions_kit import outside

Json = Any  # a decoded JSON value of any shape

INPUT: Json = {
    "name": "Arnav",
    "n": 3,
    "half": 2.5,
    "list": [1, 2, 3, 3, 1.0, True, None, "1", {"a": [1]}, {"a": [1]}],
    "json": '{"a": [1, null]}',
    "object": {"a": {"a1": 1, "a2": 2}, "b": 2},
    "other": {"a": {"a3": 1}, "c": 3},
    "template": r"\{{}\} and {}",
    "bell": "a\ud800",
}


def call(text: str, document: Json = INPUT) -> Json:
    return parse_call(text).find(Scope(document, {"Execution": {"Name": "run"}}, {"v": [7, 8]}, outside()))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("States.Format('Hello, my name is {}.', $.name)", "Hello, my name is Arnav."),
        ("States.Format('{}{} {}', 'a', 1, null)", "a1 null"),
        (r"States.Format('\{\} \\ \' {}', true)", r"{} \ ' true"),
        ("States.Format('{} {}', $.object, $v)", "{a={a1=1, a2=2}, b=2} [7, 8]"),
        ("States.Format($.template, 'x', 1.5)", "{x} and 1.5"),
        ("States.Format('none')", "none"),
        ("States.Format('a { b }')", "a { b }"),
        ("States.StringToJson($.json)", {"a": [1, None]}),
        ("States.StringToJson(' ')", None),
        ("States.JsonToString($.object)", '{"a":{"a1":1,"a2":2},"b":2}'),
        ("States.JsonToString('ü\\\\')", '"ü\\\\"'),
        ("States.Array()", []),
        ("States.Array(1, 'two', $.n, -1.5e1, States.Array(null))", [1, "two", 3, -15.0, [None]]),
        ("States.ArrayPartition($.list, 4)", [INPUT["list"][:4], INPUT["list"][4:8], INPUT["list"][8:]]),
        ("States.ArrayPartition($v, 1.4)", [[7], [8]]),
        ("States.ArrayContains($.list, $.object)", False),
        ("States.ArrayContains($.list, $.list[8])", True),
        ("States.ArrayContains($.list, false)", False),
        ("States.ArrayContains(States.Array(1), true)", False),
        ("States.ArrayContains(States.Array(null), null)", True),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(3, 0, -1)", [3, 2, 1, 0]),
        ("States.ArrayRange(1, 3, -1)", []),
        ("States.ArrayRange(0.6, 2.5, 1)", [1, 2, 3]),
        ("States.ArrayRange(1, 1000, 1)", list(range(1, 1001))),
        ("States.ArrayGetItem($v, 1)", 8),
        ("States.ArrayLength($.list)", 10),
        ("States.ArrayUnique($.list)", [1, 2, 3, 1.0, True, None, "1", {"a": [1]}]),
        ("States.Base64Encode('Data to encode')", "RGF0YSB0byBlbmNvZGU="),
        ("States.Base64Decode('RGF0YSB0byBlbmNvZGU=')", "Data to encode"),
        ("States.Base64Decode('/w==')", "\ufffd"),
        ("States.Hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("States.JsonMerge($.object, $.other, false)", {"a": {"a3": 1}, "b": 2, "c": 3}),
        ("States.MathAdd(111, -1)", 110),
        ("States.MathAdd($.half, 0)", 3),
        ("States.MathAdd(-2.5, 0)", -2),
        ("States.MathAdd(1, 4.3)", 5),
        ("States.StringSplit('1,2,3,4,5', ',')", ["1", "2", "3", "4", "5"]),
        ("States.StringSplit('This.is+a,test', '.+,')", ["This", "is", "a", "test"]),
        ("States.StringSplit(',,a,,b]^-c', ',]^-')", ["a", "b", "c"]),
        ("States.StringSplit('abc', '')", ["abc"]),
        ("States.StringSplit('', ',')", []),
    ],
)
def test_what_the_functions_give(text: str, result: Json) -> None:
    found = call(text)
    assert found == result
    assert [type(one) for one in found] == [type(one) for one in result] if isinstance(result, list) else True


@pytest.mark.parametrize("name", ["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"])
def test_every_hash(name: str) -> None:
    digest = hashlib.new(name.replace("-", "").lower(), "größe".encode()).hexdigest()
    assert call(f"States.Hash('größe', '{name}')") == digest


def test_there_are_eighteen_functions() -> None:
    assert len(FUNCTIONS) == 18


@pytest.mark.parametrize(
    "text",
    [
        *("States.Format('{} {}', 1)", "States.Format('{}', 1, 2)", "States.Format($.n)"),
        *("States.StringToJson('{')", "States.StringToJson($.n)", "States.JsonToString($.bell)"),
        *("States.ArrayPartition($.list, 0)", "States.ArrayPartition($.name, 1)", "States.ArrayPartition($v, '1')"),
        *("States.ArrayContains($.name, 'A')", "States.ArrayContains($v, $.bell)", "States.ArrayLength($.object)"),
        *("States.ArrayRange(1, 9, 0)", "States.ArrayRange(1, 1001, 1)", "States.ArrayRange(0, 1e300, 1)"),
        *("States.ArrayRange(true, 9, 1)", "States.ArrayGetItem($v, 2)", "States.ArrayGetItem($v, -1)"),
        *("States.ArrayGetItem($.n, 0)", "States.ArrayUnique($.name)", "States.Base64Encode(1)"),
        *("States.Base64Decode('=')", "States.Base64Decode('ä')", "States.Hash('a', 'MD4')", "States.Hash(1, 'MD5')"),
        *("States.JsonMerge($.object, $.n, false)", "States.JsonMerge($.object, $.other, true)"),
        *("States.MathAdd('1', 2)", "States.MathAdd(9223372036854775807, 1)", "States.MathRandom(2, 2)"),
        *("States.StringSplit(1, ',')", "States.StringSplit('a', null)"),
    ],
)
def test_what_the_functions_refuse(text: str) -> None:
    with pytest.raises(StatesError) as caught:
        call(text)
    assert caught.value.error == STATES_INTRINSIC_FAILURE
    assert caught.value.cause.startswith(f"The function '{text}' had the following error: ")


@pytest.mark.parametrize(
    "text",
    [
        *("", "$.a", "States", "States.Format", "States.Format(", "States.Format('a'", "States.Nope()", "Format('a')"),
        *(
            "States.Format('a',)",
            "States.Format(,'a')",
            "States.Format('a' 'b')",
            "States.Format('a)",
            "States.Format()",
        ),
        *(
            "States.Format('a') x",
            "States.UUID(1)",
            "States.MathAdd(1)",
            "States.MathAdd(1, 2, 3)",
            "States.MathAdd(1, x)",
        ),
        *("States.Array([1])", "States.Array({})", 'States.Array("a")', "States.Array($.a[)", "States.Array(01)"),
        "States.Array(" * (MAX_NESTING + 1) + ")" * (MAX_NESTING + 1),
    ],
)
def test_what_is_no_call_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_call(text)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (" States.Array( 1 ,2 ) ", [1, 2]),
        ("States.Array($.list[?(@.a)], 'a, b) c')", [[{"a": [1]}, {"a": [1]}], "a, b) c"]),
        (r"States.Array('it\'s', '\\', '\n')", ["it's", "\\", r"\n"]),
        ("States.Array($$.Execution.Name, $v[0], $.list.length())", ["run", 7, 10]),
        ("States.Array($['name'],$.n)", ["Arnav", 3]),
        ("States.Array(" * MAX_NESTING + ")" * MAX_NESTING, None),
    ],
)
def test_how_calls_are_written(text: str, result: Json) -> None:
    found = call(text)
    assert result is None or found == result


def test_an_argument_that_is_not_there_is_no_failure_of_the_function() -> None:
    with pytest.raises(NoMatch):
        call("States.Array($.no)")


def test_the_whole_expression_is_named() -> None:
    with pytest.raises(StatesError, match=r"The function 'States\.Array\(States\.MathAdd\('x',1\)\)' had"):
        call("States.Array(States.MathAdd('x',1))")


def test_chance_comes_from_outside() -> None:
    scope = Scope(None, None, {}, outside())
    text = "States.MathRandom(1, 10)"
    numbers = [parse_call(text).find(scope) for _ in range(200)]
    assert set(numbers) == set(range(1, 10))
    assert [parse_call(text).find(scope) for _ in range(200)] != numbers
    assert call(text) == call(text)
    assert call("States.MathRandom(0, 1000, 5)") == call("States.MathRandom(0, 1000, 5)")
    assert call("States.UUID()") == call("States.UUID()")
    assert len(call("States.UUID()")) == 36
