"""A JSON value as text, decoded, or both: each is made once, when it is asked for."""

from __future__ import annotations

import orjson

from actorfaas.states.errors import STATES_RUNTIME, StatesError
from actorfaas.states.scope import Json

_MISSING: Json = object()


class Document:
    """One value that states hand on. Never changed in place: it may be shared."""

    __slots__ = ("_text", "_value")

    def __init__(self, text: bytes | None = None, value: Json = _MISSING) -> None:
        """Either of the two."""
        self._text = text
        self._value = value

    @staticmethod
    def of(value: Json) -> Document:
        """Of a decoded value."""
        return Document(None, value)

    @property
    def text(self) -> bytes:
        """JSON. Raises StatesError (States.Runtime) where the value cannot be written: nested too deeply."""
        if self._text is None:
            try:
                self._text = orjson.dumps(self._value)
            except (orjson.JSONEncodeError, RecursionError) as error:
                raise StatesError(STATES_RUNTIME, f"The data cannot be written as JSON: {error}") from None
        return self._text

    @property
    def value(self) -> Json:
        """The decoded value. Raises StatesError (States.Runtime) where the text is no JSON."""
        if self._value is _MISSING:
            try:
                self._value = orjson.loads(self._text or b"")
            except orjson.JSONDecodeError as error:
                raise StatesError(STATES_RUNTIME, f"The data is not JSON: {error}") from None
        return self._value
