"""Items and results of distributed Map states: ExecutionManager ↔ DataLayer."""

from __future__ import annotations

from actorfaas.messages.base import Message, message, struct

ITEMS_READ = "MapItemsRead"
"""The event that the items of a Map state are there; its payload names the payload file in which they are."""


@message(240)
class FetchItems(Message):
    """ExecutionManager → DataLayer (ask → ItemsFetched or Refused, "invalid" or "not_found": they cannot be read).

    `source`: object (`folder` is the bucket, `key` its key), list (of the bucket, `key` is the prefix) or file (`key`
    is a path, relative ones below `folder`). `through`: it names the objects that have the items, in the words of
    ReaderConfig (S3_INVENTORY, ATHENA_DATA, LOAD_AND_FLATTEN). `most`: how many items are wanted; the rest says how
    they are written.
    """

    fetch_id: str
    source: str
    folder: str
    key: str
    input_type: str
    headers: tuple[str, ...]
    delimiter: str
    pointer: str
    through: str
    most: int


@message(241)
class ItemsFetched(Message):
    """Reply to `FetchItems`: the items are lines of the payload file `file`, which is at `path`. It is removed with
    the execution whose event `MapItemsRead` names it, or when the DataLayer starts."""

    file: str
    path: str
    count: int
    size_bytes: int


@message(242)
class DropItems(Message):
    """ExecutionManager → DataLayer (tell): nobody waits for these items any more."""

    fetch_id: str


@message(243)
class AddMapResults(Message):
    """ExecutionManager → DataLayer (ask → Done or Refused, "not_found" where an earlier part is not known, "invalid"):
    part `number`, from 0, of a map run's results: lines of JSON of one `kind` (SUCCEEDED, FAILED, PENDING), which go
    to files `folder`/KIND_n in a bucket. Part 0 begins anew."""

    run_id: str
    number: int
    bucket: str
    folder: str
    output_type: str
    kind: str
    payload: bytes


@message(244)
class FinishMapResults(Message):
    """ExecutionManager → DataLayer (ask → MapResultsWritten or Refused): all parts were added, publish the files and
    their manifest. `parts`: how many there were."""

    run_id: str
    parts: int
    bucket: str
    folder: str
    arn: str


@message(245)
class MapResultsWritten(Message):
    """Reply to `FinishMapResults`: where the manifest is."""

    bucket: str
    key: str


@message(246)
class DropMapResults(Message):
    """ExecutionManager → DataLayer (tell): the results of this map run are not wanted any more."""

    run_id: str


@message(249)
class DescribeMapRuns(Message):
    """Frontend → ExecutionManager (ask → MapRuns): how far the map runs of a running execution are."""

    execution_id: str


@struct
class MapRunProgress:
    """One running distributed Map state, and what became of its items so far."""

    branch: int
    state: str
    arn: str
    total: int
    pending: int
    running: int
    succeeded: int
    failed: int


@message(250)
class MapRuns(Message):
    """Reply to `DescribeMapRuns`; none where the execution does not run."""

    map_runs: tuple[MapRunProgress, ...]
