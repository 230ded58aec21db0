"""What a state does with data: the fields between its input, its work, its result and its output.

JSONPath states have InputPath, Parameters, ResultSelector, ResultPath, OutputPath and Assign (`PathFlow`); JSONata
states have Arguments, Output and Assign (`QueryFlow`). Both know which of their steps compute nothing, so that data
can pass undecoded. Owns the order of the steps; when a state takes them is the engine's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from actorfaas.states.paths import Path, select
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.scope import Json, Outside, QueryScope, Scope, made, states_object
from actorfaas.states.templates import Template

WHOLE: Final = Path("$")
"""The path that finds everything: what InputPath, OutputPath and ResultPath are where they are not given."""

NO_RESULT: Json = object()
"""What states that do no work have for a result."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the expressions of one state may refer to: its input, the context object (or what makes it), variables,
    time and chance."""

    input: Json
    context: Json
    variables: Mapping[str, Json]
    outside: Outside

    def paths(self, document: Json) -> Scope:
        """For JSONPath: `$` is `document`."""
        return Scope(document, self.context, self.variables, self.outside)

    def queries(self, result: Json = NO_RESULT, error_output: Json = NO_RESULT) -> QueryScope:
        """For JSONata: `$states`, with what there is of a result or an error."""
        more = {} if result is NO_RESULT else {"result": result}
        if error_output is not NO_RESULT:
            more["error_output"] = error_output
        return QueryScope(states_object(self.input, made(self.context), **more), self.variables, self.outside)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A state's output, and the variables that it assigns."""

    output: Json
    assigned: Mapping[str, Json]


_NOTHING_ASSIGNED: Mapping[str, Json] = {}


def _is_whole(path: Path | None) -> bool:
    return path is not None and path.text == "$"


class PathFlow:
    """The steps of a JSONPath state. A path of None is the null of a definition: an empty object, or no result."""

    __slots__ = (
        "_assign",
        "_input_path",
        "_output_path",
        "_parameters",
        "_result_path",
        "_result_selector",
        "computes_input",
        "computes_output",
        "keeps_input",
        "needs_input",
    )

    def __init__(
        self,
        *,
        input_path: Path | None = WHOLE,
        parameters: Template | None = None,
        result_selector: Template | None = None,
        result_path: Path | None = WHOLE,
        output_path: Path | None = WHOLE,
        assign: Template | None = None,
    ) -> None:
        self._input_path = input_path
        self._parameters = parameters
        self._result_selector = result_selector
        self._result_path = result_path
        self._output_path = output_path
        self._assign = assign
        self.computes_input: Final = not _is_whole(input_path) or parameters is not None
        plain = result_selector is None and assign is None and _is_whole(output_path)
        self.computes_output: Final = not (plain and _is_whole(result_path))
        self.keeps_input: Final = plain and result_path is None
        """Whether the output is the input, whatever the result."""
        self.needs_input: Final = not _is_whole(result_path)
        """Whether what comes after the work refers to the input."""

    def chosen(self, frame: Frame) -> Json:
        """After InputPath. Raises StatesError, as all steps do."""
        return select(self._input_path, frame.paths(frame.input))

    def effective(self, frame: Frame) -> Json:
        """After InputPath and Parameters."""
        chosen = self.chosen(frame)
        return chosen if self._parameters is None else self._parameters.fill(frame.paths(chosen))

    def selected(self, frame: Frame, result: Json) -> Json:
        """After ResultSelector."""
        return result if self._result_selector is None else self._result_selector.fill(frame.paths(result))

    def placed(self, frame: Frame, selected: Json) -> Json:
        """After ResultPath."""
        return frame.input if self._result_path is None else self._result_path.insert(frame.input, selected)

    def finish(self, frame: Frame, result: Json = NO_RESULT) -> Outcome:
        """Everything after the work; the result of states that do none is their effective input."""
        selected = self.effective(frame) if result is NO_RESULT else self.selected(frame, result)
        assigned = _NOTHING_ASSIGNED if self._assign is None else self._assign.fill(frame.paths(selected))
        output = select(self._output_path, frame.paths(self.placed(frame, selected)))
        return Outcome(output, assigned)

    def caught(self, frame: Frame, error_output: Json) -> Outcome:
        """What a catcher with these fields makes of an error."""
        return self.finish(frame, error_output)


class QueryFlow:
    """The steps of a JSONata state."""

    __slots__ = (
        "_arguments",
        "_assign",
        "_output",
        "computes_input",
        "computes_output",
        "keeps_input",
        "needs_input",
    )

    def __init__(
        self,
        *,
        arguments: QueryTemplate | None = None,
        output: QueryTemplate | None = None,
        assign: QueryTemplate | None = None,
    ) -> None:
        self._arguments = arguments
        self._output = output
        self._assign = assign
        self.computes_input: Final = arguments is not None
        self.computes_output: Final = output is not None or assign is not None
        self.keeps_input: Final = False
        self.needs_input: Final = self.computes_output

    def chosen(self, frame: Frame) -> Json:
        """The input: nothing is chosen from it."""
        return frame.input

    def effective(self, frame: Frame) -> Json:
        """Arguments. Raises StatesError, as all steps do."""
        return frame.input if self._arguments is None else self._arguments.evaluate(frame.queries())

    def finish(self, frame: Frame, result: Json = NO_RESULT) -> Outcome:
        """Everything after the work."""
        return self._outcome(frame.queries(result), frame.input if result is NO_RESULT else result)

    def caught(self, frame: Frame, error_output: Json) -> Outcome:
        """What a catcher with these fields makes of an error."""
        return self._outcome(frame.queries(error_output=error_output), error_output)

    def _outcome(self, scope: QueryScope, default: Json) -> Outcome:
        output = default if self._output is None else self._output.evaluate(scope)
        assigned = _NOTHING_ASSIGNED if self._assign is None else self._assign.evaluate(scope)
        return Outcome(output, assigned)


Flow = PathFlow | QueryFlow

AS_IS: Final = PathFlow()
"""Of JSONPath states without any of the fields."""

QUERIED_AS_IS: Final = QueryFlow()
"""Of JSONata states without any of the fields."""
