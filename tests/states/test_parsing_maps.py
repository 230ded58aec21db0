"""Where a Map state's items are: every ReaderConfig that Step Functions takes, and what is wrong with others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.states.item_reader import ReaderConfig
from actorfaas.states.model import Map, Writer
from actorfaas.states.parsing_maps import PARQUET
from actorfaas.states.validate import validate
from tests.states.machines_kit import definition, machine
from tests.states.test_gathering import a_map

Json = Any  # a decoded JSON value of any shape

OBJECT = "arn:aws:states:::s3:getObject"
LISTING = "arn:aws:states:::s3:listObjectsV2"


def reading(resource: str, **config: Json) -> Json:
    reader = {"Resource": resource, "Parameters": {"Bucket": "b"}, "ReaderConfig": config}
    return a_map(definition(i={"Type": "Pass"}), distributed=True, ItemReader=reader)


def problems(state: Json, **more: Json) -> dict[str, str]:
    found = validate(orjson.dumps(definition(a=state)), {"f"}, **more)
    return {problem.pointer.removeprefix("/States/a/ItemReader/ReaderConfig/"): problem.text for problem in found}


@pytest.mark.parametrize(
    ("resource", "config", "expected"),
    [
        (OBJECT, {}, ReaderConfig("JSON")),
        (OBJECT, {"InputType": "PARQUET"}, ReaderConfig("PARQUET")),
        (OBJECT, {"InputType": "MANIFEST"}, ReaderConfig("CSV", through="S3_INVENTORY")),
        (OBJECT, {"ManifestType": "S3_INVENTORY"}, ReaderConfig("CSV", through="S3_INVENTORY")),
        (OBJECT, {"ManifestType": "ATHENA_DATA", "InputType": "JSONL"}, ReaderConfig("JSONL", through="ATHENA_DATA")),
        ("file", {"ManifestType": "ATHENA_DATA", "InputType": "CSV"}, ReaderConfig("CSV", through="ATHENA_DATA")),
        (LISTING, {}, ReaderConfig("")),
        (LISTING, {"Transformation": "NONE", "MaxItems": 3}, ReaderConfig("")),
        (
            LISTING,
            {"Transformation": "LOAD_AND_FLATTEN", "InputType": "CSV", "CSVDelimiter": "PIPE"},
            ReaderConfig("CSV", delimiter="|", through="LOAD_AND_FLATTEN"),
        ),
    ],
)
def test_what_is_read_and_through_what(resource: str, config: Json, expected: ReaderConfig) -> None:
    state = machine(a=reading(resource, **config)).states["a"]
    assert isinstance(state, Map)
    assert state.reader is not None
    assert state.reader.config == expected


@pytest.mark.parametrize(
    ("resource", "config", "field", "says"),
    [
        (OBJECT, {"InputType": "ORC"}, "InputType", "JSON, JSONL, CSV, PARQUET, MANIFEST"),
        (OBJECT, {"ManifestType": "ATHENA_DATA"}, "InputType", "CSV, JSONL or PARQUET"),
        (OBJECT, {"ManifestType": "ATHENA_DATA", "InputType": "JSON"}, "InputType", "CSV, JSONL or PARQUET"),
        (OBJECT, {"ManifestType": "S3_INVENTORY", "InputType": "CSV"}, "InputType", "has no InputType"),
        (OBJECT, {"Transformation": "LOAD_AND_FLATTEN", "InputType": "CSV"}, "Transformation", "s3:listObjectsV2"),
        (LISTING, {"Transformation": "LOAD_AND_FLATTEN"}, "Transformation", "the InputType of the objects"),
    ],
)
def test_what_cannot_be_read_is_said(resource: str, config: Json, field: str, says: str) -> None:
    found = problems(reading(resource, **config))
    assert says in found.get(field, f"no problem at {field}: {found}")


@pytest.mark.parametrize(
    "config",
    [
        {"InputType": "PARQUET"},
        {"InputType": "PARQUET", "ManifestType": "ATHENA_DATA"},
    ],
)
def test_a_node_without_parquet_says_which_extra_it_needs(config: Json) -> None:
    assert problems(reading(OBJECT, **config)) == {}
    (text,) = problems(reading(OBJECT, **config), refused={PARQUET}).values()
    assert "actorfaas[parquet]" in text
    assert problems(reading(OBJECT, InputType="CSV"), refused={PARQUET}) == {}
    assert problems(reading(LISTING, InputType="PARQUET"), refused={PARQUET}) == {}, "the objects are not read"


def test_a_writer_without_a_place_gives_its_results_to_the_state() -> None:
    config = {"Transformation": "FLATTEN", "OutputType": "JSON"}
    fields = {"ResultWriter": {"WriterConfig": config}}
    state = machine(a=a_map(definition(i={"Type": "Pass"}), distributed=True, **fields)).states["a"]
    assert isinstance(state, Map)
    assert state.writer == Writer("", None, "FLATTEN", "JSON")
