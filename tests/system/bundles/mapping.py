"""Distributed Map states: items from objects and files, results to objects, batches, tolerated failures."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from actorfaas import Context, function, workflow

Json = Any  # a decoded JSON document
Machine = dict[str, Json]

READ = "arn:aws:states:::s3:getObject"
LIST = "arn:aws:states:::s3:listObjectsV2"
WRITE = "arn:aws:states:::s3:putObject"


@function(timeout_s=20, concurrency=8)
def keep(item: Json) -> Json:
    return item


@function(timeout_s=20, concurrency=8)
def odd(row: Json) -> Json:
    """Refuse even numbers."""
    if int(row["n"]) % 2 == 0:
        raise ValueError(f"{row['n']} is even")
    return row["n"]


@function(timeout_s=60, concurrency=4)
def gated(row: Json, ctx: Context) -> int:
    """Leave a mark for each run; every tenth waits for the gate."""
    number = int(row["n"])
    folder = Path(row["folder"])
    (folder / f"{number}.{ctx.attempt}.{os.getpid()}.{time.monotonic_ns()}").touch()
    while number % 10 == 9 and not (folder / "gate").exists():
        time.sleep(0.01)
    return number


@function(timeout_s=60, concurrency=4)
def mended(row: Json) -> int:
    """Leave a mark for each run; every third fails until it is mended, those from 20 on then wait for the gate."""
    number, folder = int(row["n"]), Path(row["folder"])
    (folder / f"{number}.{time.monotonic_ns()}").touch()
    if not (folder / "mended").exists():
        if number % 3 == 2:
            raise ValueError("not mended yet")
        return number
    while number >= 20 and not (folder / "gate").exists():
        time.sleep(0.01)
    return number


def task(name: str) -> Machine:
    return {"Type": "Task", "Resource": name, "End": True}


def mapped(name: str, **fields: Json) -> Machine:
    """Every item goes to a function."""
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    inner = {**processor, "StartAt": "one", "States": {"one": task(name)}}
    return {"StartAt": "each", "States": {"each": {"Type": "Map", "ItemProcessor": inner, "End": True, **fields}}}


def reader(input_type: str, resource: str = READ, **config: Json) -> Machine:
    return {
        "Resource": resource,
        "ReaderConfig": {"InputType": input_type, **config},
        "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
    }


rows = workflow("rows", asl=mapped("keep", ItemReader=reader("CSV", MaxItemsPath="$.most"), MaxConcurrency=4))
array = workflow("array", asl=mapped("keep", ItemReader=reader("JSON")))
listing = workflow(
    "listing",
    asl=mapped(
        "keep",
        ItemReader={"Resource": LIST, "Parameters": {"Bucket.$": "$.bucket", "Prefix.$": "$.prefix"}},
        ItemSelector={"key.$": "$$.Map.Item.Value.Key", "size.$": "$$.Map.Item.Value.Size"},
    ),
)
plain = workflow("plain", asl=mapped("keep", ItemReader={"Resource": "file", "Parameters": {"Path.$": "$.path"}}))
rows_of_parquet = workflow("rows_of_parquet", asl=mapped("keep", ItemReader=reader("PARQUET"), MaxConcurrency=4))
queried = workflow("queried", asl=mapped("keep", ItemReader=reader("PARQUET", ManifestType="ATHENA_DATA")))
batched = workflow(
    "batched",
    asl={
        "QueryLanguage": "JSONata",
        **mapped(
            "keep",
            ItemReader={
                "Resource": READ,
                "ReaderConfig": {"InputType": "JSONL"},
                "Arguments": {"Bucket": "{% $states.input.bucket %}", "Key": "{% $states.input.key %}"},
            },
            ItemBatcher={"MaxItemsPerBatch": 3, "BatchInput": {"of": "{% $states.input.key %}"}},
            ItemSelector={"value": "{% $states.context.Map.Item.Value %}"},
            MaxConcurrency=2,
        ),
    },
)
tolerant = workflow(
    "tolerant",
    asl=mapped(
        "odd",
        ItemReader=reader("CSV"),
        ToleratedFailurePercentagePath="$.percent",
        MaxConcurrencyPath="$.at_once",
        ResultWriter={"Resource": WRITE, "Parameters": {"Bucket": "out", "Prefix": "runs"}},
    ),
)
compact = workflow(
    "compact",
    asl=mapped(
        "keep",
        ItemReader=reader("JSON"),
        ResultWriter={
            "Resource": WRITE,
            "Parameters": {"Bucket": "out"},
            "WriterConfig": {"OutputType": "JSONL", "Transformation": "FLATTEN"},
        },
    ),
)
surviving = workflow(
    "surviving",
    asl=mapped(
        "gated",
        ItemReader=reader("CSV"),
        MaxConcurrency=4,
        ItemSelector={"n.$": "$$.Map.Item.Value.n", "folder.$": "$.folder"},
        ResultWriter={
            "Resource": WRITE,
            "Parameters": {"Bucket": "out", "Prefix": "survived"},
            "WriterConfig": {"OutputType": "JSON", "Transformation": "COMPACT"},
        },
    ),
)
mending = workflow(
    "mending_map",
    asl=mapped(
        "mended",
        ItemReader=reader("CSV"),
        MaxConcurrency=4,
        ToleratedFailureCount=3,
        ItemSelector={"n.$": "$$.Map.Item.Value.n", "folder.$": "$.folder"},
        ResultWriter={"Resource": WRITE, "Parameters": {"Bucket": "out", "Prefix": "mended"}},
    ),
)
