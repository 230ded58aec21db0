"""Any definition on any input with any results: nothing is raised, something is always under way, replays agree."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actorfaas.states import run
from actorfaas.states.adding import Added
from actorfaas.states.engine import Engine
from actorfaas.states.instructions import Closed, Entered, Exited, Finish, Opened, RunTask, Sleep
from actorfaas.states.parsing import parse, read
from tests.states.engine_driver import Driver, TaskError, replayed

Json = Any  # a decoded JSON value of any shape

# the first example may import a library, and the machine may be busy
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

MOST_STEPS = 300
MOST_AT_ONCE = 10_000

ERRORS = st.sampled_from(["E", "States.Timeout", "States.TaskFailed", "States.Runtime", "States.DataLimitExceeded"])
NAMES = st.sampled_from(["E", "States.Timeout", "States.TaskFailed", "States.BranchFailed", "States.Runtime"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from(["", "a", "2016-08-18T17:33:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=6,
)
PATHS = st.sampled_from(
    ["$", "$.a", "$.b", "$.a.b", "$[0]", "$.a[*]", "$v", "$$", "$$.State.Name", "$$.Map.Item.Value"]
)
# what most paths find something in
DATA = st.fixed_dictionaries({"a": st.lists(VALUES, min_size=1, max_size=3), "b": VALUES}) | VALUES
ITEMS = st.sampled_from(["$.a", "$.a[*]", "$"])
REFERENCES = st.sampled_from(["$", "$.a", "$.b.c", "$.a[0]"]) | st.none()
CALLS = st.sampled_from(["States.MathAdd($.a, 1)", "States.UUID()", "States.Format('{}', $)", "States.Array($, $v)"])
TEMPLATES = st.dictionaries(st.sampled_from(["x.$", "a.$"]), PATHS | CALLS, max_size=2) | st.just({"a": [1], "b": {}})
QUERIES = st.sampled_from(
    [
        *(
            "{% $states.input %}",
            "{% $states.input.a %}",
            "{% $states.input.a %}",
            "{% $v %}",
            "{% $states.result %}",
            "{% [1, 2] %}",
        ),
        *("{% $uuid() %}", "{% $states.context.State.Name %}", "{% $states.errorOutput.Error %}", "{% $random() %}"),
    ]
)
NUMBERS = st.sampled_from([0, 1, 2])


def some(**fields: st.SearchStrategy[Json]) -> st.SearchStrategy[dict[str, Json]]:
    """Any of the fields."""
    return st.fixed_dictionaries({}, optional=fields)


def merged(*parts: st.SearchStrategy[dict[str, Json]]) -> st.SearchStrategy[dict[str, Json]]:
    return st.tuples(*parts).map(lambda found: {name: value for part in found for name, value in part.items()})


def flow(*, jsonata: bool, works: bool) -> st.SearchStrategy[dict[str, Json]]:
    """The data flow fields of a state."""
    if jsonata:
        assign = st.fixed_dictionaries({"v": QUERIES})
        return some(Output=QUERIES, Assign=assign, **({"Arguments": QUERIES} if works else {}))
    fields: dict[str, st.SearchStrategy[Json]] = {
        "InputPath": st.just("$") | PATHS | st.none(),
        "OutputPath": st.just("$") | PATHS | st.none(),
        "Assign": st.fixed_dictionaries({"v.$": PATHS}),
    }
    if works:
        fields |= {"Parameters": TEMPLATES, "ResultSelector": TEMPLATES, "ResultPath": REFERENCES}
    return some(**fields)


@st.composite
def recoveries(draw: st.DrawFn, names: list[str], *, jsonata: bool) -> dict[str, Json]:
    """Retry and Catch."""
    retry = st.fixed_dictionaries(
        {"ErrorEquals": st.lists(NAMES, min_size=1, max_size=2)},
        optional={"MaxAttempts": NUMBERS, "JitterStrategy": st.just("FULL"), "BackoffRate": st.just(1.5)},
    )
    handling = some(Output=QUERIES) if jsonata else some(ResultPath=REFERENCES)
    catch = merged(
        st.fixed_dictionaries(
            {"ErrorEquals": st.just(["States.ALL"]), "Next": st.sampled_from(names)},
        ),
        handling,
    )
    return draw(some(Retry=st.lists(retry, max_size=2), Catch=st.lists(catch, min_size=1, max_size=1)))


def potential(names: list[str]) -> st.SearchStrategy[dict[str, Json]]:
    """A task that may have some states run next."""
    return st.none().map(lambda _: {}) | st.lists(st.sampled_from(names), min_size=1, max_size=2).map(
        lambda some: {"PotentialNext": some}
    )


@st.composite
def states(draw: st.DrawFn, names: list[str], depth: int, *, jsonata: bool) -> dict[str, Json]:
    """One state."""
    kinds = ["Task", "Pass", "Choice", "Wait", "Succeed", "Fail", *(["Parallel", "Map"] * 2 if depth else [])]
    kind = draw(st.sampled_from(kinds))
    state: dict[str, Json] = {"Type": kind}
    if kind not in ("Choice", "Succeed", "Fail"):
        following = draw(st.none() | st.sampled_from(names))
        state |= {"End": True} if following is None else {"Next": following}
    match kind:
        case "Task":
            state |= (
                {"Resource": "f"}
                | draw(potential(names))
                | draw(flow(jsonata=jsonata, works=True))
                | draw(recoveries(names, jsonata=jsonata))
            )
        case "Parallel":
            state["Branches"] = [draw(machines(depth - 1, jsonata=jsonata)) for _ in range(draw(st.integers(1, 3)))]
            state |= draw(flow(jsonata=jsonata, works=True)) | draw(recoveries(names, jsonata=jsonata))
        case "Map":
            state |= draw(maps(depth, jsonata=jsonata)) | draw(recoveries(names, jsonata=jsonata))
        case "Choice":
            state |= draw(choices(names, jsonata=jsonata))
        case "Wait":
            state |= draw(st.sampled_from([{"Seconds": 1}, {"Timestamp": "2026-01-01T00:00:00Z"}]))
            state |= draw(flow(jsonata=jsonata, works=False))
        case "Pass":
            state |= draw(flow(jsonata=jsonata, works=False))
        case "Fail":
            state |= draw(some(Error=ERRORS, Cause=QUERIES if jsonata else st.just("c")))
    return state


@st.composite
def maps(draw: st.DrawFn, depth: int, *, jsonata: bool) -> dict[str, Json]:
    """The fields of a Map state."""
    inner = draw(machines(depth - 1, jsonata=jsonata))
    distributed = draw(st.booleans())
    inner["ProcessorConfig"] = {"Mode": "DISTRIBUTED" if distributed else "INLINE"}
    fields: dict[str, st.SearchStrategy[Json]] = {"MaxConcurrency": NUMBERS}
    if jsonata:
        fields |= {"Items": QUERIES | st.just([1, 2, 3]), "ItemSelector": QUERIES, "Output": QUERIES}
    else:
        fields |= {"ItemsPath": ITEMS, "ItemSelector": TEMPLATES, "ResultPath": REFERENCES, "InputPath": PATHS}
    if distributed:
        fields |= {"ToleratedFailureCount": NUMBERS, "ToleratedFailurePercentage": st.sampled_from([0, 50, 100])}
        fields["ItemBatcher"] = st.sampled_from([{"MaxItemsPerBatch": 2}, {"MaxInputBytesPerBatch": 3}])
    return {"ItemProcessor": inner, **draw(some(**fields))}


@st.composite
def choices(draw: st.DrawFn, names: list[str], *, jsonata: bool) -> dict[str, Json]:
    """The fields of a Choice state."""
    rule: dict[str, st.SearchStrategy[Json]] = {"Next": st.sampled_from(names)}
    if jsonata:
        rule["Condition"] = st.booleans() | st.just("{% $states.input = 1 %}") | QUERIES
    else:
        rule |= {"Variable": PATHS, "NumericLessThan": NUMBERS}
    rules = draw(st.lists(st.fixed_dictionaries(rule), min_size=1, max_size=2))
    return {"Choices": rules, **draw(some(Default=st.sampled_from(names)))}


@st.composite
def machines(draw: st.DrawFn, depth: int = 2, *, jsonata: bool) -> dict[str, Json]:
    """A machine; every state of it can be reached."""
    names = ["s0", "s1", "s2"][: draw(st.integers(1, 3))]
    made = {name: draw(states(names, depth, jsonata=jsonata)) for name in names}
    definition = {"StartAt": "s0", "States": made}
    return connected(definition)


def connected(definition: dict[str, Json]) -> dict[str, Json]:
    """Without the states that nothing leads to."""
    reached: set[str] = set()
    waiting = [definition["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            fields = definition["States"][name]
            entries = [fields, *fields.get("Choices", ()), *fields.get("Catch", ())]
            waiting += fields.get("PotentialNext", ())
            waiting += [entry[key] for entry in entries for key in ("Next", "Default") if key in entry]
    definition["States"] = {name: fields for name, fields in definition["States"].items() if name in reached}
    return definition


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Json]:
    """A whole definition, in one of the languages."""
    jsonata = draw(st.booleans())
    return {**draw(machines(jsonata=jsonata)), "QueryLanguage": "JSONata" if jsonata else "JSONPath"}


class Chance:
    """Answers tasks by a seed."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def __call__(self, request: RunTask) -> bytes:
        orjson.loads(request.payload)
        error = self.data.draw(st.none() | ERRORS)
        if error is not None:
            raise TaskError(error, "cause")
        return orjson.dumps(self.data.draw(DATA))

    def adds(self, request: RunTask) -> tuple[Added, ...]:
        """States that the task has run next, now and then one that it may not."""
        names = st.sampled_from([*request.task.potential_next, "s0"])
        added = self.data.draw(st.just([]) | st.lists(st.tuples(names, DATA.map(orjson.dumps)), max_size=2))
        return tuple(added)


def check(driver: Driver) -> None:
    """What holds after every event: the execution has ended, or something is under way; and only what is there."""
    if driver.finish is not None:
        assert driver.engine.ended
        assert isinstance(driver.instructions[-1], Finish)
        assert driver.waiting == {}, "something is under way after the end"
        return
    assert driver.waiting, "nothing is under way"
    alive = {0}
    for instruction in driver.instructions:
        if isinstance(instruction, Opened):
            assert instruction.parent in alive
            alive.add(instruction.branch)
        elif isinstance(instruction, Closed):
            alive.remove(instruction.branch)
    assert driver.waiting.keys() <= alive
    for branch in driver.waiting:
        driver.engine.state_of(branch)


@UNHURRIED
@given(definitions(), DATA, st.data())
def test_an_execution_ends_or_waits_and_its_replay_is_where_it_is(
    definition: dict[str, Json], payload: Json, data: st.DataObject
) -> None:
    machine, problems = read(orjson.dumps(definition), refused=())
    if problems:  # the one thing that the strategies do not rule out
        assert all("would never end" in problem.text for problem in problems), problems
        return
    assert machine is not None
    chance = Chance(data)
    driver = Driver(machine, chance, adds=chance.adds)
    with patch.object(run, "MAX_AT_ONCE", MOST_AT_ONCE):
        driver.start(payload)
        check(driver)
        for _ in range(MOST_STEPS):
            if driver.finish is not None:
                break
            driver.answer(data.draw(st.sampled_from(sorted(driver.waiting))))
            check(driver)
        assert_same(driver, replayed(driver))


def assert_same(driver: Driver, engine: Engine) -> None:
    """Two engines stand at the same."""
    assert engine.ended == driver.engine.ended
    if engine.ended:
        return
    mine, theirs = driver.engine.outstanding(driver.now_ns), engine.outstanding(driver.now_ns)
    assert mine == theirs
    assert {one.branch for one in theirs if isinstance(one, RunTask | Sleep)} == driver.waiting.keys()
    for branch in driver.waiting:
        assert engine.has_input(branch)
        assert engine.state_of(branch) == driver.engine.state_of(branch)


JSON_NOISE = st.recursive(
    VALUES | st.sampled_from(["JSONata", "Task", "Map", "s0", "$.x", "{% 1 %}", "States.ALL"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "StartAt",
                        "States",
                        "Type",
                        "Next",
                        "End",
                        "Choices",
                        "Catch",
                        "Retry",
                        "ErrorEquals",
                        "Branches",
                    ),
                    *(
                        "ItemProcessor",
                        "ProcessorConfig",
                        "Mode",
                        "Assign",
                        "Items",
                        "ItemReader",
                        "ReaderConfig",
                        "Resource",
                    ),
                    *(
                        "Parameters",
                        "ResultPath",
                        "Seconds",
                        "Timestamp",
                        "QueryLanguage",
                        "Condition",
                        "Default",
                        "Output",
                    ),
                    *(
                        "MaxConcurrency",
                        "ItemBatcher",
                        "ResultWriter",
                        "WriterConfig",
                        "CSVHeaders",
                        "Error",
                        "ErrorPath",
                    ),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@UNHURRIED
@given(JSON_NOISE | definitions(), JSON_NOISE, st.data())
@example({"StartAt": "a", "States": {"a": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}}}, 1, None)
def test_reading_any_definition_gives_problems_or_a_machine(
    definition: Json, noise: Json, data: st.DataObject | None
) -> None:
    if data is not None and isinstance(definition, dict) and isinstance(definition.get("States"), dict):
        for state in definition["States"].values():
            if isinstance(state, dict) and state and data.draw(st.booleans()):
                state[data.draw(st.sampled_from(sorted(state)))] = noise
    for document in (definition, {"StartAt": "s0", "States": {"s0": noise}}):
        machine, problems = read(orjson.dumps(document), {"f"}, refused=())
        if not problems:
            assert machine is not None
            assert parse(orjson.dumps(document), refused=()) is not machine


@UNHURRIED
@given(st.lists(VALUES, min_size=1, max_size=12), st.booleans())
def test_a_chain_handed_on_ends_as_one_that_is_not(outputs: list[Json], known: bool) -> None:
    names = [f"s{n}" for n in range(len(outputs))]
    chain = {
        name: {"Type": "Task", "Resource": "f", **({"Next": following} if following else {"End": True})}
        for name, following in zip(names, [*names[1:], ""], strict=True)
    }
    machine = parse(orjson.dumps({"StartAt": "s0", "States": chain}))
    ends, walks = [], []
    for handing in (False, True):
        driver = Driver(machine, lambda request: request.payload)
        engine = driver.engine
        instructions = engine.begin(b"0", driver.now_ns)
        for name, output in zip(names, outputs, strict=True):
            payload = orjson.dumps(output)
            handed = handing and name != names[-1]
            given_payload = payload if known or not handed else None
            instructions += engine.task_succeeded(0, given_payload, driver.now_ns, handed_on=handed)
        ends.append(instructions[-1])
        walks.append([(type(one), one.state) for one in instructions if isinstance(one, Entered | Exited)])
    assert ends[0] == ends[1]
    assert walks[0] == walks[1]
