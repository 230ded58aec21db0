"""JSONata in states: evaluation, AWS's functions, what is refused, and the errors' words."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from actorfaas.states import queries
from actorfaas.states.errors import STATES_QUERY_EVALUATION, ExpressionError, StatesError
from actorfaas.states.queries import QueryTemplate, is_query
from actorfaas.states.scope import QueryScope, states_object
from tests.states.expressions_kit import NOW_MS, outside

Json = Any  # a decoded JSON value of any shape

INPUT: Json = {
    "n": None,
    "zero": 0,
    "whole": 1.0,
    "list": [1, 2, 3],
    "one": [5],
    "nested": [[1]],
    "empty": [],
    "orders": [{"id": "a", "price": 10, "tags": ["x"]}, {"id": "b", "price": 20}],
    "a": {"b": {"and": 1, "c": "deep"}},
    "text": '{"a": [1, null]}',
}


def scope(**variables: Json) -> QueryScope:
    states = states_object(INPUT, {"State": {"Name": "s"}}, result={"code": 200})
    return QueryScope(states, variables, outside())


def evaluate(expression: str, expected: str = "", **variables: Json) -> Json:
    return QueryTemplate("{%" + expression + "%}", "Output").evaluate(scope(**variables), expected)


def failure(expression: str, expected: str = "") -> str:
    with pytest.raises(StatesError) as caught:
        evaluate(expression, expected)
    assert caught.value.error == STATES_QUERY_EVALUATION
    beginning = f"The JSONata expression '{expression.strip()}' specified for the field 'Output' "
    assert caught.value.cause.startswith(beginning)
    return caught.value.cause.removeprefix(beginning)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        (" $states.input.a.b.c ", "deep"),
        ("$states.result.code", 200),
        ("$states.context.State.Name", "s"),
        ("$states.input.n", None),
        ("$states.input.empty", []),
        ("$states.input.one", [5]),
        ("$states.input.nested", [[1]]),
        ("$states.input.list", [1, 2, 3]),
        ("$states.input.orders.price", [10, 20]),
        ("$states.input.orders.tags", ["x"]),
        ("$states.input.orders[price > 10].id", "b"),
        ("$states.input.orders[price > 10].id[]", ["b"]),
        ("$states.input.a.b.`and`", 1),
        ("$sum($states.input.orders.price)", 30),
        ("$v.x + 1", 4),
        ("$v", {"x": 3}),
        ("$none", None),
        ("$none = null", True),
        ("$states.input.n = null", True),
        ("[$states.input.n, 1]", [None, 1]),
        ('{"a": $states.input.n, "b": $states.input.no}', {"a": None}),
        ("$exists($states.input.no)", False),
        ("($x := 2; $x * $x)", 4),
        ("$y := 1", 1),
        ("[1..3]", [1, 2, 3]),
        ("6 / 4", 1.5),
        ("6 / 2", 3),
        ("($f := function($n) { $n = 0 ? 1 : $n * $f($n - 1) }; $f(21))", 5.109094217170944e19),
        ("'a' & null", "anull"),
        ("$states.input.orders ~> $map(function($o) { $o.id })", ["a", "b"]),
        ("$type($states)", "object"),
        ("$fromMillis(0)", "1970-01-01T00:00:00.000Z"),
        ("($f := function($n) { $n = 0 ? 'end' : $f($n - 1) }; $f(3000))", "end"),
    ],
)
def test_what_expressions_give(expression: str, result: Json) -> None:
    found = evaluate(expression, v={"x": 3}, none=None)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("$partition([1,2,3], 2)", [[1, 2], [3]]),
        ("$partition($states.input.one, 2)", [[5]]),
        ("$partition(7, 2)", [[7]]),
        ("$partition([1,2,3], 2.9)", [[1, 2], [3]]),
        ("$range(0, 9, 3)", [0, 3, 6, 9]),
        ("$range(-1.7, 1, 1)", [-1, 0, 1]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$range(5, 5, 1)", 5),
        ("$count($range(1, 2000, 1))", 2000),
        ("$hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("$parse($states.input.text)", {"a": [1, None]}),
        ("$parse($states.input.text).a[1] = null", True),
        ("$parse('-0')", 0),
        ("$random(5) = $random(5)", True),
        ("$millis()", NOW_MS),
        ("$pad('a', -3, '#')", "##a"),
        ("$pad('a', 3)", "a  "),
        ("$now()", "2025-01-15T10:30:00.000Z"),
        ("$now('[Y0001]')", "2025"),
        ("$sort($shuffle([1..9]))", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("$count($distinct([$uuid(), $uuid()]))", 2),
        ("$exists($partition($states.input.no, 2))", False),
    ],
)
def test_functions_that_states_add_or_change(expression: str, result: Json) -> None:
    assert evaluate(expression) == result


def test_chance_comes_from_outside() -> None:
    assert evaluate("[$random(), $uuid(), $shuffle([1..20])]") == evaluate("[$random(), $uuid(), $shuffle([1..20])]")
    low, high = evaluate("[$random(), $random()]")
    assert low != high
    assert 0 <= low < 1


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("$states.input.no", "returned nothing (undefined)."),
        ("$nope", "returned nothing (undefined)."),
        ("$states.input.zero.x", "returned nothing (undefined)."),
        ("$states.errorOutput", "returned nothing (undefined)."),
        ("$", "returned nothing (undefined)."),
        ("$fn := function($x){$x}", "returned an unsupported result type."),
        ("[$sum]", "returned an unsupported result type."),
        ("/ab/", "returned an unsupported result type."),
        ("$nope(1)", "threw an error during evaluation. T1006: Attempted to invoke a non-function"),
        ("$error('mine')", "threw an error during evaluation. D3137: mine"),
        ("'a' + 1", "threw an error during evaluation. T2001: "),
        ("1 / 0", "threw an error during evaluation. "),
        ("$eval('1')", "threw an error during evaluation. T1006: Attempted to invoke a non-function"),
        ("[1..1000001]", "threw an error during evaluation. D2014: "),
        ("$range(1, 1000001, 1)", "threw an error during evaluation. D3137: $range: the range has more than 1000000"),
        ("$range('a', 2, 1)", "threw an error during evaluation. D3137: $range: an argument must be a number"),
        ("$pad('a', 1000001)", "threw an error during evaluation. D3137: $pad: the width is more than 1000000"),
        ("$pad(1, 2)", "threw an error during evaluation. T0410: "),
        ("$uuid(1)", "threw an error during evaluation. D3137: $uuid: it does not take 1 arguments"),
        ("$partition([1], -1)", "threw an error during evaluation. D3137: $partition: the chunk size must be positive"),
        ("$partition([1], 0)", "returned nothing (undefined)."),
        ("$partition([], 1)", "returned nothing (undefined)."),
        ("$range(1, 3)", "returned nothing (undefined)."),
        ("$range(1, 3, 0.5)", "returned nothing (undefined)."),
        ("$range(1, 3, -1)", "returned nothing (undefined)."),
        ("$hash('a')", "returned nothing (undefined)."),
        ("$parse('{')", "threw an error during evaluation. D3137: $parse: the text is not JSON"),
        ("$hash('a', 'MD4')", "threw an error during evaluation. D3137: $hash: the algorithm must be one of"),
        ("($f := function($n) { 1 + $f($n + 1) }; $f(0))", "threw an error during evaluation: Stack overflow error: "),
        ("1e300 * 1e300", "threw an error during evaluation. "),
    ],
)
def test_what_goes_wrong(expression: str, what: str) -> None:
    assert failure(expression).startswith(what)


@pytest.mark.parametrize(
    ("expression", "expected", "what"),
    [
        ("1", "array", "Expected 'array', but was 'number' for value: 1"),
        ("'string'", "array", "Expected 'array', but was 'string' for value: \"string\""),
        ("{'foo': 'bar'}", "array", "Expected 'array', but was 'object' for value: {\"foo\":\"bar\"}"),
        ("null", "boolean", "Expected 'boolean', but was 'null' for value: null"),
        ("true", "number", "Expected 'number', but was 'boolean' for value: true"),
        ("1.5", "integer", "Expected 'integer', but was 'number' for value: 1.5"),
        ("[]", "object", "Expected 'object', but was 'array' for value: []"),
    ],
)
def test_a_result_of_the_wrong_type(expression: str, expected: str, what: str) -> None:
    assert failure(expression, expected) == f"returned an unexpected result type. {what}"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("[]", "array"), ("1.5", "number"), ("$states.input.whole", "integer"), ("'a'", "string"), ("true", "boolean")],
)
def test_a_result_of_the_right_type(expression: str, expected: str) -> None:
    evaluate(expression, expected)


def test_a_constant_of_the_wrong_type() -> None:
    with pytest.raises(StatesError, match="The field 'Items' has an unexpected type") as caught:
        QueryTemplate(1, "Items").evaluate(scope(), "array")
    assert caught.value.error == STATES_QUERY_EVALUATION


@pytest.mark.parametrize(
    "body",
    [
        "1 + $f($n)",
        "$sort([1, 2, 3], function($x, $y) { $f($x) })",
        "$map([1, 2], function($x) { $f($x) })",
        "$replace('ab', /a/, function($m) { $f($n) })",
        "[[1, 2]^($f(1))]",
    ],
)
def test_recursion_without_end_is_stopped_before_the_stack_ends(body: str) -> None:
    frames = sys.getrecursionlimit()
    assert "Stack overflow error" in failure(f"($f := function($n) {{ {body} }}; $f(0))")
    assert sys.getrecursionlimit() == frames


def test_recursion_may_be_deep() -> None:
    assert evaluate("($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(200))") == 200


def test_an_endless_expression_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_STEPS", 10_000)
    what = failure("($f := function($n) { $f($n + 1) }; $f(0))")
    assert what == "threw an error during evaluation: Expression evaluation timeout: Check for infinite loop"


def test_what_grows_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MAX_CHARACTERS", 1_000)
    monkeypatch.setattr(queries, "MAX_ITEMS", 1_000)
    for body in (
        "($f := function($s) { $f($s & $s) }; $f('ab'))",
        "($f := function($a) { $f($append($a, $a)) }; $f([1]))",
    ):
        what = failure(body)
        assert what.startswith("threw an error during evaluation: Expression evaluation memory limit exceeded")


def test_patterns_do_not_backtrack_unless_they_look_around() -> None:
    assert failure("$match('" + "a" * 100 + "!', /(a+)+$/)") == "returned nothing (undefined)."
    assert evaluate("$match('a1B2', /([A-Z])(\\d)/i).groups") == ["a", "1", "B", "2"]
    assert evaluate("$replace('a1', /(?<=a)1/, '2')") == "a2"
    assert evaluate("$match('a\nb', /^./m).match") == ["a", "b"]
    assert evaluate("$match('a\nb', /^./).match") == "a"


@pytest.mark.parametrize("text", ["{%%}", "{% 1 %}"])
def test_what_a_query_looks_like(text: str) -> None:
    assert is_query(text)


@pytest.mark.parametrize("text", ["", "{%", "{%}", " {% 1 %}", "{% 1 %} ", "{% 1", "$states.input"])
def test_other_text_is_text(text: str) -> None:
    assert not is_query(text)
    assert QueryTemplate(text, "Output").evaluate(scope()) == text


@pytest.mark.parametrize("expression", ["", " ", "1 +", "$f(", "{", "[1,", "a b", '"', "/a", "1e999"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError, match="is wrong"):
        QueryTemplate({"a": ["{%" + expression + "%}"]}, "Output")


def test_expressions_are_evaluated_everywhere_and_name_their_place() -> None:
    template = QueryTemplate({"a": [1, "{% $states.input.zero %}"], "b": "{%$v%}", "c.$": "$.x"}, "Output")
    assert template.evaluate(scope(v=7)) == {"a": [1, 0], "b": 7, "c.$": "$.x"}
    with pytest.raises(StatesError, match=r"specified for the field 'Arguments/a\[1\]/b' returned nothing"):
        QueryTemplate({"a": [1, {"b": "{% $no %}"}]}, "Arguments").evaluate(scope())


def test_a_constant_is_shared_and_inputs_are_never_changed() -> None:
    constant = {"a": [1, {"b": None}]}
    assert QueryTemplate(constant, "Output").evaluate(scope()) is constant
    before = copy.deepcopy(INPUT)
    evaluate("$states.input ~> | orders | {'price': 0}, 'id' |")
    evaluate("$states.result ~> | $states.input.orders | {'price': 0} |")
    evaluate("$states.input.empty{'a': 1}")
    evaluate("$append($states.input.list, $sort($states.input.list, function($a, $b) { $a < $b }))")
    assert before == INPUT


def test_an_assignment_inside_an_expression_ends_with_it() -> None:
    template = QueryTemplate(["{% $x := 1 %}", "{% $exists($x) %}"], "Output")
    assert template.evaluate(scope()) == [1, False]
    assert template.evaluate(scope()) == [1, False]


def test_a_template_may_be_nested_too_deeply() -> None:
    template: Json = "{% 1 %}"
    for _ in range(2_000):
        template = [template]
    with pytest.raises(ExpressionError, match="too deeply"):
        QueryTemplate(template, "Output")


def test_the_library_is_imported_for_more_than_walking_down_only() -> None:
    program = (
        "import sys\nfrom actorfaas.states.queries import Query\nQuery('$states.input.a.b', 'Output')\n"
        "assert 'jsonata' not in sys.modules\nframes = sys.getrecursionlimit()\nQuery('$a + 1', 'Output')\n"
        "assert 'jsonata' in sys.modules\nassert sys.getrecursionlimit() == frames"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("expression", ["$states.input(1)", "$v(1)", "[1] ~> $map($states.input)"])
def test_what_is_called_and_is_no_function_is_not_printed(expression: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StatesError):
        evaluate(expression, v="a secret")
    assert capsys.readouterr() == ("", "")
