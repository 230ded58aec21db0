"""What of the languages of workflows is as in the official suites, and on AWS as far as that was recorded.

`python -m bench.compliance [--cases FILE] [--json FILE]`. `--cases`: recordings of Step Functions, one JSON object a
line, with `compare.py` beside it; they are not part of the project. The JSONPath Compliance Test Suite is for RFC 9535;
Step Functions has Jayway's JSONPath, which is older, so that every difference has a reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from actorfaas.states.errors import ExpressionError
from actorfaas.states.paths import NoMatch
from actorfaas.states.paths import Path as JsonPath
from actorfaas.states.scope import Outside, Scope
from bench.machine import ROOT
from bench.report import Report, Row, options

Json = Any  # a decoded JSON document: a test of a suite

SUITE = ROOT / "tests" / "data" / "jsonpath-compliance" / "cts.json"
UNEXPLAINED = "not explained"

REASONS: tuple[tuple[str, str], ...] = (
    (
        r"functions, |whitespace, functions",
        "A filter never looks at scalars: it chooses among the objects and arrays of an array.",
    ),
    (
        r"multiple selectors|selector(s)? and|space between selector|between comma and selector|between selector and",
        "`['a','b']` finds one object with both members, not two values; brackets hold selectors of one kind.",
    ),
    (
        r"filter, (existence|absolute existence), without|equals self|object data|string literal|negated",
        "A filter never looks at scalars: it chooses among the objects and arrays of an array.",
    ),
    (
        r"on primitive, selects nothing|index segment on object",
        "A filter on an object asks the object itself, not its members; the filters' library finds indexes by name.",
    ),
    (r"selects multiple elements", "`['a','b']` finds one object with both members, not two values."),
    (r"followed by child segment", "`['a','b']` finds one object with both members, not two values."),
    (r"name selector", "Names in quotes may hold any character and any escape; unknown escapes stand for themselves."),
    (r"name shorthand", "Names after a dot may hold whatever does not end them."),
    (
        r"min exact|max exact|overflow|underflow",
        "Numbers in brackets have no bounds; far beyond an array, they find nothing.",
    ),
    (r"leading 0|-0|invalid 00", "Numbers may have leading zeros, and 0 a sign."),
    (r"incorrectly capitalized", "The filters' library takes True, False and Null as it does true, false and null."),
    (r"zero step", "A slice by steps of 0 is refused instead of being empty."),
    (r"whitespace, selectors", "There is no white space between segments."),
)
"""Why tests of the suite end otherwise here: the first whose pattern the test's name matches."""


def outcome_of(test: Json) -> str:
    """ "" where the suite and the platform agree, else how they differ: accepted, refused or "another result"."""
    try:
        path = JsonPath(test["selector"])
    except ExpressionError:
        return "" if test.get("invalid_selector") else "refused"
    if test.get("invalid_selector"):
        return "accepted"
    try:
        found = path.find(Scope(test["document"], {}, {}, Outside(0, lambda: 0.5, lambda: "")))
        nodes = [found] if path.is_definite else found
    except NoMatch:
        nodes = []
    return "" if nodes in (test.get("results") or [test["result"]]) else "another result"


def reason_of(name: str) -> str:
    """Why a test of this name ends otherwise."""
    return next((reason for pattern, reason in REASONS if re.search(pattern, name)), UNEXPLAINED)


def jsonpath_rows(tests: Iterable[Json]) -> Iterator[Row]:
    """How many tests of the suite agree, and what differs by its reason."""
    outcomes = [(test, outcome_of(test)) for test in tests]
    groups = Counter(test["name"].partition(",")[0] for test, _ in outcomes)
    passed = Counter(test["name"].partition(",")[0] for test, outcome in outcomes if not outcome)
    for group, count in sorted(groups.items()):
        yield {"JSONPath suite": group, "tests": count, "same": passed[group], "different": count - passed[group]}
    yield {
        "JSONPath suite": "all",
        "tests": len(outcomes),
        "same": passed.total(),
        "different": len(outcomes) - passed.total(),
    }
    differing: dict[tuple[str, str], list[str]] = {}
    for test, outcome in outcomes:
        if outcome:
            differing.setdefault((reason_of(test["name"]), outcome), []).append(test["selector"])
    for (reason, outcome), selectors in sorted(differing.items(), key=lambda one: -len(one[1])):
        example = min(selectors, key=len).encode("unicode_escape").decode()
        yield {"JSONPath: why it differs": reason, "how": outcome, "tests": len(selectors), "example": f"`{example}`"}


def recorded_rows(path: Path) -> Iterator[Row]:
    """How many of the recorded cases end as on Step Functions, by kind and group, and each that does not."""
    from tests.states.recorded import Recordings, Unplayable

    recordings = Recordings(path)
    counts: dict[tuple[str, str], Counter[str]] = {}
    others: list[Row] = []
    for case in recordings.cases:
        count = counts.setdefault((case["kind"], case["group"]), Counter())
        try:
            differences = recordings.differences(case)
            verdict, why = ("failed" if differences else "passed"), "; ".join(differences)
        except Unplayable as reason:
            verdict, why = "skipped", str(reason)
        count[verdict] += 1
        if why:
            others.append({"recorded case": case["id"], "": verdict, "why": why})
    for (kind, group), count in sorted(counts.items()):
        yield _counted(kind, group, count)
    yield _counted("all", "", sum(counts.values(), Counter()))
    yield from others


def _counted(kind: str, group: str, count: Counter[str]) -> Row:
    verdicts = {verdict: count[verdict] for verdict in ("passed", "failed", "skipped")}
    return {"recorded on AWS": kind, "group": group, "cases": count.total(), **verdicts}


def main() -> None:
    """Run, print, write."""
    chosen = options(__doc__, cases="")
    report = Report("compliance", chosen.seed)
    if chosen.cases:
        report.rows += recorded_rows(Path(chosen.cases))
    else:
        report.notes.append("without recordings of Step Functions (--cases)")
    report.rows += jsonpath_rows(json.loads(SUITE.read_text("utf-8"))["tests"])
    report.finish(chosen)


if __name__ == "__main__":
    main()
