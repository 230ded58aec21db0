"""What is wrong with a state machine definition: every problem, with its JSON pointer and a sentence.

Reading a definition, with which it all is found, is left to `states.parsing`.
"""

from __future__ import annotations

from collections.abc import Collection

from actorfaas.states.parsing import read
from actorfaas.states.reading import Problem as Problem
from actorfaas.states.settings import MAX_SECONDS as MAX_SECONDS


def validate(
    definition: bytes,
    functions: Collection[str] | None = None,
    *,
    refused: Collection[str] = (),
    is_express: bool = False,
) -> list[Problem]:
    """Every problem of a definition; an empty list means that it can be run. The arguments are those of `parse`."""
    return read(definition, functions, refused=refused, is_express=is_express)[1]
