"""What came of a distributed Map state's iterations, as its ResultWriter wants it written.

Owns the records with data about each execution, and the transformations of outputs. How many files there are, and
where, is left to who writes them.
(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from actorfaas.states.document import Document
from actorfaas.states.scope import Json
from actorfaas.states.timestamps import format_timestamp

SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
PENDING = "PENDING"

Part = tuple[str, bytes]
"""One line to be written, and to which kind of file: SUCCEEDED, FAILED or PENDING."""


@dataclass(slots=True)
class Child:
    """One iteration that began: when, with which input, and what came of it (`ended_ms` 0: nothing yet)."""

    input: bytes
    started_ms: int
    ended_ms: int = 0
    output: bytes = b""
    error: str = ""
    cause: str = ""
    failed: bool = False
    redrives: int = 0
    redriven_ms: int = 0

    def redriven(self, now_ms: int) -> None:
        """It had failed or was given up, and goes on."""
        self.ended_ms, self.error, self.cause, self.failed = 0, "", "", False
        self.redrives += 1
        self.redriven_ms = now_ms

    @property
    def status(self) -> str:
        """In the words of Step Functions."""
        if not self.ended_ms:
            return "ABORTED"
        return FAILED if self.failed else SUCCEEDED


@dataclass(slots=True)
class MapRun:
    """A running distributed Map state. `run_id`: its own, the same again in a replay; `arn`: what it is called;
    `children`: kept where they are to be written; `redrives`: how often it has gone on."""

    run_id: str
    arn: str
    machine_id: str
    children: list[Child] = field(default_factory=list)
    redrives: int = 0

    def redriven(self) -> bytes:
        """It goes on; what is recorded of that."""
        self.redrives += 1
        return orjson.dumps({"MapRunArn": self.arn, "RedriveCount": self.redrives})

    def record(self, index: int, child: Child) -> dict[str, Json]:
        """The data about one execution."""
        name = f"{self.run_id}-{index}"
        found: dict[str, Json] = {
            "ExecutionArn": f"{self.arn}-{index}",
            "Input": child.input.decode(),
            "InputDetails": {"Included": True},
            "Name": name,
            "RedriveCount": child.redrives,
            "RedriveStatus": "NOT_REDRIVABLE",
            "StartDate": format_timestamp(child.started_ms),
            "StateMachineArn": self.machine_id,
            "Status": child.status,
        }
        if child.ended_ms:
            found["StopDate"] = format_timestamp(child.ended_ms)
        if child.redrives:
            found["RedriveDate"] = format_timestamp(child.redriven_ms)
        if child.failed:
            found |= {"Error": child.error, "Cause": child.cause}
        elif child.ended_ms:
            found |= {"Output": child.output.decode(), "OutputDetails": {"Included": True}}
        return found

    def pending_record(self, index: int, document: Document) -> dict[str, Json]:
        """The data about one that never began."""
        return {
            "ExecutionArn": f"{self.arn}-{index}",
            "Input": document.text.decode(),
            "InputDetails": {"Included": True},
            "Name": f"{self.run_id}-{index}",
            "StateMachineArn": self.machine_id,
            "Status": PENDING,
        }

    def parts(self, transformation: str, pending: Iterator[Document]) -> Iterator[Part]:
        """Every line to be written, in the order of the items: outputs, or (NONE) records; of what failed or did not
        come to its end always records."""
        for index, child in enumerate(self.children):
            status = child.status
            if status == SUCCEEDED and transformation != "NONE":
                yield from ((SUCCEEDED, line) for line in transformed(child.output, transformation))
            else:
                yield status if child.ended_ms else PENDING, orjson.dumps(self.record(index, child))
        for index, document in enumerate(pending, len(self.children)):
            yield PENDING, orjson.dumps(self.pending_record(index, document))


def transformed(output: bytes, transformation: str) -> Iterator[bytes]:
    """An output as lines: itself, or (FLATTEN) the elements of one that is an array."""
    if transformation != "FLATTEN" and b"\n" not in output:
        yield output
        return
    value = Document(output).value
    values = value if transformation == "FLATTEN" and isinstance(value, list) else [value]
    yield from (Document.of(one).text for one in values)
