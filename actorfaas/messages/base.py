"""What makes a class a message: a number under which it travels, and fields that the wire format can carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, dataclass_transform

T = TypeVar("T")

MESSAGES: dict[int, type[Message]] = {}
"""Every message class by its number."""


class Message:
    """Base of all messages; `code` is the number under which the class travels."""

    __slots__ = ()
    if TYPE_CHECKING:
        code: int


@dataclass_transform(frozen_default=True)
def message(code: int) -> Callable[[type[T]], type[T]]:
    """Make a class a message, travelling under `code`."""

    def register(cls: type[T]) -> type[T]:
        made = dataclass(frozen=True, slots=True)(cls)
        if code in MESSAGES:
            raise ValueError(f"message code {code} is taken by {MESSAGES[code].__name__}")
        made.code = code  # type: ignore[attr-defined]  # declared on Message for type checkers only
        MESSAGES[code] = made  # type: ignore[assignment]  # every decorated class derives from Message
        return made

    return register


@dataclass_transform(frozen_default=True)
def struct(cls: type[T]) -> type[T]:
    """Make a class a record that messages may contain."""
    return dataclass(frozen=True, slots=True)(cls)
