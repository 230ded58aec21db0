"""`actorfaas.api`, `declarations` and `local`: what decorators make, refuse and compile to."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorfaas import Chain, Context, Function, Workflow, function, workflow
from actorfaas.api import _registry, declared
from actorfaas.compiling import compiled
from actorfaas.errors import DeclarationError, DeployError

HERE = __name__


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """What a test declares is forgotten after it."""
    before = list(_registry)
    yield
    _registry[:] = before


def make(name: str, **settings: Any) -> Function[..., Any]:  # any of the decorator's settings
    @function(name=name, **settings)
    def handler(event: Any) -> Any:  # JSON
        return [*event, name]

    return handler


class TestFunction:
    def test_a_declared_function_is_still_called_as_written(self) -> None:
        @function
        def double(event: int) -> int:
            """Twice as much."""
            return event * 2

        assert double(4) == 8
        assert double.__name__ == "double"
        assert double.__doc__ == "Twice as much."
        assert list(inspect.signature(double).parameters) == ["event"]

    def test_defaults_of_the_settings(self) -> None:
        spec = make("plain").spec()
        assert (spec.name, spec.strategy, spec.timeout_s, spec.memory_mb) == ("plain", "auto", 0.0, 512)
        assert (spec.concurrency, spec.queue_limit, spec.warm, spec.idle_timeout_s) == (16, 1000, 1, 60.0)
        assert (spec.retries, spec.retry_delay_s, spec.init, spec.env) == (0, 0.1, "", {})

    def test_settings_reach_the_spec(self) -> None:
        def load() -> None:
            pass

        spec = make("tuned", timeout_s=5, warm=0, strategy="fork", init=load, env={"A": "1"}, retries=2).spec()
        assert (spec.timeout_s, spec.warm, spec.strategy, spec.retries) == (5.0, 0, "fork", 2)
        assert spec.init == load.__qualname__
        assert spec.env == {"A": "1"}
        assert isinstance(spec.timeout_s, float)

    def test_description_is_the_first_paragraph_on_one_line(self) -> None:
        @function
        def described(event: Any) -> None:  # JSON
            """Resizes
            a picture.

            More about it.
            """

        assert described.spec().description == "Resizes a picture."

    def test_kinds(self) -> None:
        @function
        def plain(event: int) -> int:
            return event

        @function
        async def coroutine(event: int) -> int:
            return event

        @function
        def generator(event: int) -> Iterator[int]:
            yield event

        @function
        async def async_generator(event: int) -> AsyncIterator[int]:
            yield event

        kinds = [one.kind for one in (plain, coroutine, generator, async_generator)]
        assert kinds == ["sync", "async", "generator", "async_generator"]

    def test_the_module_locates_the_handler(self) -> None:
        assert make("located").spec().module == HERE

    def test_a_wrapped_handler_has_the_signature_of_what_it_wraps(self) -> None:
        def logged(handler: Callable[..., int]) -> Callable[..., int]:
            @functools.wraps(handler)
            def wrapper(*args: Any, **kwargs: Any) -> int:  # whatever the handler takes
                return handler(*args, **kwargs)

            return wrapper

        @function
        @logged
        def with_context(event: int, ctx: Context) -> int:
            return event + ctx.attempt

        assert with_context.name == "with_context"
        assert with_context.takes_context
        assert with_context(1, Context(attempt=2)) == 3

    @pytest.mark.parametrize(
        ("handler", "takes_context"),
        [
            (lambda event: event, False),
            (lambda event, ctx: event, True),
            (lambda event, context=None: event, True),
            (lambda event, scale=2: event, False),
            (lambda *events: events, False),
            (lambda event, *, scale=2: event, False),
        ],
    )
    def test_whether_a_handler_takes_the_context(self, handler: Callable[..., object], takes_context: bool) -> None:
        assert function(name="probe")(handler).takes_context is takes_context

    @pytest.mark.parametrize(
        "handler",
        [lambda: None, lambda a, b, c: None, lambda event, *, needed: None],
        ids=["no parameter", "three parameters", "required keyword"],
    )
    def test_a_handler_that_cannot_be_called_is_refused(self, handler: Callable[..., object]) -> None:
        with pytest.raises(DeclarationError, match=r"takes \(event\) or \(event, context\)"):
            function(name="probe")(handler)

    def test_only_functions_are_decorated(self) -> None:
        with pytest.raises(DeclarationError, match="written with def"):
            function(functools.partial(print, "x"))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"timeout_s": 0}, "timeout_s must be a number above 0, not 0"),
            ({"timeout_s": -1}, "timeout_s must be a number above 0"),
            ({"timeout_s": "5"}, "timeout_s must be a number above 0, not '5'"),
            ({"timeout_s": float("nan")}, "timeout_s"),
            ({"timeout_s": float("inf")}, "timeout_s"),
            ({"memory_mb": 0}, "memory_mb must be a whole number from 1 up"),
            ({"memory_mb": 1.5}, "memory_mb must be a whole number"),
            ({"concurrency": True}, "concurrency must be a whole number"),
            ({"queue_limit": -1}, "queue_limit must be a whole number from 0 up"),
            ({"warm": -1}, "warm must be a whole number from 0 up"),
            ({"warm": 5, "concurrency": 4}, "warm=5 is more than concurrency=4"),
            ({"idle_timeout_s": -0.1}, "idle_timeout_s must be a number from 0 up"),
            ({"retries": -1}, "retries must be a whole number from 0 up"),
            ({"retry_delay_s": None}, "retry_delay_s must be a number from 0 up, not None"),
            ({"strategy": "magic"}, "strategy must be one of auto, "),
            ({"init": "load"}, "init must be a plain function without parameters, not 'load'"),
            ({"env": {"A": 1}}, "env maps names to text"),
            ({"env": {"A=B": "1"}}, "env maps names to text"),
        ],
    )
    def test_a_setting_that_cannot_be_is_refused_when_decorating(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(DeclarationError) as caught:
            make("probe", **settings)
        assert message in str(caught.value)
        assert "'probe'" in str(caught.value)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, DeployError)

    def test_an_async_init_is_refused(self) -> None:
        async def load() -> None:
            pass

        with pytest.raises(DeclarationError, match="init must be a plain function"):
            make("probe", init=load)

    @pytest.mark.parametrize("name", ["a", "Z9", "a-b_c", "a" * 64])
    def test_names_that_can_be(self, name: str) -> None:
        assert make(name).name == name

    @pytest.mark.parametrize("name", ["", "9a", "_a", "-a", "a b", "a/b", "é", "aé", "a" * 65, "a@1", "a\n"])
    def test_names_that_cannot_be(self, name: str) -> None:
        with pytest.raises(DeclarationError, match="a name is a letter followed by"):
            make(name)

    def test_env_is_a_copy(self) -> None:
        env = {"A": "1"}
        made = make("copied", env=env)
        env["A"] = "2"
        assert made.spec().env == {"A": "1"}


class TestChain:
    def test_a_chain_compiles_to_asl_in_order(self) -> None:
        a, b, c = make("a"), make("b"), make("c")
        assert compiled(a >> b >> c) == {
            "StartAt": "a",
            "States": {
                "a": {"Type": "Task", "Resource": "a", "Next": "b"},
                "b": {"Type": "Task", "Resource": "b", "Next": "c"},
                "c": {"Type": "Task", "Resource": "c", "End": True},
            },
        }
        assert list(compiled(c >> a >> b)["States"]) == ["c", "a", "b"]

    def test_chains_can_be_joined(self) -> None:
        a, b, c, d = make("a"), make("b"), make("c"), make("d")
        assert ((a >> b) >> (c >> d)).steps == (a, b, c, d)
        assert (a >> (b >> c)).steps == (a, b, c)

    def test_a_chain_is_not_changed_by_going_on(self) -> None:
        a, b, c = make("a"), make("b"), make("c")
        first = a >> b
        first >> c  # the result is not wanted: `first` is what is looked at
        assert len(first.steps) == 2

    def test_repeated_functions_get_a_number(self) -> None:
        a, b = make("a"), make("b")
        assert list(compiled(a >> b >> a >> a)["States"]) == ["a", "b", "a_2", "a_3"]
        assert compiled(a >> b >> a)["States"]["a_2"] == {"Type": "Task", "Resource": "a", "End": True}

    def test_a_numbered_name_avoids_a_function_of_that_name(self) -> None:
        a, taken = make("a"), make("a_2")
        assert list(compiled(a >> a >> taken)["States"]) == ["a", "a_3", "a_2"]

    def test_what_is_not_declared_cannot_follow(self) -> None:
        with pytest.raises(DeclarationError, match="is it decorated"):
            make("a") >> print  # type: ignore[operator]  # that is the mistake


class TestWorkflow:
    def test_from_a_chain(self) -> None:
        made = workflow("pipeline", make("a") >> make("b"))
        spec = made.spec()
        assert (spec.name, spec.durability, spec.timeout_s) == ("pipeline", "standard", 0.0)
        assert json.loads(spec.definition)["StartAt"] == "a"
        assert list(json.loads(spec.definition)["States"]) == ["a", "b"]

    def test_from_one_function(self) -> None:
        assert list(workflow("single", make("a")).asl["States"]) == ["a"]

    def test_decorating_a_builder(self) -> None:
        a, b = make("a"), make("b")

        @workflow
        def pipeline() -> Chain:
            """Does a, then b."""
            return a >> b

        assert isinstance(pipeline, Workflow)
        assert pipeline.name == "pipeline"
        assert pipeline.spec().description == "Does a, then b."

    def test_decorating_with_settings(self) -> None:
        a = make("a")

        @workflow(name="fast-one", durability="express", timeout_s=3)
        def _() -> Function[..., Any]:
            return a

        spec = _.spec()
        assert (spec.name, spec.durability, spec.timeout_s) == ("fast-one", "express", 3.0)

    def test_asl_is_taken_as_it_is(self) -> None:
        asl = {"Comment": "Two paths", "StartAt": "x", "States": {"x": {"Type": "Succeed"}}}
        made = workflow("given", asl=asl)
        assert json.loads(made.spec().definition) == asl
        assert made.spec().description == "Two paths"

    @pytest.mark.parametrize(
        ("arguments", "keywords", "message"),
        [
            (("x",), {}, "needs one definition"),
            (("x", {"StartAt": "a", "States": {}}), {"asl": {"StartAt": "a", "States": {}}}, "needs one definition"),
            (("x", {"States": {}}), {}, "a dict with StartAt and States"),
            (("x", 3), {}, "is a chain such as a >> b"),
            (("9x", {"StartAt": "a", "States": {}}), {}, "workflow name '9x'"),
            (("x", {"StartAt": "a", "States": {}}), {"durability": "weak"}, "standard, express, not 'weak'"),
            (("x", {"StartAt": "a", "States": {}}), {"timeout_s": 0}, "timeout_s must be a number above 0"),
        ],
    )
    def test_refused(self, arguments: tuple[Any, ...], keywords: dict[str, Any], message: str) -> None:
        with pytest.raises(DeclarationError) as caught:
            workflow(*arguments, **keywords)
        assert message in str(caught.value)

    def test_a_definition_that_is_not_json_is_refused_by_name(self) -> None:
        made = workflow("odd", asl={"StartAt": "a", "States": {"a": {1, 2}}})
        with pytest.raises(DeclarationError, match="'odd': the definition is not JSON"):
            made.spec()


class TestRun:
    def test_runs_every_kind_in_order(self) -> None:
        @function
        def start(event: int) -> int:
            return event + 1

        @function
        async def triple(event: int) -> int:
            return event * 3

        @function
        def count(event: int) -> Iterator[int]:
            yield from range(event)

        @function
        async def total(event: list[int]) -> AsyncIterator[int]:
            yield sum(event)

        assert workflow("all", start >> triple >> count >> total).run(0) == [3]

    def test_values_pass_as_json(self) -> None:
        @function
        def pair(event: None) -> tuple[int, int]:
            return (1, 2)

        assert workflow("pairs", pair).run() == [1, 2]

    def test_what_is_not_json_names_its_state(self) -> None:
        @function
        def bad(event: None) -> object:
            return object()

        with pytest.raises(TypeError, match="state 'bad': the result is not JSON"):
            workflow("w", bad).run()

    def test_the_context_names_the_state_and_shares_data(self) -> None:
        seen: list[tuple[str, str, str]] = []

        @function
        def visit(event: int, ctx: Context) -> int:
            seen.append((ctx.function_name, ctx.state, ctx.execution_id))
            ctx.data.put("visits", ctx.data.get("visits", 0) + 1)
            visits: int = ctx.data.get("visits")
            return visits

        assert workflow("w", visit >> visit).run(0) == 2
        assert [(name, state) for name, state, _ in seen] == [("visit", "visit"), ("visit", "visit_2")]
        assert len({execution for *_, execution in seen}) == 1

    def test_an_error_passes_through(self) -> None:
        @function
        def fails(event: None) -> None:
            raise KeyError("missing")

        with pytest.raises(KeyError, match="missing"):
            workflow("w", fails).run()


class TestDeclared:
    def test_in_order_and_only_of_these_modules(self) -> None:
        first, second = make("first"), make("second")
        made = workflow("both", first >> second)
        functions, workflows = declared([HERE])
        assert functions == [first, second]
        assert workflows == [made]
        assert declared(["somewhere.else"]) == ([], [])

    def test_functions_of_other_modules_that_a_workflow_uses(self, module: ModuleMaker) -> None:
        library = module("library", "from actorfaas import function\n@function\ndef helper(event): ...\n")
        workflow("uses", make("own") >> library.helper)
        assert [one.name for one in declared([HERE])[0]] == ["helper", "own"]

    def test_a_name_used_twice_in_one_module(self) -> None:
        make("twice")
        with pytest.raises(DeclarationError, match=r"the name 'twice' is declared twice: .* line \d+ and .* line \d+"):
            make("twice")

    def test_a_workflow_and_a_function_share_no_name(self) -> None:
        made = make("shared")
        with pytest.raises(DeclarationError, match="'shared' is declared twice"):
            workflow("shared", made)

    def test_a_name_used_in_two_modules(self, module: ModuleMaker) -> None:
        source = "from actorfaas import function\n@function\ndef same(event): ...\n"
        module("one", source)
        module("two", source)
        with pytest.raises(DeclarationError, match=r"'same' is declared twice: one\.py line 2 and two\.py line 2"):
            declared(["one", "two"])

    def test_a_module_loaded_again_replaces_its_declarations(self, module: ModuleMaker, tmp_path: Path) -> None:
        loaded = module("changing", "from actorfaas import function\n@function\ndef old(event): ...\n")
        (tmp_path / "changing.py").write_text("from actorfaas import function\n\n@function\ndef new_one(event): ...\n")
        importlib.invalidate_caches()
        importlib.reload(loaded)
        assert [one.name for one in declared(["changing"])[0]] == ["new_one"]


ModuleMaker = Callable[[str, str], Any]  # a module: its attributes are the source's business


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleMaker]:
    """Writes and imports a module."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names: list[str] = []

    def make_module(name: str, source: str) -> Any:  # as ModuleMaker
        (tmp_path / f"{name}.py").write_text(source)
        names.append(name)
        return importlib.import_module(name)

    yield make_module
    for name in names:
        sys.modules.pop(name, None)


def test_the_import_stays_light() -> None:
    """Every instance pays for it; these modules cost milliseconds each."""
    heavy = ["typing", "re", "inspect", "dataclasses", "json", "logging", "asyncio", "enum", "functools", "msgpack"]
    program = f"import sys, actorfaas; print([name for name in {heavy!r} if name in sys.modules])"
    root = Path(__file__).resolve().parents[1]
    bare = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {program}"]
    done = subprocess.run(bare, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
