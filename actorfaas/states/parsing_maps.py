"""Reading Parallel and Map states: everything about their branches, items, batches, limits and stores."""

from __future__ import annotations

from collections.abc import Callable, Collection

from actorfaas.states.definition import Definition, read_catch, read_flow, read_next, read_retry
from actorfaas.states.item_reader import ATHENA, DELIMITERS, FORMATS, INVENTORY, LISTED, ReaderConfig
from actorfaas.states.model import PLAIN_FILE, Batcher, Map, Parallel, Reader, StateMachine, Writer
from actorfaas.states.paths import Path
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.reading import Fields
from actorfaas.states.templates import Template

MachineReader = Callable[[Definition, Fields], StateMachine]

PARQUET = "Parquet items (the node needs the extra actorfaas[parquet] for them)"
"""A feature that a node may not have."""

_NO_BOUND = float("inf")
_MAX_LABEL_LENGTH = 40


def read_parallel(
    whole: Definition, fields: Fields, name: str, states: Collection[str], read_machine: MachineReader
) -> Parallel:
    """A Parallel state."""
    branches = []
    for part in fields.objects("Branches", "a branch"):
        part.is_jsonata = whole.is_jsonata
        branches.append(read_machine(whole, part))
    if not fields.source.get("Branches"):
        fields.wrong("a Parallel state needs Branches, at least one", "Branches")
    return Parallel(
        name=name,
        branches=tuple(branches),
        flow=read_flow(fields, takes_parameters=True, has_result=True),
        retry=read_retry(fields),
        catch=read_catch(fields, states),
        next=read_next(fields, states),
    )


def read_map(whole: Definition, fields: Fields, name: str, states: Collection[str], read_machine: MachineReader) -> Map:
    """A Map state, with ItemProcessor or, as it was before, Iterator."""
    processor, is_distributed = _processor(whole, fields, read_machine)
    return Map(
        name=name,
        processor=processor,
        selector=_selector(fields),  # before the flow, which does not know that Parameters are for the items here
        flow=read_flow(fields, has_result=True),
        items=_items(fields),
        is_distributed=is_distributed,
        label=_label(fields),
        max_concurrency=fields.setting("MaxConcurrency", 0, _NO_BOUND),
        tolerated_count=fields.setting("ToleratedFailureCount", 0, _NO_BOUND),
        tolerated_percentage=fields.setting("ToleratedFailurePercentage", 0, 100, is_fraction=True),
        batcher=_batcher(fields),
        reader=_reader(whole, fields),
        writer=_writer(whole, fields),
        retry=read_retry(fields),
        catch=read_catch(fields, states),
        next=read_next(fields, states),
    )


def _processor(whole: Definition, fields: Fields, read_machine: MachineReader) -> tuple[StateMachine, bool]:
    name = "Iterator" if "Iterator" in fields.source else "ItemProcessor"
    part = fields.object(name, "a processor of items", is_jsonata=whole.is_jsonata)
    if part is None:
        if name not in fields.source:
            fields.wrong("a Map state needs an ItemProcessor")
        return StateMachine("", {}), False
    mode = "INLINE"
    config = part.object("ProcessorConfig", "a ProcessorConfig")
    if config is not None:
        mode = config.choice("Mode", ("INLINE", "DISTRIBUTED"), "INLINE")
        config.choice("ExecutionType", ("STANDARD", "EXPRESS"), "STANDARD")
        config.finish()
    return read_machine(whole, part), mode == "DISTRIBUTED"


def _items(fields: Fields) -> Path | QueryTemplate | None:
    if fields.is_jsonata:
        if fields.has("Items") and not fields.is_query("Items") and not isinstance(fields.source["Items"], list | dict):
            fields.wrong("Items must be an array, an object or a JSONata expression", "Items")
        return fields.query_template("Items")
    return fields.path("ItemsPath")


def _selector(fields: Fields) -> Template | QueryTemplate | None:
    selector = fields.any_template("ItemSelector")
    if fields.is_jsonata or not fields.has("Parameters"):
        return selector
    if selector is not None:
        fields.wrong("ItemSelector and Parameters exclude each other", "Parameters")
    return fields.template("Parameters")


def _label(fields: Fields) -> str:
    label = fields.text("Label")
    if len(label) > _MAX_LABEL_LENGTH:
        fields.wrong(f"a Label has at most {_MAX_LABEL_LENGTH} characters", "Label")
    return label


def _batcher(fields: Fields) -> Batcher | None:
    part = fields.object("ItemBatcher", "an ItemBatcher")
    if part is None:
        return None
    batcher = Batcher(
        max_items=part.setting("MaxItemsPerBatch", 1, _NO_BOUND),
        max_bytes=part.setting("MaxInputBytesPerBatch", 1, _NO_BOUND),
        batch_input=part.any_template("BatchInput"),
    )
    if batcher.max_items is None and batcher.max_bytes is None:
        part.wrong("an ItemBatcher needs MaxItemsPerBatch or MaxInputBytesPerBatch")
    part.finish()
    return batcher


def _reader(whole: Definition, fields: Fields) -> Reader | None:
    part = fields.object("ItemReader", "an ItemReader")
    if part is None:
        return None
    whole.needs("item readers", fields, "ItemReader")
    resource = part.text("Resource")
    if resource != PLAIN_FILE and not resource.endswith((":s3:getObject", ":s3:listObjectsV2")):
        known = f"s3:getObject, s3:listObjectsV2 or {PLAIN_FILE}"
        part.wrong(f"an ItemReader reads with {known}, not {resource!r}", "Resource")
    config = part.object("ReaderConfig", "a ReaderConfig")
    max_items = None
    found = ReaderConfig()
    if config is not None:
        found = _reader_config(config, is_listing=resource.endswith(":listObjectsV2"))
        if found.input_type == "PARQUET":
            whole.needs(PARQUET, config, "InputType")
        max_items = config.setting("MaxItems", -_NO_BOUND, _NO_BOUND)
        if max_items is not None and (max_items.constant or 0) < 0:
            config.wrong("MaxItems must be a whole number of at least 0", "MaxItems")
        config.finish()
    reader = Reader(resource, part.any_template("Arguments" if part.is_jsonata else "Parameters"), found, max_items)
    part.finish()
    return reader


def _reader_config(config: Fields, *, is_listing: bool) -> ReaderConfig:
    input_type, through = _data_of(config, is_listing)
    location = config.choice("CSVHeaderLocation", ("FIRST_ROW", "GIVEN"), "FIRST_ROW")
    headers = config.take("CSVHeaders", [])
    if not isinstance(headers, list) or not all(isinstance(header, str) for header in headers):
        config.wrong("CSVHeaders must be a list of texts", "CSVHeaders")
        headers = []
    if location == "GIVEN" and not headers:
        config.wrong("CSVHeaderLocation GIVEN needs CSVHeaders", "CSVHeaders")
    return ReaderConfig(
        input_type=input_type,
        headers=tuple(headers) if location == "GIVEN" else (),
        delimiter=DELIMITERS[config.choice("CSVDelimiter", tuple(DELIMITERS), "COMMA")],
        pointer=config.text("ItemsPointer"),
        through=through,
    )


def _data_of(config: Fields, is_listing: bool) -> tuple[str, str]:
    """The format of the objects with the items, and what names them."""
    given = config.choice("InputType", (*FORMATS, "MANIFEST"))
    manifest = config.choice("ManifestType", (ATHENA, INVENTORY))
    is_flattened = config.choice("Transformation", ("NONE", LISTED), "NONE") == LISTED
    if is_listing and not is_flattened:
        return "", ""
    if is_flattened and (not is_listing or given not in FORMATS):
        config.wrong(f"{LISTED} needs s3:listObjectsV2, and the InputType of the objects", "Transformation")
    if manifest == ATHENA and given not in ("CSV", "JSONL", "PARQUET"):
        config.wrong(f"{ATHENA} needs the InputType of the data: CSV, JSONL or PARQUET", "InputType")
    if manifest == INVENTORY and given not in ("", "MANIFEST"):
        config.wrong(f"{INVENTORY} has no InputType: the lists of an inventory are CSV", "InputType")
    if is_flattened:
        return given, LISTED
    if manifest == ATHENA:
        return given, ATHENA
    return ("CSV", INVENTORY) if manifest or given == "MANIFEST" else (given or "JSON", "")


def _writer(whole: Definition, fields: Fields) -> Writer | None:
    part = fields.object("ResultWriter", "a ResultWriter")
    if part is None:
        return None
    resource = part.text("Resource")
    config = part.object("WriterConfig", "a WriterConfig")
    transformation, output_type = "NONE", "JSON"
    if config is not None:
        transformation = config.choice("Transformation", ("NONE", "COMPACT", "FLATTEN"), "NONE")
        output_type = config.choice("OutputType", ("JSON", "JSONL"), "JSON")
        config.finish()
    if resource:
        whole.needs("result writers", fields, "ResultWriter")
    parameters = part.any_template("Arguments" if part.is_jsonata else "Parameters")
    part.finish()
    return Writer(resource, parameters, transformation, output_type)
