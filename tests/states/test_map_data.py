"""Items that are read from stores and results that are written there: what is asked for, and what follows."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.states.branches import Gathering, compact
from actorfaas.states.document import Document
from actorfaas.states.instructions import Closed, Failed, Finish, Noted, ReadItems, WriteResults
from actorfaas.states.item_reader import MAX_ITEMS, ReaderConfig
from actorfaas.states.items import ItemLines
from actorfaas.states.map_results import MapRun
from actorfaas.states.model import StateMachine
from tests.states.engine_driver import Driver, replayed
from tests.states.machines_kit import definition, driver, failing, failure, machine, run, task
from tests.states.test_gathering import a_map

Json = Any  # a decoded JSON value of any shape

READER = "arn:aws:states:::s3:getObject"
WRITER: Json = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "out", "Prefix": "p"}}
ASKED = ReadItems(0, "a", READER, {"Bucket": "b", "Key": "k"}, ReaderConfig("JSONL"), MAX_ITEMS)


# --- items ------------------------------------------------------------------------------------------------------------


def reading(*, retry: Json = (), **config: Json) -> StateMachine:
    reader = {"Resource": READER, "Parameters": {"Bucket": "b", "Key.$": "$.key"}, "ReaderConfig": config}
    return machine(a=a_map(definition(i={"Type": "Pass"}), distributed=True, ItemReader=reader, Retry=list(retry)))


def test_items_are_asked_for_and_given_to_iterations() -> None:
    one = driver(reading(InputType="JSONL"), objects={("b", "k"): b'{"a":1}\n\n[2]\n'})
    assert orjson.loads(one.run({"key": "k"}).payload) == [{"a": 1}, [2]]
    assert [i for i in one.instructions if isinstance(i, ReadItems)] == [ASKED]


def test_items_that_lie_elsewhere_are_decoded_as_they_are_taken() -> None:
    one = driver(reading(InputType="JSONL"))
    one.start({"key": "k"})
    one.instructions += one.engine.items_read(0, ItemLines(b'{"a":1}\n[2]\n', 2), 0)
    last = one.instructions[-1]
    assert isinstance(last, Finish)
    assert orjson.loads(last.payload) == [{"a": 1}, [2]]


@pytest.mark.parametrize(("fields", "most"), [({"MaxItems": 7}, 7), ({"MaxItemsPath": "$.n"}, 3), ({}, MAX_ITEMS)])
def test_the_reader_knows_how_many_items_are_wanted(fields: Json, most: int) -> None:
    one = driver(reading(InputType="CSV", **fields))
    one.start({"key": "k", "n": 3})
    (request,) = [i for i in one.instructions if isinstance(i, ReadItems)]
    assert (request.most, request.config) == (most, ReaderConfig("CSV"))


def test_items_that_cannot_be_read_fail_the_state() -> None:
    last = failure(reading(InputType="JSON"), {"key": "missing"})
    assert (last.error, last.cause) == ("States.ItemReaderFailed", "no such object")
    last = failure(reading(InputType="JSON"), {"key": "k"}, objects={("b", "k"): b"{"})
    assert last.error == "States.ItemReaderFailed"
    last = failure(reading(InputType="CSV", MaxItemsPath="$.n"), {"key": "k", "n": -1})
    assert (last.error, last.cause) == ("States.ItemReaderFailed", "field MaxItems must be positive")


def test_a_state_that_is_retried_asks_for_its_items_again() -> None:
    one = driver(reading(InputType="JSON", retry=[{"ErrorEquals": ["States.ItemReaderFailed"], "MaxAttempts": 1}]))
    one.start({"key": "k"})
    one.answer(0)
    one.objects = {("b", "k"): b"[1]"}
    while one.finish is None:
        one.step()
    assert one.finish.payload == b"[1]"
    assert len({i.payload for i in one.instructions if isinstance(i, Noted) and i.type == "MapRunStarted"}) == 2


def test_a_request_to_a_store_can_be_made_again() -> None:
    one = driver(reading(InputType="JSONL"))
    one.start({"key": "k"})
    assert one.engine.run_again(0, 0) == [ASKED]
    assert one.engine.outstanding(0) == [ASKED]


# --- results ----------------------------------------------------------------------------------------------------------


def writing(inner: Json | None = None, *, config: Json | None = None, **fields: Json) -> StateMachine:
    writer = WRITER if config is None else {**WRITER, "WriterConfig": config}
    return machine(
        a=a_map(inner or definition(i={"Type": "Pass"}), distributed=True, **{"ResultWriter": writer, **fields})
    )


def written(one: Driver) -> list[tuple[str, Json]]:
    """What the last request would have written: to which kind of file, and each line."""
    return [(kind, orjson.loads(line)) for kind, line in one.written[-1].parts()]


def test_results_are_written_with_data_about_their_executions() -> None:
    one = driver(writing())
    last = orjson.loads(one.run(["x", {"y": 2}]).payload)
    request = one.written[0]
    assert request == WriteResults(
        0, "a", WRITER["Resource"], WRITER["Parameters"], "JSON", request.run_id, request.arn, lambda: iter(())
    )
    assert last == {"MapRunArn": request.arn, "ResultWriterDetails": {"Bucket": "b", "Key": "k"}}
    assert request.arn == f"machine-id/a:{request.run_id}"
    (kind, first), (_, second) = written(one)
    assert kind == "SUCCEEDED"
    assert first.pop("StartDate") == first.pop("StopDate")
    assert first == {
        "ExecutionArn": f"{request.arn}-0",
        "Input": '"x"',
        "InputDetails": {"Included": True},
        "Name": f"{request.run_id}-0",
        "Output": '"x"',
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "StateMachineArn": "machine-id",
        "Status": "SUCCEEDED",
    }
    assert second["Output"] == '{"y":2}'


@pytest.mark.parametrize(
    ("transformation", "lines"), [("COMPACT", [[1, 2], 3, []]), ("FLATTEN", [1, 2, 3])], ids=["compact", "flatten"]
)
def test_outputs_alone_can_be_written(transformation: str, lines: Json) -> None:
    one = driver(writing(config={"OutputType": "JSONL", "Transformation": transformation}))
    one.run([[1, 2], 3, []])
    assert one.written[0].output_type == "JSONL"
    assert written(one) == [("SUCCEEDED", line) for line in lines]


def test_results_can_be_transformed_without_being_written() -> None:
    for transformation, expected in (("FLATTEN", [1, 2, 3]), ("COMPACT", [[1, 2], 3, []])):
        writer = {"WriterConfig": {"Transformation": transformation, "OutputType": "JSON"}}
        assert run(writing(ResultWriter=writer), [[1, 2], 3, []]) == expected
    (record,) = run(writing(ResultWriter={"WriterConfig": {"Transformation": "NONE"}}), ["x"])
    assert (record["Input"], record["Output"], record["Status"]) == ('"x"', '"x"', "SUCCEEDED")


def test_what_failed_is_written_apart_where_that_is_tolerated() -> None:
    one = driver(writing(definition(i=task()), ToleratedFailureCount=1), {"f": failing("E", "why")})
    one.run([1])
    ((kind, record),) = written(one)
    assert kind == "FAILED"
    assert (record["Status"], record["Error"], record["Cause"]) == ("FAILED", "E", "why")
    assert "Output" not in record


def test_results_are_written_where_too_much_failed_and_then_the_state_fails() -> None:
    made = writing(definition(i=task()), MaxConcurrency=2, ItemSelector={"v.$": "$$.Map.Item.Value"})
    one = driver(made, {"f": failing("E")})
    last = one.run([0, 1, 2, 3])
    assert (last.error, last.failed) == ("States.ExceedToleratedFailureThreshold", True)
    assert [(kind, record["Status"], record["Input"]) for kind, record in written(one)] == [
        ("FAILED", "FAILED", '{"v":0}'),
        ("PENDING", "ABORTED", '{"v":1}'),
        ("PENDING", "PENDING", '{"v":2}'),
        ("PENDING", "PENDING", '{"v":3}'),
    ]
    assert written(one) == written(one)
    order = [type(i) for i in one.instructions if isinstance(i, WriteResults | Failed)]
    assert order == [WriteResults, Failed]
    assert sorted(i.branch for i in one.instructions if isinstance(i, Closed)) == [1, 2]
    (failed,) = [i for i in one.instructions if isinstance(i, Noted) and i.type == "MapRunFailed"]
    counts = {"total": 4, "pending": 2, "aborted": 1, "succeeded": 0, "failed": 1}
    assert orjson.loads(failed.payload) == {"MapRunArn": one.written[0].arn, "ItemCounts": counts}


def test_batches_that_did_not_begin_are_written_as_batches() -> None:
    one = driver(
        writing(definition(i=task()), MaxConcurrency=1, ItemBatcher={"MaxItemsPerBatch": 2}), {"f": failing("E")}
    )
    one.run([0, 1, 2, 3, 4])
    assert [(kind, orjson.loads(record["Input"])["Items"]) for kind, record in written(one)] == [
        ("FAILED", [0, 1]),
        ("PENDING", [2, 3]),
        ("PENDING", [4]),
    ]


def test_results_that_cannot_be_written_fail_the_state() -> None:
    one = driver(writing())
    one.start([1])
    last = one.engine.task_failed(0, "States.ResultWriterFailed", "no room", 0)[-1]
    assert (last.error, last.cause) == ("States.ResultWriterFailed", "no room")  # type: ignore[union-attr]


def test_no_items_make_no_results() -> None:
    one = driver(writing())
    one.run([])
    assert written(one) == []


def test_a_replay_names_a_map_run_as_before() -> None:
    one = driver(writing())
    one.start([1])
    (again,) = replayed(one).outstanding(one.now_ns)
    assert again == one.waiting[0]


def test_what_is_kept_of_an_iteration_holds_no_more_than_its_text() -> None:
    """orjson's texts hold 4 KiB each: 40 MB of a Map state of ten thousand items."""
    gathering = Gathering(limit=1, items=[1], map_run=MapRun("run", "arn", "machine"), keeps_children=True)
    document, output = Document.of({"a": 1}), orjson.dumps([1])
    gathering.began(1, document, 1, now_ms=1)
    gathering.ended(0, output, now_ms=2)
    (child,) = gathering.map_run.children  # type: ignore[union-attr]  # it was given
    assert (child.input, child.output) == (document.text, output)
    assert child.input is not document.text
    assert child.output is not output
    long = b"x" * 5000
    assert compact(long) is long
