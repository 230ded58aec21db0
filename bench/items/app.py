"""Map states over items of a table, eight at once, with functions that do next to nothing."""

from typing import Any

from actorfaas import function, workflow

READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "CSV"},
    "Parameters": {"Bucket": "in", "Key.$": "$"},
}
WRITER = {
    "Resource": "arn:aws:states:::s3:putObject",
    "Parameters": {"Bucket": "out"},
    "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
}


@function(concurrency=8, warm=8)
def look_at(item: Any) -> str:
    return item["name"] if isinstance(item, dict) else str(item)


@function(concurrency=8, warm=8)
def count(batch: Any) -> int:
    return len(batch["Items"])


def mapped(name: str, mode: str, **fields: Any) -> dict[str, Any]:
    """Every item, or batch, goes to one function."""
    task = {"Type": "Task", "Resource": name, "End": True}
    processor = {"ProcessorConfig": {"Mode": mode}, "StartAt": "one", "States": {"one": task}}
    state = {"Type": "Map", "MaxConcurrency": 8, "ItemProcessor": processor, "End": True, **fields}
    return {"StartAt": "each", "States": {"each": state}}


inline = workflow("inline", asl=mapped("look_at", "INLINE"))
rows = workflow("rows", asl=mapped("look_at", "DISTRIBUTED", ItemReader=READER, ResultWriter=WRITER))
batches = workflow(
    "batches", asl=mapped("count", "DISTRIBUTED", ItemReader=READER, ItemBatcher={"MaxItemsPerBatch": 1000})
)
