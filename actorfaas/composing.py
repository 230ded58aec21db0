"""What workflows are composed of: `a >> b`, `parallel`, `each`, `choose`, `wait`, `pass_`, `succeed` and `fail`.

Owns the steps as values, which never change, and what can follow what. The definition they become is `compiling`'s
business, conditions are `conditions`'. User code imports this, and every instance with it: nothing heavy.
"""

from __future__ import annotations

from actorfaas.conditions import Condition, EventPath, condition_of, timestamp
from actorfaas.errors import DeclarationError

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is; importing typing would cost every instance 3 ms
if TYPE_CHECKING:
    from typing import Any, Self, TypeAlias

    Json: TypeAlias = Any  # a decoded JSON document: the caller's business
    Errors: TypeAlias = "type[BaseException] | str | tuple[type[BaseException] | str, ...]"

ALL_ERRORS = "States.ALL"


class Composable:
    """Whatever can stand in a workflow: a declared function, a step, a chain of them."""

    @property
    def ends(self) -> bool:
        """Whether nothing can follow: all of its ways end the workflow."""
        return False

    def __rshift__(self, following: Composable) -> Chain:
        return Chain((*steps_of(self), *steps_of(following)))

    def guarded(self) -> Step:
        """The same as a step that can be retried and caught: where it is not one itself, put into one."""
        return Group((self,))

    def retry(
        self,
        *errors: type[BaseException] | str,
        times: int = 3,
        delay_s: int = 1,
        backoff: float = 2.0,
        max_delay_s: int | None = None,
        jitter: bool = False,
    ) -> Step:
        """Try again after these errors (none named: any), up to `times`, first after `delay_s`, then `backoff` times
        as long each, at most `max_delay_s`; with `jitter` after anything up to that.

        An error is the exception's class, or the name of an error such as "States.Timeout". Names are compared: a
        class stands for itself only, except Exception, which stands for everything.
        """
        entry: dict[str, Json] = {"ErrorEquals": list(_error_names(errors or (Exception,)))}
        entry |= {"IntervalSeconds": delay_s, "MaxAttempts": times, "BackoffRate": backoff}
        if max_delay_s is not None:
            entry["MaxDelaySeconds"] = max_delay_s
        if jitter:
            entry["JitterStrategy"] = "FULL"
        step = self.guarded()
        return step.with_(retriers=(*_before_another(step.retriers, "retry"), entry))

    def catch(self, errors: Errors, handler: Composable, *, into: EventPath | str | None = None) -> Step:
        """Go on with `handler` after these errors, as with `except`; what follows this step follows the handler.

        The handler is given {"Error": name, "Cause": text}; `into`: the step's input, with that put at this place.
        """
        names = _error_names(errors if isinstance(errors, tuple) else (errors,))
        entry: dict[str, Json] = {"ErrorEquals": list(names)}
        if into is not None:
            entry["ResultPath"] = str(into)
        step = self.guarded()
        earlier = _before_another(tuple(one for one, _ in step.catchers), "catch")
        return step.with_(catchers=(*zip(earlier, (one for _, one in step.catchers), strict=True),
                                    (entry, composable(handler))))  # fmt: skip

    def adding(self, *, potential_next: Composable | tuple[Composable, ...]) -> Step:
        """The same, and the function may have some of these run next: `context.add_next("name", input)`.

        They are known by the names of their first states (see `named`). One that is added comes before what follows; of
        several, which run at once, what follows gets the list of results.
        """
        step = self._step()
        if not isinstance(step, Call):
            raise DeclarationError(f"{self!r} calls no function that could have anything run next")
        targets = potential_next if isinstance(potential_next, tuple) else (potential_next,)
        return step.with_(potential=tuple(map(composable, targets)))

    def named(self, name: str) -> Step:
        """The same under a name of its own in definitions and histories."""
        return self._step().with_(label=name)

    def reads(self, path: EventPath | str) -> Step:
        """The same with only this part of the input."""
        return self._step().with_fields(InputPath=str(path))

    def keeps(self, path: EventPath | str) -> Step:
        """The same, its result put at this place in its input instead of replacing that."""
        step = self._step()
        if not step.has_result:
            raise DeclarationError(f"{self!r} has no result of its own that could be put at {path}")
        return step.with_fields(ResultPath=str(path))

    def _step(self) -> Step:
        return self.guarded()


class Chain(Composable):
    """Steps one after the other, each with the result of the one before: what `a >> b` gives."""

    __slots__ = ("steps",)

    def __init__(self, steps: tuple[Composable, ...]) -> None:
        for step in steps[:-1]:
            if step.ends:
                raise DeclarationError(f"nothing can follow {step!r}, which ends the workflow")
        self.steps = steps

    @property
    def ends(self) -> bool:
        return self.steps[-1].ends

    def __repr__(self) -> str:
        return " >> ".join(map(shown, self.steps))


class Step(Composable):
    """One state. `label`: its name, which may be made unique; `fields`: more of its definition."""

    kind = ""
    has_result = True

    def __init__(self, label: str, **fields: Json) -> None:
        self.label = label
        self.fields = fields
        self.retriers: tuple[dict[str, Json], ...] = ()
        self.catchers: tuple[tuple[dict[str, Json], Composable], ...] = ()

    def __repr__(self) -> str:
        return self.label

    def with_(self, **changes: Any) -> Self:  # attributes
        """A copy with some attributes changed."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **changes)
        return made

    def with_fields(self, **fields: Json) -> Self:
        """A copy with more fields."""
        return self.with_(fields={**self.fields, **fields})

    def inner(self) -> tuple[Composable, ...]:
        """What is composed in it, without handlers."""
        return ()

    def _step(self) -> Step:
        return self


class Guarded(Step):
    """A state that can have Retry and Catch."""

    def guarded(self) -> Step:
        return self


class Call(Guarded):
    """A Task state that calls a declared function."""

    kind = "Task"

    def __init__(self, function: Composable, name: str, comment: str) -> None:
        super().__init__(name)
        self.function = function
        self.resource = name
        self.comment = comment
        self.potential: tuple[Composable, ...] = ()

    def inner(self) -> tuple[Composable, ...]:
        return self.potential


class Parallel(Guarded):
    """Branches that run at once; the result is the list of theirs."""

    kind = "Parallel"

    def __init__(self, branches: tuple[Composable, ...], label: str = "parallel", **fields: Json) -> None:
        super().__init__(label, **fields)
        self.branches = branches

    def inner(self) -> tuple[Composable, ...]:
        return self.branches


class Group(Parallel):
    """Steps that are retried or caught as one: a Parallel state of one branch, whose result is that branch's."""

    has_result = False  # its place is taken by the result that stands alone

    def __init__(self, branches: tuple[Composable, ...]) -> None:
        super().__init__(branches, "try", OutputPath="$[0]")


class Each(Guarded):
    """The same for every item; the result is the list of results."""

    kind = "Map"

    def __init__(self, body: Composable, **fields: Json) -> None:
        super().__init__("each", **fields)
        self.body = body

    def inner(self) -> tuple[Composable, ...]:
        return (self.body,)


class When:
    """A condition, and what to do where it holds."""

    __slots__ = ("branch", "condition")

    def __init__(self, condition: Condition | str, branch: Composable) -> None:
        self.condition = condition
        self.branch = branch


class Choose(Step):
    """One of some branches."""

    kind = "Choice"
    has_result = False

    def __init__(self, cases: tuple[When, ...], otherwise: Composable | None) -> None:
        super().__init__("choose")
        self.cases = cases
        self.otherwise = otherwise

    @property
    def ends(self) -> bool:
        return self.otherwise is not None and all(branch.ends for branch in self.inner())

    def inner(self) -> tuple[Composable, ...]:
        last = () if self.otherwise is None else (self.otherwise,)
        return (*(case.branch for case in self.cases), *last)


class Plain(Step):
    """A state with nothing inside: Wait, Pass, Succeed, Fail."""

    def __init__(self, kind: str, label: str, **fields: Json) -> None:
        super().__init__(label, **fields)
        self.kind = kind
        self.has_result = kind == "Pass"

    @property
    def ends(self) -> bool:
        return self.kind in ("Succeed", "Fail")


def parallel(*branches: Composable) -> Parallel:
    """Run branches at once, each with the whole input; the result is the list of their results, in this order."""
    if not branches:
        raise DeclarationError("parallel() needs at least one branch")
    return Parallel(tuple(map(composable, branches)))


def each(
    body: Composable, *, items: EventPath | str | None = None, max_concurrency: int | EventPath | str | None = None
) -> Each:
    """Do the same for every item of a list: of the input, or of `items` in it. The result is the list of results.

    `max_concurrency`: how many items at once at most, or the place in the input that says so; default: no bound.
    """
    fields: dict[str, Json] = {} if items is None else {"ItemsPath": str(items)}
    if isinstance(max_concurrency, int):
        if isinstance(max_concurrency, bool) or max_concurrency < 1:
            raise DeclarationError(f"each(): max_concurrency must be a whole number from 1 up, not {max_concurrency!r}")
        fields["MaxConcurrency"] = max_concurrency
    elif max_concurrency is not None:
        fields["MaxConcurrencyPath"] = str(max_concurrency)
    return Each(composable(body), **fields)


def when(*condition_and_branch: Any) -> When:  # any of the ways below
    """A case of `choose`: `when(event.amount > 100, branch)`, `when("$.amount", ">", 100, branch)`, or a condition
    in JSONata, `when("$states.input.amount > 100", branch)`. Raises DeclarationError."""
    *condition, branch = condition_and_branch or (None,)
    return When(condition_of(tuple(condition)), composable(branch))


def choose(*cases: When, otherwise: Composable | None = None) -> Choose:
    """Go the way of the first case that holds, else `otherwise`; without that, the input goes on as it is.

    What follows in the workflow follows every branch, unless it ends with `fail` or `succeed`.
    """
    given: tuple[object, ...] = cases
    if not given or not all(isinstance(case, When) for case in given):
        raise DeclarationError("choose() takes cases, at least one: choose(when(event.amount > 100, a), otherwise=b)")
    if len({isinstance(case.condition, str) for case in cases}) > 1:
        raise DeclarationError("the conditions of one choose() are either all in JSONata or none of them is")
    return Choose(cases, None if otherwise is None else composable(otherwise))


def wait(seconds: int | EventPath | None = None, *, until: Any = None) -> Plain:  # text, datetime, EventPath
    """Wait for whole seconds, or `until` an RFC 3339 timestamp (or aware datetime); either may be a place in the input,
    as in `wait(event.delay)`. The input goes on."""
    if (seconds is None) == (until is None):
        raise DeclarationError("wait() takes either seconds or until=")
    if isinstance(seconds, EventPath):
        return Plain("Wait", "wait", SecondsPath=str(seconds))
    if isinstance(until, EventPath):
        return Plain("Wait", "wait", TimestampPath=str(until))
    if until is not None:
        return Plain("Wait", "wait", Timestamp=timestamp(until))
    given: object = seconds
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise DeclarationError(f"wait() takes whole seconds from 0 up, not {seconds!r}")
    return Plain("Wait", "wait", Seconds=seconds)


def fail(error: type[BaseException] | str, cause: str = "") -> Plain:
    """End the workflow with an error."""
    (name,) = _error_names((error,))
    return Plain("Fail", f"fail_{name}", Error=name, **({"Cause": cause} if cause else {}))


def succeed() -> Plain:
    """End the workflow (or the branch of `parallel`, the item of `each`) with the input as its result."""
    return Plain("Succeed", "succeed")


def pass_(*value: Json) -> Plain:
    """Give a value; without one, the input. Places in the input may stand in it: `pass_({"id": event.order.id})`."""
    if not value:
        return Plain("Pass", "pass")
    if len(value) > 1:
        raise DeclarationError("pass_() takes one value")
    if isinstance(value[0], EventPath):
        return Plain("Pass", "pass", InputPath=str(value[0]))
    if isinstance(value[0], dict) and _has_path(value[0]):
        return Plain("Pass", "pass", Parameters=_template(value[0]))
    return Plain("Pass", "pass", Result=value[0])


def composable(value: object) -> Composable:
    """`value`, once it can stand in a workflow. Raises DeclarationError."""
    if isinstance(value, Composable):
        return value
    raise DeclarationError(
        f"only functions and chains can follow >> or stand in a workflow, not {value!r}; is it decorated?"
    )


def steps_of(value: object) -> tuple[Composable, ...]:
    """The steps in order: those of a chain, else the one."""
    found = composable(value)
    return found.steps if isinstance(found, Chain) else (found,)


def shown(one: Composable) -> str:
    """How a step is called, for people."""
    return str(getattr(one, "name", "") or repr(one))


def _error_names(errors: tuple[object, ...]) -> tuple[str, ...]:
    """The names that a definition has for errors. Raises DeclarationError."""
    if any(error in (Exception, BaseException, ALL_ERRORS) for error in errors):
        return (ALL_ERRORS,)
    names = []
    for error in errors:
        if isinstance(error, type) and issubclass(error, BaseException):
            names.append(error.__name__)
        elif isinstance(error, str) and error:
            names.append(error)
        else:
            raise DeclarationError(f"an error is an exception's class or the name of an error, not {error!r}")
    if not names:
        raise DeclarationError("at least one error must be named")
    return tuple(names)


def _before_another(entries: tuple[dict[str, Json], ...], what: str) -> tuple[dict[str, Json], ...]:
    if entries and entries[-1]["ErrorEquals"] == [ALL_ERRORS]:
        raise DeclarationError(f"no {what} can follow one for every error; put it last")
    return entries


def _has_path(value: Json) -> bool:
    if isinstance(value, dict):
        return any(map(_has_path, value.values()))
    return isinstance(value, EventPath) or (isinstance(value, list) and any(map(_has_path, value)))


def _template(value: Json) -> Json:
    """A payload template: every place in the input under a key that says so."""
    if isinstance(value, dict):
        return {
            f"{key}.$" if isinstance(one, EventPath) else key: str(one)
            if isinstance(one, EventPath)
            else _template(one)
            for key, one in value.items()
        }
    if isinstance(value, list) and _has_path(value):
        if any(isinstance(one, EventPath) for one in value):
            raise DeclarationError("a place in the input can be the value of a key, not the item of a list")
        return [_template(one) for one in value]
    return value
