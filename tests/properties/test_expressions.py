"""Any expression on any JSON: nothing but the layer's own errors, inputs unchanged, and two ways to the same answer."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorfaas.states.choices import OPERATORS, compile_rule
from actorfaas.states.errors import ExpressionError, StatesError
from actorfaas.states.functions import FUNCTIONS
from actorfaas.states.intrinsics import parse_call
from actorfaas.states.paths import NoMatch, Path, result_path
from actorfaas.states.queries import Query, QueryTemplate
from actorfaas.states.scope import QueryScope, Scope, states_object
from actorfaas.states.templates import Template
from actorfaas.states.timestamps import parse_timestamp
from tests.states.expressions_kit import outside

Json = Any  # a decoded JSON value of any shape

# the first example may import a library, and the machine may be busy
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = st.sampled_from(["a", "b", "c", "", "a b", "and", "ü", "0"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "{}", "2016-08-18T17:33:00Z", "=", "{", "\ud800"])
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
STEPS = st.sampled_from(
    [
        *(".a", ".b", ".c", "['a b']", "['']", '["ü"]', "[0]", "[1]", "[-1]", "[*]", ".*", "[1:]", "[:-1]", "[::2]"),
        *("[0,1]", "['a','b']", "..a", "..*", "..[0]", "..['a','c']", "[?(@.a)]", "[?(@.a == 1)]", "[?(@.b > 'a')]"),
        *("[?(@.a == $.a)]", "[?(!@.c || @.a != null)]", "[?(@.a =~ /a.*/)]", "..[?(@.b)]", ".length()"),
    ]
)
PATHS = st.builds(
    "".join,
    st.tuples(st.sampled_from(["$", "$$", "$v", "$w"]), st.lists(STEPS, max_size=4).map("".join)),
)
NOISE = st.text("$.[]()'\"?@*:,ab01- {}%\\/=~", max_size=12)


def scope(document: Json) -> Scope:
    return Scope(document, {"a": [1]}, {"v": document}, outside())


@UNHURRIED
@given(PATHS | NOISE.map("$".__add__) | NOISE, VALUES)
def test_paths(text: str, document: Json) -> None:
    before = copy.deepcopy(document)
    try:
        path = Path(text)
        found = path.find(scope(document))
    except (ExpressionError, NoMatch):
        found = None
    else:
        assert path.is_definite or isinstance(found, list)
    assert repr(document) == repr(before)


@UNHURRIED
@given(st.lists(st.sampled_from([".a", ".b", "['a b']", "[0]", "[1]"]), max_size=4).map("".join), VALUES, VALUES)
def test_what_a_result_path_inserts_its_path_finds(steps: str, document: Json, value: Json) -> None:
    before = copy.deepcopy(document)
    path = result_path("$" + steps)
    try:
        changed = path.insert(document, value)
    except StatesError:
        pass
    else:
        assert path.find(scope(changed)) is value
        # what was there before is there again after being put back
        try:
            earlier = path.find(scope(document))
        except NoMatch:
            pass
        else:
            assert repr(path.insert(changed, earlier)) == repr(before)
    assert repr(document) == repr(before)


@UNHURRIED
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(VALUES, max_size=4))
def test_functions(name: str, arguments: list[Json]) -> None:
    before = copy.deepcopy(arguments)
    places = ", ".join(f"$[{index}]" for index in range(len(arguments)))
    with suppress(ExpressionError, StatesError):
        parse_call(f"{name}({places})").find(scope(arguments))
    assert repr(arguments) == repr(before)


@UNHURRIED
@given(NOISE, VALUES)
def test_calls(arguments: str, document: Json) -> None:
    for text in (arguments, f"States.Format({arguments})", f"States.Array({arguments}"):
        with suppress(ExpressionError, StatesError):
            parse_call(text).find(scope(document))


@UNHURRIED
@given(VALUES, VALUES)
def test_templates(template: Json, document: Json) -> None:
    before = copy.deepcopy(template)
    compiled = Template({"constant": template, "whole.$": "$"})
    filled = compiled.fill(scope(document))
    assert filled == {"constant": template, "whole": document}
    assert repr(template) == repr(before)


@UNHURRIED
@given(st.sampled_from(sorted(OPERATORS)), PATHS, VALUES | PATHS, VALUES)
def test_choice_rules(operator: str, variable: str, operand: Json, document: Json) -> None:
    try:
        holds = compile_rule({"Variable": variable, operator: operand})
        assert isinstance(holds(scope(document)), bool)
    except (ExpressionError, StatesError):
        pass


@UNHURRIED
@given(st.lists(NAMES.filter(str.isidentifier), max_size=3), VALUES)
def test_walking_down_gives_what_the_library_gives(names: list[str], document: Json) -> None:
    text = ".".join(["$states.input", *names])
    queries = QueryScope(states_object(document, None), {}, outside())
    answers = []
    for expression in (text, f"({text})"):
        try:
            answers.append(orjson.dumps(Query(expression, "Output").evaluate(queries)))
        except StatesError as error:
            answers.append(error.cause.rsplit(" ", 1)[1].encode())
        except ExpressionError:
            answers.append(b"wrong")
        except orjson.JSONEncodeError:
            answers.append(b"no text")
    assert answers[0] == answers[1]


OPERANDS = st.sampled_from(
    [
        *("$states.input", "$states.input.a", "$states.input.*", "$states.input.**.b", "$v", "$v[0]", "$v[a = 1]", "1"),
        *("'a'", "null", "[1..3]", "{'a': $v}", "function($x) { $x.a }", "$v ~> |$|{'a': 1}|", "$v{a: $}", "$v^(a)"),
        *("$v ~> |$states.input|{'b': 1}, 'a'|", "$states.input.a{$: $}", "$v.a@$x", "$v#$i", "$v.%", "/a/"),
    ]
)
FORMS = st.sampled_from(
    [
        *("{0} + {1}", "{0} & {1}", "{0} = {1}", "{0} < {1}", "{0} in {1}", "{0}.({1})", "{0}[{1}]", "{0} ? {1} : 1"),
        *("$sum({0})", "$map({0}, {1})", "$sort({0})", "$string({0})", "$number({0})", "$merge({0})", "$keys({0})"),
        *("$partition({0}, {1})", "$range({0}, {1}, 1)", "$hash({0}, {1})", "$parse({0})", "$random({0})", "$now({0})"),
        *("$uuid({0})", "$shuffle({0})", "$split({0}, {1})", "$match({0}, /a/)", "$fromMillis({0})", "$toMillis({0})"),
        *("$formatNumber({0}, {1})", "$zip({0}, {1})", "$reduce({0}, {1})", "$lookup({0}, {1})", "$distinct({0})"),
        *("$spread({0})", "$pad({0}, {1})", "$substring({0}, {1})", "$power({0}, {1})", "$base64decode({0})", "-{0}"),
    ]
)


@UNHURRIED
@given(FORMS, OPERANDS, OPERANDS, VALUES)
def test_queries(form: str, left: str, right: str, document: Json) -> None:
    before = copy.deepcopy(document)
    queries = QueryScope(states_object(document, None), {"v": document}, outside())
    try:
        found = QueryTemplate(["{%" + form.format(left, right) + "%}"], "Output").evaluate(queries)
        assert type(found) is list
        assert_plain(found)
    except (ExpressionError, StatesError):
        pass
    assert repr(document) == repr(before)


@UNHURRIED
@given(NOISE, VALUES)
def test_queries_of_any_text(text: str, document: Json) -> None:
    with suppress(ExpressionError, StatesError):
        Query(text, "Output").evaluate(QueryScope(states_object(document, None), {"a": document}, outside()))


@UNHURRIED
@given(st.text(max_size=30) | st.text("0123456789-T:.Z+", max_size=30))
def test_timestamps(text: str) -> None:
    found = parse_timestamp(text)
    assert found is None or isinstance(found, int)


def assert_plain(value: Json) -> None:
    assert type(value) in (type(None), bool, int, float, str, list, dict)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_plain(inner)
