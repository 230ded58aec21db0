"""Exceptions as text: only the person's frames, bounded, whatever the exception does."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from actorfaas.worker import loading, tracebacks
from actorfaas.worker.tracebacks import bounded, error_message, error_type, user_traceback

HERE = os.path.dirname(os.path.abspath(__file__))


def raised_by(body: Callable[[], object]) -> BaseException:
    try:
        body()
    except BaseException as error:  # noqa: BLE001  # any kind is of interest
        return error
    raise AssertionError("nothing was raised")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def test_paths_are_relative_and_frames_begin_in_the_bundle() -> None:
    def handler() -> None:
        raise KeyError("x")

    text = user_traceback(raised_by(handler), HERE)
    assert text.startswith('Traceback (most recent call last):\n  File "test_tracebacks.py", line')
    assert "in handler" in text
    assert text.endswith("KeyError: 'x'\n")


def test_frames_of_the_platform_are_left_out() -> None:
    def handler() -> None:
        with loading._stage("import", HERE):
            raise ValueError("deep")

    text = user_traceback(raised_by(handler), HERE)
    assert "in handler" in text
    assert "loading.py" not in text


def test_causes_and_groups_are_cleaned_too() -> None:
    def inner() -> None:
        raise ValueError("first")

    def handler() -> None:
        try:
            inner()
        except ValueError as error:
            raise ExceptionGroup("several", [error, TypeError("second")]) from error

    text = user_traceback(raised_by(handler), HERE)
    assert "direct cause" in text
    assert "ValueError: first" in text
    assert "TypeError: second" in text
    assert HERE not in text


def test_a_syntax_error_shows_the_line() -> None:
    text = user_traceback(raised_by(lambda: compile("def f(:\n", f"{HERE}/app.py", "exec")), HERE)
    assert 'File "app.py", line 1' in text
    assert "SyntaxError" in text


def test_an_endless_recursion_is_bounded() -> None:
    def one() -> None:
        other()

    def other() -> None:
        one()

    text = user_traceback(raised_by(one), HERE)
    assert len(text.encode()) <= tracebacks.TRACEBACK_LIMIT_BYTES
    assert "… cut …" in text
    assert "RecursionError" in text.splitlines()[-1]


def test_an_exception_that_cannot_be_printed() -> None:
    def handler() -> None:
        raise Unprintable

    error = raised_by(handler)
    assert error_message(error) == "(its __str__ raised ValueError)"
    assert "Unprintable" in user_traceback(error, HERE)
    assert error_type(error) == "Unprintable"


def test_a_long_message_is_bounded() -> None:
    text = error_message(ValueError("ä" * 100_000))
    assert len(text.encode()) <= tracebacks.MESSAGE_LIMIT_BYTES
    assert "… cut …" in text


@pytest.mark.parametrize("text", ["", "abc", "ä" * 50, "a" * 100, "\ud800"])
def test_short_text_stays(text: str) -> None:
    assert bounded(text, 100) == text.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("text", ["ä" * 51, "a" * 101, "\ud800" * 40, "😀" * 26])
def test_bounded_text_is_valid_and_short(text: str) -> None:
    assert len(bounded(text, 100).encode()) <= 100
