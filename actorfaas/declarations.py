"""What the decorators make: `Function` and `Workflow`, and their checks.

Owns the checks of every setting. The decorators and the registry are in `api`, what workflows are composed of is in
`composing`, the definitions they become in `compiling`; running handlers belongs to `worker`, validating definitions to
`states`.

Every instance imports this module, so it imports nothing heavy: no typing, re, inspect, functools or json at the top.
"""

from __future__ import annotations

from actorfaas.compiling import calls, compiled
from actorfaas.composing import Call, Composable
from actorfaas.errors import DeclarationError
from actorfaas.ids import STRATEGIES, STRATEGY_MEANINGS

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is; importing typing would cost every instance 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

    from actorfaas.data import Data
    from actorfaas.local_engine import StateTest, WorkflowTest
    from actorfaas.messages import FunctionSpec, WorkflowSpec

    P = ParamSpec("P")
    R = TypeVar("R", covariant=True)
    Json: TypeAlias = Any  # a decoded JSON document: the caller's business
    AnyFunction: TypeAlias = "Function[..., Any]"  # whatever its signature
    Definition: TypeAlias = "Composable | Mapping[str, Json]"

    class _Typed(Generic[P, R]):
        pass

else:
    P = R = None

    class _Typed:
        """Stands in for typing.Generic: accepts type arguments and forgets them."""

        def __class_getitem__(cls, item):
            return cls


DURABILITIES = ("standard", "express")
MAX_NAME_LENGTH = 64

_COROUTINE, _GENERATOR, _ASYNC_GENERATOR, _VARARGS = 0x80, 0x20, 0x200, 0x04  # flags of a code object


class Function(Composable, _Typed[P, R]):
    """A declared function: calling it calls the handler itself, so unit tests need no platform.

    `handler` is the undecorated callable, `kind` one of sync, async, generator, async_generator, `takes_context`
    whether it wants (event, context). The settings are attributes under the names that `api.function` gives them.
    """

    __name__: str
    __qualname__: str

    def __init__(
        self,
        handler: Callable[P, R],
        *,
        name: str | None = None,
        timeout_s: float | None = None,
        memory_mb: int = 512,
        concurrency: int = 16,
        queue_limit: int = 1000,
        warm: int = 1,
        idle_timeout_s: float = 60.0,
        retries: int = 0,
        retry_delay_s: float = 0.1,
        init: Callable[[], object] | None = None,
        env: Mapping[str, str] | None = None,
        strategy: str = "auto",
    ) -> None:
        self._describe(handler, name)
        self.timeout_s = timeout_s
        self.memory_mb = memory_mb
        self.concurrency = concurrency
        self.queue_limit = queue_limit
        self.warm = warm
        self.idle_timeout_s = idle_timeout_s
        self.retries = retries
        self.retry_delay_s = retry_delay_s
        self.init = init
        self.env = _checked_env(self.name, env)
        self.strategy = strategy
        _check_settings(self)

    def _describe(self, handler: Callable[P, R], name: str | None) -> None:
        """Keep the handler and what it is."""
        code = getattr(handler, "__code__", None)
        if code is None:
            raise DeclarationError(f"@function decorates functions written with def, not {handler!r}")
        self.handler = handler
        self.name = checked_name(handler.__name__ if name is None else name, "function")
        self.kind = _kind(code.co_flags)
        self.takes_context = _takes_context(handler, self.name)
        self.line: int = code.co_firstlineno
        self.module = handler.__module__
        self.__module__ = handler.__module__
        self.__name__ = handler.__name__
        self.__qualname__ = handler.__qualname__
        self.__doc__ = handler.__doc__
        self.__wrapped__ = handler  # what inspect.signature follows

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.handler(*args, **kwargs)

    def guarded(self) -> Call:
        """The Task state that calls it."""
        return Call(self, self.name, first_paragraph(self.__doc__))

    def __repr__(self) -> str:
        return f"<function {self.name} ({self.module}.{self.__qualname__})>"

    def spec(self) -> FunctionSpec:
        """The declaration as a message. `timeout_s` 0.0 means the node's default."""
        from actorfaas.messages import FunctionSpec

        return FunctionSpec(
            name=self.name,
            module=self.module,
            kind=self.kind,
            strategy=self.strategy,
            timeout_s=float(self.timeout_s or 0.0),
            memory_mb=self.memory_mb,
            concurrency=self.concurrency,
            queue_limit=self.queue_limit,
            warm=self.warm,
            idle_timeout_s=float(self.idle_timeout_s),
            retries=self.retries,
            retry_delay_s=float(self.retry_delay_s),
            init="" if self.init is None else self.init.__qualname__,
            env=self.env,
            description=first_paragraph(self.__doc__),
        )


class Workflow:
    """A declared workflow: a name, a definition (`asl`) and its durability. `composition`: what it was made from, None
    where the definition was given; `functions`: those it calls, by name, as far as they are known."""

    def __init__(
        self,
        name: str,
        definition: Definition,
        *,
        durability: str = "standard",
        timeout_s: float | None = None,
        module: str,
        description: str,
    ) -> None:
        self.name = checked_name(name, "workflow")
        self.composition, self.asl = _compiled(definition, self.name, description)
        self.functions = _called(self.composition)
        if durability not in DURABILITIES:
            raise DeclarationError(
                f"workflow {name!r}: durability must be one of {', '.join(DURABILITIES)}, not {durability!r}"
            )
        if timeout_s is not None:
            _check_number(f"workflow {name!r}", "timeout_s", timeout_s, above=0)
        self.durability = durability
        self.timeout_s = timeout_s
        self.module = module
        self.description = description

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"

    def spec(self) -> WorkflowSpec:
        """The declaration as a message. `timeout_s` 0.0 means the node's default. Raises DeclarationError."""
        import json

        from actorfaas.messages import WorkflowSpec

        try:
            definition = json.dumps(self.asl, indent=2, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise DeclarationError(f"workflow {self.name!r}: the definition is not JSON: {error}") from error
        return WorkflowSpec(
            name=self.name,
            definition=definition,
            durability=self.durability,
            timeout_s=float(self.timeout_s or 0.0),
            description=self.description,
        )

    def functions_of_module(self) -> dict[str, AnyFunction]:
        """The functions that the workflow's module has, by name: those that a given definition can call here."""
        import sys

        found = vars(sys.modules[self.module]).values() if self.module in sys.modules else ()
        return {one.name: one for one in found if isinstance(one, Function)}

    def run(self, value: Json = None, *, data: Data | None = None) -> Json:
        """Run the workflow in this process with the plain functions, for unit tests; returns its output.

        The definition runs on the platform's engine; time is skipped, not waited for, and time limits of states are not
        kept. Values pass between states as JSON; a generator's items become a list. `data` is what the handlers see as
        `context.data`; default: empty, in memory (`actorfaas.testing.MemoryData`). Not inside a running event loop if
        one of the functions is async.
        Raises what the handler raised that failed the workflow, WorkflowFailed for an error that no handler raised,
        and DeclarationError for a definition that is wrong.
        """
        from actorfaas.local_engine import rehearse

        return rehearse(self, value, {}, data).result()

    def test(
        self, value: Json = None, *, mocks: Mapping[str, Json] | None = None, data: Data | None = None
    ) -> WorkflowTest:
        """Run the workflow as `run` does, with some functions mocked; returns what happened, failed or not.

        `mocks`: by the name of a function (also of an activity, or a workflow that is started: what somebody outside
        answers, or that gives), a value to return, an exception to raise (or its class), or a callable that is given
        the event. Raises DeclarationError for a definition that is wrong and for a mock of a function it never calls.
        """
        from actorfaas.local_engine import rehearse

        return rehearse(self, value, mocks or {}, data)

    def test_state(
        self,
        state: str,
        value: Json = None,
        *,
        mock: Json = ...,
        variables: Mapping[str, Json] | None = None,
        context: Json = None,
        data: Data | None = None,
    ) -> StateTest:
        """Try one state by itself, as the operation TestState of Step Functions does; nothing follows it.

        `mock`: what its work gives, as in `test` (of a Parallel or Map state, the list of results); a Task without one
        calls its function. `variables`, `context`: what its expressions see. Raises DeclarationError.
        """
        from actorfaas.local_engine import try_alone

        return try_alone(self, state, value, mock=mock, variables=variables, context=context, data=data)


def first_paragraph(doc: str | None) -> str:
    """A docstring's first paragraph on one line."""
    return " ".join((doc or "").strip().split("\n\n", 1)[0].split())


def checked_name(name: object, what: str) -> str:
    """`name`, once it is a letter followed by at most 63 letters, digits, _ or -. Raises DeclarationError."""
    if (
        isinstance(name, str)
        and 0 < len(name) <= MAX_NAME_LENGTH
        and name.isascii()
        and name[0].isalpha()
        and all(character.isalnum() or character in "_-" for character in name)
    ):
        return name
    raise DeclarationError(
        f"{what} name {name!r}: a name is a letter followed by at most {MAX_NAME_LENGTH - 1} letters, digits, _ or -;"
        " give another one with name=..."
    )


def _kind(flags: int) -> str:
    if flags & _ASYNC_GENERATOR:
        return "async_generator"
    if flags & _COROUTINE:
        return "async"
    return "generator" if flags & _GENERATOR else "sync"


def _takes_context(handler: Callable[..., object], name: str) -> bool:
    """Whether the handler has a second parameter to be given. Raises DeclarationError when it cannot be called."""
    while hasattr(handler, "__wrapped__"):  # a decorator's wrapper has the signature of what it wraps
        handler = handler.__wrapped__
    code = handler.__code__
    positional: int = code.co_argcount
    required = positional - len(handler.__defaults__ or ())
    keyword_only: int = code.co_kwonlyargcount - len(handler.__kwdefaults__ or ())
    if required > 2 or keyword_only > 0 or (positional == 0 and not code.co_flags & _VARARGS):
        raise DeclarationError(f"function {name!r}: a handler takes (event) or (event, context)")
    named: str = code.co_varnames[1] if positional >= 2 else ""
    return required == 2 or named in ("ctx", "context")


def _check_settings(made: AnyFunction) -> None:
    owner = f"function {made.name!r}"
    if made.timeout_s is not None:
        _check_number(owner, "timeout_s", made.timeout_s, above=0)
    for setting, least in (("memory_mb", 1), ("concurrency", 1), ("queue_limit", 0), ("warm", 0), ("retries", 0)):
        value = getattr(made, setting)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise DeclarationError(f"{owner}: {setting} must be a whole number from {least} up, not {value!r}")
    for setting in ("idle_timeout_s", "retry_delay_s"):
        _check_number(owner, setting, getattr(made, setting), above=None)
    if made.warm > made.concurrency:
        raise DeclarationError(f"{owner}: warm={made.warm} is more than concurrency={made.concurrency}")
    if made.strategy not in STRATEGIES:
        known = ", ".join(STRATEGY_MEANINGS)
        raise DeclarationError(f"{owner}: strategy must be one of {known}, not {made.strategy!r}")
    init_code = getattr(made.init, "__code__", None)
    if made.init is not None and (init_code is None or _kind(init_code.co_flags) != "sync"):
        raise DeclarationError(f"{owner}: init must be a plain function without parameters, not {made.init!r}")


def _check_number(owner: str, setting: str, value: object, *, above: float | None) -> None:
    """Refuse what is not a finite number above `above` (None: from 0 up)."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and value < float("inf")
    if not number or not (value >= 0 if above is None else value > above):  # type: ignore[operator]  # a number
        wanted = "from 0 up" if above is None else f"above {above:g}"
        raise DeclarationError(f"{owner}: {setting} must be a number {wanted}, not {value!r}")


def _checked_env(name: str, env: Mapping[str, str] | None) -> dict[str, str]:
    made = {} if env is None else dict(env)
    for key, value in made.items():
        if not (isinstance(key, str) and isinstance(value, str) and key and "=" not in key):
            raise DeclarationError(f"function {name!r}: env maps names to text, not {key!r} to {value!r}")
    return made


def _compiled(definition: Definition, name: str, comment: str) -> tuple[Composable | None, Mapping[str, Json]]:
    """What a definition was composed of, if it was, and its ASL."""
    if isinstance(definition, Composable):
        return definition, compiled(definition, comment)
    if isinstance(definition, dict) and "StartAt" in definition and "States" in definition:
        return None, definition
    raise DeclarationError(
        f"workflow {name!r} is a chain such as a >> b, or ASL: a dict with StartAt and States; not {definition!r}"
    )


def _called(composition: Composable | None) -> dict[str, AnyFunction]:
    """The functions of a composition, by name. Raises DeclarationError where two share one."""
    found: dict[str, AnyFunction] = {}
    for call in () if composition is None else calls(composition):
        function = call.function
        if not isinstance(function, Function):
            raise DeclarationError(f"{function!r} is not a declared function")
        if found.setdefault(function.name, function) is not function:
            raise DeclarationError(f"the workflow calls two functions named {function.name!r}")
    return found
