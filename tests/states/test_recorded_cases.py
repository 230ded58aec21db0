"""What Step Functions did, where recordings are at hand: ASL_CASES names a file of them, one JSON object a line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.states.recorded import Case, Recordings, Unplayable

CASES = Path(os.environ.get("ASL_CASES", ""))
RECORDINGS = Recordings(CASES) if CASES.is_file() else None

pytestmark = pytest.mark.skipif(RECORDINGS is None, reason="ASL_CASES names no file of recorded cases")


@pytest.mark.parametrize("case", RECORDINGS.cases if RECORDINGS else [], ids=lambda case: case["id"])
def test_it_is_as_on_step_functions(case: Case) -> None:
    assert RECORDINGS is not None
    try:
        assert RECORDINGS.differences(case) == []
    except Unplayable as reason:
        pytest.skip(str(reason))
