"""What Step Functions did with distributed Map states, on a real node: ASL_CASES names a file of recordings.

Their definitions call no functions, so they are deployed as they are; their objects are put into the node's store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.states.recorded import Case, Recordings
from tests.system.kit import Node, archive_of, node_with

pytestmark = pytest.mark.system

CASES = Path(os.environ.get("ASL_CASES", ""))
RECORDINGS = Recordings(CASES) if CASES.is_file() else None
GROUPS = ("distributed-map", "distributed-map-s3")

OWN_EVENTS = {"MapItemsRead", "MapItemsReadFailed"}
"""What this platform journals and Step Functions does not show."""


def recorded() -> list[Case]:
    cases = RECORDINGS.cases if RECORDINGS else []
    return [case for case in cases if case["group"] in GROUPS and case["kind"] == "execution"]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node_with(tmp_path_factory.mktemp("node")) as running:
        definitions = orjson.dumps([case["definition"] for case in recorded()]).decode()
        source = (
            "import json\nfrom actorfaas import workflow\n"
            f"for number, asl in enumerate(json.loads({definitions!r})):\n"
            "    workflow(f'case_{number}', asl=asl)\n"
        )
        assert running.upload("recorded", archive_of({"app.py": source})).status_code == 201
        yield running


@pytest.mark.skipif(RECORDINGS is None, reason="ASL_CASES names no file of recorded cases")
@pytest.mark.parametrize("number", range(len(recorded())), ids=lambda number: recorded()[number]["id"])
def test_executions_end_as_on_step_functions(node: Node, number: int) -> None:
    assert RECORDINGS is not None
    case = recorded()[number]
    for one in case.get("s3_objects", ()):
        path = node.folder / "objects" / one["bucket"] / one["key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one["body"])
    execution = node.start(f"case_{number}", case["input"])
    ended = node.ended(execution)
    if ended["status"] == "succeeded":
        outcome = {"status": "SUCCEEDED", "output": ended["output"]}
    else:
        error = ended["error"]
        outcome = {"status": "FAILED", "error": error["error_type"], "cause": error["error_message"]}
    assert RECORDINGS.compare.compare(case, outcome, check_cause=False) == []
    types = [event["type"] for event in node.history(execution) if event["branch"] == 0]
    assert sorted(set(types) - OWN_EVENTS) == sorted({event["type"] for event in case["expected_history"]})
