"""JSON as text and as a value, whichever is asked for."""

from __future__ import annotations

import pytest

from actorfaas.states.document import Document
from actorfaas.states.errors import StatesError


def test_each_form_is_made_once() -> None:
    text = Document(b'{ "a": 1 }')
    assert text.value == {"a": 1}
    assert text.value is text.value
    assert text.text == b'{ "a": 1 }'
    value = Document.of([1, None])
    assert value.text == b"[1,null]"
    assert value.text is value.text
    assert Document.of(None).text == b"null"


def test_what_is_no_json_fails_where_it_is_looked_at() -> None:
    broken = Document(b"{")
    assert broken.text == b"{"
    with pytest.raises(StatesError, match="not JSON"):
        _ = broken.value


@pytest.mark.parametrize("value", [2**70, "\ud800", [[]]])
def test_what_cannot_be_written_fails_where_it_is_written(value: object) -> None:
    if isinstance(value, list):
        for _ in range(400):
            value = [value]
    document = Document.of(value)
    assert document.value is value
    with pytest.raises(StatesError, match="cannot be written"):
        _ = document.text
