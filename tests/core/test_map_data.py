"""Map states with items and results in stores: what is asked for, what is journalled, restarts in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from actorfaas.core.effects import Export, Fetch
from actorfaas.core.map_data import export_place, fetch_of
from actorfaas.messages import FetchItems, ItemsFetched
from actorfaas.states.errors import StatedFailure
from actorfaas.states.instructions import ReadItems, WriteResults
from actorfaas.states.item_reader import ReaderConfig
from tests.core.branching_rig import define, machine, task
from tests.core.specs import function
from tests.core.world import World

Json = Any  # a decoded JSON value of any shape

FOUND = ItemsFetched("pay_1", "/payloads/1/pay_1", 3, 6)
READ = "arn:aws:states:::s3:getObject"


def mapped(**fields: Json) -> Json:
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, **machine(one=task("a"))}
    reader = {"Resource": READ, "Parameters": {"Bucket": "b", "Key": "k"}}
    return machine(each={"Type": "Map", "ItemReader": reader, "ItemProcessor": processor, "End": True, **fields})


def make() -> World:
    world = World()
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "out"}}
    retry = [{"ErrorEquals": ["States.ItemReaderFailed"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    world.deploy(
        function("a", warm=2),
        workflows=(
            define("reads", mapped(MaxConcurrency=2)),
            define("writes", mapped(ResultWriter=writer)),
            define("again", mapped(Retry=retry)),
        ),
    )
    world.settle()
    return world


def asked(world: World) -> Fetch | Export:
    (effect,) = world.asked.values()
    return effect


def give_items(world: World, items: Sequence[Json] = (1, 2, 3)) -> None:
    """The DataLayer has read what is asked for."""
    effect = asked(world)
    del world.asked[effect.ticket]
    place = effect.execution_id, effect.request.branch
    world.executions.items_read(place, effect.ticket, FOUND, items, world.now)
    world.flush()
    world.check()


def test_iterations_begin_once_the_items_are_there() -> None:
    world = make()
    world.start("reads", "e1")
    world.settle()
    effect = asked(world)
    assert isinstance(effect, Fetch)
    assert (effect.execution_id, effect.app, effect.version) == ("e1", "app", 1)
    assert not world.busy()
    give_items(world)
    world.settle()
    assert len(world.busy()) == 2
    world.run()
    assert world.outcome("e1") == ("succeeded", b"[2,3,4]")
    (event,) = [one for one in world.store["e1"].events.values() if one.type == "MapItemsRead"]
    assert (event.state, event.branch) == ("each", 0)
    assert orjson.loads(event.payload) == {"File": "pay_1", "Count": 3, "Bytes": 6}


def test_how_many_items_there_were_is_learned() -> None:
    world = make()
    for execution in ("e1", "e2"):
        world.start("reads", execution)
        world.settle()
        give_items(world)
        world.run()
    plan = world.plan("reads")
    assert plan.habits.items(plan.machine.states["each"]) == pytest.approx(3, abs=0.5)


def test_what_cannot_be_read_fails_the_state_or_is_tried_again() -> None:
    world = make()
    world.start("again", "e1")
    for _ in range(2):
        world.settle()
        effect = asked(world)
        del world.asked[effect.ticket]
        place = "e1", effect.request.branch
        world.executions.map_data_failed(place, effect.ticket, "no such object", world.now)
        world.flush()
        world.check()
        world.advance(1.1)
    world.settle()
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.error_type, finish.error_message) == ("States.ItemReaderFailed", "no such object")
    assert world.types("e1").count("MapItemsReadFailed") == 2


def test_results_are_written_before_the_state_ends() -> None:
    world = make()
    world.start("writes", "e1")
    world.settle()
    give_items(world)
    world.run()
    effect = asked(world)
    assert isinstance(effect, Export)
    assert len(list(effect.request.parts())) == 3
    assert world.store["e1"].finish is None
    world.executions.map_results_written(("e1", 0), effect.ticket, "out", "r/manifest.json", world.now)
    world.flush()
    world.settle()
    output = orjson.loads(world.outcome("e1")[1])
    assert output["ResultWriterDetails"] == {"Bucket": "out", "Key": "r/manifest.json"}


def test_answers_that_nobody_waits_for_are_ignored() -> None:
    world = make()
    world.start("reads", "e1")
    world.settle()
    effect = asked(world)
    assert world.cancel("e1")
    assert not world.asked, "it is given up"
    world.executions.items_read(("e1", 0), effect.ticket, FOUND, [1], world.now)
    world.executions.map_results_written(("e1", 0), effect.ticket, "b", "k", world.now)
    world.executions.map_data_failed(("e1", 0), "another", "no", world.now)
    world.settle()
    assert "MapItemsRead" not in world.types("e1")
    assert world.outcome("e1")[0] == "cancelled"


def restart(world: World, items: Sequence[Json] | None) -> None:
    """The ExecutionManager is killed; what was read is still there, or (None) not."""
    world.settle()
    world.asked.clear()
    world.kept_items = {} if items is None else {"pay_1": items}
    world.restart_manager()
    world.settle()


def test_a_restart_asks_again_for_what_was_not_there_yet() -> None:
    world = make()
    world.start("reads", "e1", wait_for_commit=True)
    restart(world, None)
    give_items(world)
    world.run()
    assert world.outcome("e1") == ("succeeded", b"[2,3,4]")


@pytest.mark.parametrize("returned", [0, 1, 2])
def test_a_restart_goes_on_with_the_same_items(returned: int) -> None:
    world = make()
    world.start("reads", "e1", wait_for_commit=True)
    world.settle()
    give_items(world)
    world.settle()
    for _ in range(returned):
        world.finish(world.busy()[0])
    restart(world, [1, 2, 3])
    world.run()
    assert world.outcome("e1") == ("succeeded", b"[2,3,4]")
    assert not world.asked


def test_a_restart_fails_clearly_where_the_items_are_gone() -> None:
    world = make()
    world.start("reads", "e1", wait_for_commit=True)
    world.settle()
    give_items(world)
    restart(world, None)
    finish = world.store["e1"].finish
    assert finish is not None
    assert (finish.status, finish.error_type) == ("failed", "States.Runtime")
    assert "the items that state 'each' had read are not there any more" in finish.error_message


def test_a_restart_after_the_results_were_written_does_not_write_them_again() -> None:
    world = make()
    world.start("writes", "e1", wait_for_commit=True)
    world.settle()
    give_items(world)
    world.run()
    run_id = asked(world).request.run_id  # type: ignore[union-attr]  # it is an Export
    restart(world, [1, 2, 3])
    effect = asked(world)
    assert isinstance(effect, Export)
    assert effect.request.run_id == run_id, "it replaces what may have been written"
    world.executions.map_results_written(("e1", 0), effect.ticket, "out", "k", world.now)
    world.flush()
    restart(world, [1, 2, 3])
    assert not world.asked
    assert world.outcome("e1")[0] == "succeeded"


# --- what the parameters say --------------------------------------------------------------------------------------


def reads(resource: str, parameters: Json) -> ReadItems:
    return ReadItems(0, "each", resource, parameters, ReaderConfig("CSV", ("h",), ";", "/p", "ATHENA_DATA"), 7)


@pytest.mark.parametrize(
    ("resource", "parameters", "source"),
    [
        (READ, {"Bucket": "b", "Key": "k"}, ("object", "b", "k")),
        ("arn:aws:states:::s3:listObjectsV2", {"Bucket": "b", "Prefix": "p/"}, ("list", "b", "p/")),
        ("arn:aws:states:::s3:listObjectsV2", {"Bucket": "b"}, ("list", "b", "")),
        ("file", {"Path": "items.json"}, ("file", "/bundle", "items.json")),
    ],
)
def test_what_is_asked_for(resource: str, parameters: Json, source: tuple[str, str, str]) -> None:
    assert fetch_of("t", reads(resource, parameters), "/bundle") == FetchItems(
        "t", *source, "CSV", ("h",), ";", "/p", "ATHENA_DATA", 7
    )


@pytest.mark.parametrize(
    ("resource", "parameters", "name"),
    [(READ, {"Key": "k"}, "Bucket"), (READ, {"Bucket": "b", "Key": 1}, "Key"), ("file", [], "Path")],
)
def test_parameters_that_say_too_little(resource: str, parameters: Json, name: str) -> None:
    with pytest.raises(StatedFailure, match=name) as raised:
        fetch_of("t", reads(resource, parameters), "")
    assert raised.value.error == "States.ItemReaderFailed"


def test_where_results_go() -> None:
    def place(parameters: Json) -> tuple[str, str]:
        return export_place(WriteResults(0, "each", "r", parameters, "JSON", "run", "arn", lambda: iter(())))

    assert place({"Bucket": "b", "Prefix": "/p/q/"}) == ("b", "p/q/run")
    assert place({"Bucket": "b"}) == ("b", "run")
    with pytest.raises(StatedFailure, match="Bucket") as raised:
        place({"Prefix": "p"})
    assert raised.value.error == "States.ResultWriterFailed"
