"""What of the languages of workflows is as in the official suites, and on AWS as far as that was recorded.

`python -m bench.compliance [--cases FILE] [--json FILE]`. `--cases`: recordings of Step Functions, one JSON object a
line, with `compare.py` beside it; they are not part of the project. The JSONPath Compliance Test Suite is for RFC 9535;
Step Functions has Jayway's JSONPath, which is older, so that every difference has a reason. The official
JSONata suite is in no package; expressions of our own are compared with what the reference implementation gives for
them (the npm package jsonata 2.2.2).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from actorfaas.states.errors import ExpressionError, StatesError
from actorfaas.states.paths import NoMatch
from actorfaas.states.paths import Path as JsonPath
from actorfaas.states.queries import QueryTemplate
from actorfaas.states.scope import Outside, QueryScope, Scope, states_object
from bench.machine import ROOT
from bench.report import Report, Row, options

Json = Any  # a decoded JSON document: a test of a suite

SUITE = ROOT / "tests" / "data" / "jsonpath-compliance" / "cts.json"
QUERIES = ROOT / "tests" / "data" / "jsonata" / "cases.json"
UNEXPLAINED = "not explained"
NOWHERE = Outside(0, lambda: 0.5, lambda: "")
"""No time and no chance: nothing in the suites depends on them."""

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
        found = path.find(Scope(test["document"], {}, {}, NOWHERE))
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


QUERY_REASONS = {
    "1 / 0": "Infinity, which the reference gives, is no JSON; it is States.QueryEvaluationError here.",
    "$base64encode('aé')": "Text is encoded as UTF-8 here, by the reference as Latin-1.",
    "$formatNumber(34.555, '#0.00;(#0.00)')": "The library rounds the number as it is stored, a little below 34.555.",
}
"""Why expressions give something else than the reference."""


def query_outcome(expression: str, given: Json) -> Json:
    """What an expression gives, as it is recorded of the reference: {"value": ...} or {"error": cause}."""
    try:
        query = QueryTemplate(f"{{% ($i := $states.input; {expression}) %}}", "Output")
        return {"value": query.evaluate(QueryScope(states_object(given, {}), {}, NOWHERE))}
    except (ExpressionError, StatesError) as error:
        return {"error": str(error)}


def agrees(case: Json, outcome: Json) -> bool:
    """Whether the reference gives the same. What is undefined there fails a state here; causes have their own words."""
    if "value" not in case:
        return "error" in outcome
    return "value" in outcome and (
        case["value"] == outcome["value"] and _kinds(case["value"]) == _kinds(outcome["value"])
    )


def _kinds(value: Json) -> Json:
    if isinstance(value, list):
        return [_kinds(one) for one in value]
    return {key: _kinds(one) for key, one in value.items()} if isinstance(value, dict) else isinstance(value, bool)


def jsonata_rows(suite: Json) -> Iterator[Row]:
    """How many expressions give what the reference gives, and those that do not."""
    found = [(case, agrees(case, query_outcome(case["expression"], suite["input"]))) for case in suite["cases"]]
    count, same = (
        Counter(case["group"] for case, _ in found),
        Counter(case["group"] for case, is_same in found if is_same),
    )
    for group in [*count, "all"]:
        of, like = (count[group], same[group]) if group != "all" else (len(found), same.total())
        yield {"JSONata beside the reference": group, "expressions": of, "same": like, "different": of - like}
    for case, is_same in found:
        if not is_same:
            expression = case["expression"]
            yield {"JSONata: what differs": f"`{expression}`", "why": QUERY_REASONS.get(expression, UNEXPLAINED)}


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
    report.rows += jsonata_rows(json.loads(QUERIES.read_text("utf-8")))
    report.finish(chosen)


if __name__ == "__main__":
    main()
