"""What paths look like, find and replace."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest

from actorfaas.states.errors import STATES_RESULT_PATH, STATES_RUNTIME, ExpressionError, StatesError
from actorfaas.states.paths import NoMatch, Path, refer, result_path, select
from actorfaas.states.scope import Scope
from tests.states.expressions_kit import outside

Json = Any  # a decoded JSON value of any shape

STORE: Json = {
    "book": [
        {"title": "Moby Dick", "price": 8.99, "tags": ["sea", "whale"], "isbn": "1"},
        {"title": "Sayings", "price": 8.95, "tags": []},
        {"title": "Sword", "price": 12.99, "tags": ["war"], "isbn": "2"},
        {"title": "Rings", "price": 22.99, "tags": ["war", "elf"]},
    ],
    "bicycle": {"color": "red", "price": 19.95, "frame size": 56, "it's": True, "a.b": 1, "input-value": 2, "größe": 3},
    "nothing": None,
    "limit": 10,
    "text": "abc",
}


def scope(document: Json = STORE, context: Json = None, **variables: Json) -> Scope:
    return Scope(document, context, variables, outside())


def find(path: str, document: Json = STORE) -> Json:
    return Path(path).find(scope(document))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", STORE),
        ("$.limit", 10),
        ("$.nothing", None),
        ("$.book[0].title", "Moby Dick"),
        ("$.book[-1].title", "Rings"),
        ("$['book'][1]['title']", "Sayings"),
        ('$["book"][1]["title"]', "Sayings"),
        ("$.book[ 1 ].tags", []),
        ("$.bicycle['frame size']", 56),
        ("$.bicycle.['frame size']", 56),
        (r"$.bicycle['it\'s']", True),
        (r"$.bicycle['gr\u00f6\u00dfe']", 3),
        ("$.bicycle['a.b']", 1),
        ("$.bicycle.input-value", 2),
        ("$.bicycle.größe", 3),
        ("$.book.length()", 4),
        ("$.bicycle.length()", 7),
        ("$.book[*].length()", 4),
        ("$.bicycle['color','price','no']", {"color": "red", "price": 19.95}),
    ],
)
def test_a_definite_path_finds_one_value(path: str, value: Json) -> None:
    assert Path(path).is_definite
    assert find(path) == value


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("$.book[*].price", [8.99, 8.95, 12.99, 22.99]),
        ("$.book.*.price", [8.99, 8.95, 12.99, 22.99]),
        ("$.book[*].isbn", ["1", "2"]),
        ("$.book[0,2].title", ["Moby Dick", "Sword"]),
        ("$.book[0,9].title", ["Moby Dick"]),
        ("$.book[1:3].title", ["Sayings", "Sword"]),
        ("$.book[-1:].title", ["Rings"]),
        ("$.book[:1].title", ["Moby Dick"]),
        ("$.book[::2].title", ["Moby Dick", "Sword"]),
        ("$.book[:].title", ["Moby Dick", "Sayings", "Sword", "Rings"]),
        ("$..price", [8.99, 8.95, 12.99, 22.99, 19.95]),
        ("$..tags[0]", ["sea", "war", "war"]),
        ("$..['color']", ["red"]),
        ("$..[?(@.color == 'red')].price", [19.95]),
        ("$.book..['isbn','no']", [{"isbn": "1"}, {}, {"isbn": "2"}, {}]),
        ("$..[?(@.isbn)].isbn", ["1", "2"]),
        ("$.book[?(@.isbn)].title", ["Moby Dick", "Sword"]),
        ("$.book[?(!@.isbn)].title", ["Sayings", "Rings"]),
        ("$.book[?(@.price < 10)].title", ["Moby Dick", "Sayings"]),
        ("$.book[?(@.price < $.limit)].title", ["Moby Dick", "Sayings"]),
        ("$.book[?(@.price >= 10 && @.isbn == '2')].title", ["Sword"]),
        ("$.book[?(@.title == 'Rings' || @['title'] == \"Sword\")].price", [12.99, 22.99]),
        ("$.book[?(@.title =~ /^s.*/i)].title", ["Sayings", "Sword"]),
        ("$.book[?(@.title =~ /\\]/)].title", []),
        ("$.book[?(@.title in ['Rings', 'x]'])].price", [22.99]),
        ("$.book[?(@.tags[1] == 'elf')].title", ["Rings"]),
        ("$.book[?(@.title > 1)]", []),
    ],
)
def test_other_paths_find_a_list(path: str, values: Json) -> None:
    assert not Path(path).is_definite
    assert find(path) == values


@pytest.mark.parametrize("path", ["$.no[*]", "$.no[1:].x", "$.no.way[?(@.x)]", "$..no", "$.limit[*].x", "$.no[0,1]"])
def test_a_list_is_empty_where_nothing_leads_to_it(path: str) -> None:
    assert find(path) == []


def test_several_names_at_the_end_make_an_object() -> None:
    assert find("$.book[0,1]['title','isbn']") == [{"title": "Moby Dick", "isbn": "1"}, {"title": "Sayings"}]
    assert find("$['bicycle','no'].color") == ["red"]


def test_a_filter_looks_at_an_object_itself_and_never_at_scalars() -> None:
    assert find("$.bicycle[?(@.color == 'red')].price") == [19.95]
    assert find("$[?(@ > 1)]", [1, 2, 3]) == []


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("$.no.such.path", "Missing property in path $['no']"),
        ("$.limit.x", "Expected to find an object at path $['limit']['x']"),
        ("$.book.title", "Expected to find an object at path $['book']['title']"),
        ("$.book[9]", "No results for path $['book'][9]"),
        ("$.bicycle[0]", "Expected to find an array at path $['bicycle'][0]"),
        ("$.text[0]", "Expected to find an array at path $['text'][0]"),
        ("$.nothing.x", "Expected to find an object at path $['nothing']['x']"),
        ("$.limit.length()", "length() needs an array or an object"),
        ("$.no['a','b']", "No results for path"),
        ("$.limit[1:]", "Only an array can be sliced, not 10"),
        ("$.nothing[0,1]", "Only an array can be sliced, not null"),
    ],
)
def test_a_definite_path_that_finds_nothing_fails(path: str, ending: str) -> None:
    with pytest.raises(NoMatch) as caught:
        find(path)
    assert caught.value.error == STATES_RUNTIME
    assert caught.value.cause == f"Invalid path '{path}' : {ending}"


@pytest.mark.parametrize(
    "path",
    [
        *("", "a", "x.$", "$.", "$.a.", "$.a..", "$..", "$.a b", "$a b", "$.a[", "$.a]", "$.a[b]", "$.a['b]", "$.a[]"),
        *(
            "$.a['b' 'c']",
            "$.a[1,]",
            "$.a[1,'b']",
            "$.a[1:2:0]",
            "$.a[?(@.b ==)]",
            "$.a[?(@.b]",
            "$.a.sum()",
            "$.a.b()",
        ),
        *("$.a[?()]", "$.length().a", "$.a[?(@.b)] | $.c", "$.a[?(@.b)],[1]", "$0", "$.a[1.5]"),
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ExpressionError):
        Path(path)


def test_paths_begin_at_the_input_the_context_or_a_variable() -> None:
    of = scope({"a": 1}, {"a": 2}, a={"b": [3]}, _x=4)
    assert Path("$.a").find(of) == 1
    assert Path("$$.a").find(of) == 2
    assert Path("$$").find(of) == {"a": 2}
    assert Path("$a.b[0]").find(of) == 3
    assert Path("$a.b[*]").find(of) == [3]
    assert Path("$_x").find(of) == 4
    with pytest.raises(NoMatch, match=r"'\$c' has not been assigned"):
        Path("$c.b").find(of)


def test_a_path_of_null_gives_an_empty_object() -> None:
    assert select(None, scope()) == {}
    assert select(Path("$.limit"), scope()) == 10


def test_a_field_that_refers_to_nothing_says_so() -> None:
    assert refer(Path("$.limit"), scope(), "SecondsPath") == 10
    with pytest.raises(StatesError) as caught:
        refer(Path("$.input.waitSeconds"), scope(), "SecondsPath")
    cause = "The SecondsPath parameter does not reference an input value: $.input.waitSeconds"
    assert (caught.value.error, caught.value.cause) == (STATES_RUNTIME, cause)


@pytest.mark.parametrize(
    ("path", "document", "result"),
    [
        ("$", {"a": 1}, "new"),
        ("$.a", {"a": 1, "b": 2}, {"a": "new", "b": 2}),
        ("$.c", {"a": 1}, {"a": 1, "c": "new"}),
        ("$.c.d.e", {"a": 1}, {"a": 1, "c": {"d": {"e": "new"}}}),
        ("$['x y'].z", {}, {"x y": {"z": "new"}}),
        ("$.a[1]", {"a": [1, 2]}, {"a": [1, "new"]}),
        ("$[0].b.c", [{"a": 1}, 2], [{"a": 1, "b": {"c": "new"}}, 2]),
    ],
)
def test_a_result_is_put_into_a_copy(path: str, document: Json, result: Json) -> None:
    before = copy.deepcopy(document)
    assert result_path(path).insert(document, "new") == result
    assert document == before


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("$.a", "text"),
        ("$.a", [1]),
        ("$.a", None),
        ("$.a.b", {"a": 1}),
        ("$.a[0]", {}),
        ("$.a[2]", {"a": [1, 2]}),
        ("$.a[0]", {"a": {}}),
        ("$[-1]", [1]),
    ],
)
def test_a_result_that_has_no_place_fails(path: str, document: Json) -> None:
    with pytest.raises(StatesError, match="Unable to apply ReferencePath") as caught:
        result_path(path).insert(document, "new")
    assert caught.value.error == STATES_RESULT_PATH


@pytest.mark.parametrize("path", ["$$.a", "$a", "$.a[*]", "$.a[0,1]", "$..a", "$.a[1:]", "$.a[?(@.b)]", "$.length()"])
def test_a_result_path_names_one_place_in_the_input(path: str) -> None:
    with pytest.raises(ExpressionError):
        result_path(path)


def test_deep_documents_are_no_problem() -> None:
    deep: Json = {"end": 1}
    for _ in range(5_000):
        deep = {"a": [deep]}
    assert find("$..end", deep) == [1]
    assert find("$" + ".a[0]" * 5_000 + ".end", deep) == 1
    assert result_path("$.b").insert(deep, 1)["b"] == 1
    with pytest.raises(StatesError):
        result_path("$.b").insert([deep], 1)


def test_the_library_is_imported_for_filters_only() -> None:
    program = (
        "import sys\nfrom actorfaas.states.paths import Path\nPath('$.a[1:]..b[*]')\n"
        "assert 'jsonpath' not in sys.modules\nPath('$.a[?(@.b)]')\nassert 'jsonpath' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (r"$['\b\f\n\r\t']", "\b\f\n\r\t"),
        (r"$['\uD83D\ude00']", "😀"),
        (r"$['\q\\\'\"']", "q\\'\""),
        (r"$['\u12']", "u12"),
    ],
)
def test_escapes_in_names_are_those_of_json(path: str, key: str) -> None:
    assert find(path, {key: 1}) == 1


@pytest.mark.parametrize("path", ["$[?@.a,?@.b]", "$[?@.a,1]", "$[?@.a,*]", "$[?(@.a)]..b | $.c"])
def test_a_filter_stands_alone(path: str) -> None:
    with pytest.raises(ExpressionError):
        Path(path)
