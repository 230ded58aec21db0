"""Widths and lines of text."""

from __future__ import annotations

import pytest

from actorfaas.diagrams.text import width, wrapped


def test_wider_characters_take_more_room() -> None:
    assert width("ill", 10) < width("abc", 10) < width("MWM", 10)
    assert width("日本", 10) > width("ab", 10)
    assert width("é", 10) == width("é", 10)  # a combining accent takes no room of its own
    assert width("ab", 20) == 2 * width("ab", 10)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ("",)),
        ("one", ("one",)),
        ("one two three four", ("one two", "three four")),
        ("read_the_whole_file", ("read_the_", "whole_file")),
        ("readTheWholeFileNow", ("readThe", "WholeFile", "Now")),
        ("abcdefghijklmnopqrstuvwxyz", ("abcdefghijkl", "mnopqrstuv", "wxyz")),
        (" spaces \n and   lines ", ("spaces and", "lines")),
    ],
)
def test_lines_are_no_wider_than_they_may_be(text: str, lines: tuple[str, ...]) -> None:
    found = wrapped(text, 10, 70, 5)
    assert found == lines
    assert all(width(line, 10) <= 70 for line in found)


def test_what_does_not_fit_is_left_out() -> None:
    found = wrapped("one two three four five six seven eight", 10, 70, 2)
    assert found == ("one two", "three four…")
    assert width(found[-1], 10) <= 70
