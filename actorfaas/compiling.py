"""Compositions to the Amazon States Language (https://states-language.net): states, their names, what leads where.

Names are those of functions, made unique in the whole definition, so that histories are read without a table. A
branch that is used twice with the same end (a handler of several steps) becomes the same states. Whether the
definition is right is `states.validate`'s business.
"""

from __future__ import annotations

from actorfaas.composing import Call, Chain, Choose, Composable, Each, Group, Parallel, Step, steps_of

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is; importing typing would cost every instance 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    Json: TypeAlias = Any  # a decoded JSON document: the caller's business

MAX_STATE_NAME_LENGTH = 80


def compiled(composition: Composable, comment: str = "") -> dict[str, Json]:
    """The definition of a composition."""
    names = _Names({call.resource for call in calls(composition)})
    machine = _Machine(names).compiled(composition)
    return {"Comment": comment, **machine} if comment else machine


def calls(composition: Composable) -> Iterator[Call]:
    """Every step that calls a function, in order, those in branches and handlers too."""
    waiting: list[Composable] = [composition]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Chain):
            waiting += reversed(one.steps)
            continue
        step = _step(one)
        if isinstance(step, Call):
            yield step
        waiting += reversed([*step.inner(), *(handler for _, handler in step.catchers)])


def _step(one: Composable) -> Step:
    return one if isinstance(one, Step) else one.guarded()


class _Names:
    """The names that states have, of the whole definition."""

    def __init__(self, functions: set[str]) -> None:
        self.functions = functions
        self.taken: set[str] = set()

    def unique(self, wanted: str) -> str:
        """The name, or the name with a number that no other state or function has."""
        base = wanted[:MAX_STATE_NAME_LENGTH]
        name, repeat = base, 1
        while name in self.taken or (repeat > 1 and name in self.functions):
            repeat += 1
            end = f"_{repeat}"
            name = base[: MAX_STATE_NAME_LENGTH - len(end)] + end
        self.taken.add(name)
        return name


class _Machine:
    """One machine: the whole definition, or a branch or processor in it."""

    def __init__(self, names: _Names) -> None:
        self.names = names
        self.states: dict[str, Json] = {}
        self.placed: dict[tuple[int, str], str] = {}

    def compiled(self, composition: Composable) -> dict[str, Json]:
        """The machine of a composition."""
        return {"StartAt": self._chain(composition, ""), "States": self.states}

    def _chain(self, composition: Composable, after: str) -> str:
        """Place a composition before the state `after` ("": the end); returns the name of its first state."""
        key = (id(composition), after)
        if key in self.placed:
            return self.placed[key]
        steps = [_step(one) for one in steps_of(composition)]
        names = [self.names.unique(_label(step)) for step in steps]
        self.placed[key] = names[0]
        for name, step, following in zip(names, steps, [*names[1:], after], strict=True):
            self._place(name, step, following)
        return names[0]

    def _place(self, name: str, step: Step, following: str) -> None:
        state: dict[str, Json] = {"Type": step.kind}
        self.states[name] = state  # before those in its branches: states stand in the order in which they run
        match step:
            case Call():
                if step.comment:
                    state["Comment"] = step.comment
                state["Resource"] = step.resource
                if step.potential:
                    state["PotentialNext"] = [self._chain(one, following) for one in step.potential]
            case Parallel():
                if isinstance(step, Group):
                    state["Comment"] = "Steps that are tried as one"
                state["Branches"] = [_Machine(self.names).compiled(branch) for branch in step.branches]
            case Each():
                processor = {"ProcessorConfig": {"Mode": "INLINE"}, **_Machine(self.names).compiled(step.body)}
                state["ItemProcessor"] = processor
            case Choose():
                self._rules(state, step, following)
        state |= step.fields
        self._failures(state, step, following)
        if not isinstance(step, Choose) and not step.ends:
            state |= {"Next": following} if following else {"End": True}

    def _rules(self, state: dict[str, Json], step: Choose, following: str) -> None:
        rules = state["Choices"] = []
        if isinstance(step.cases[0].condition, str):
            state["QueryLanguage"] = "JSONata"
        end = following
        if not end and step.otherwise is None:
            end = self.names.unique("otherwise")
        for case in step.cases:
            condition = case.condition
            rule = {"Condition": condition} if isinstance(condition, str) else condition.rule
            rules.append({**rule, "Next": self._chain(case.branch, following)})
        if step.otherwise is not None:
            state["Default"] = self._chain(step.otherwise, following)
            return
        state["Default"] = end
        if not following:
            self.states[end] = {"Type": "Succeed"}

    def _failures(self, state: dict[str, Json], step: Step, following: str) -> None:
        if step.retriers:
            state["Retry"] = list(step.retriers)
        if step.catchers:
            state["Catch"] = [{**entry, "Next": self._chain(handler, following)} for entry, handler in step.catchers]


def _label(step: Step) -> str:
    """The name wanted for a state; one for every item is called after what is done with it."""
    if isinstance(step, Each) and step.label == "each":
        return f"each_{_label(_step(steps_of(step.body)[0]))}"
    return step.label
