"""What keeps a version from being served: each reason names the function or workflow, the setting and its limits."""

from __future__ import annotations

import orjson
import pytest

from actorfaas.core.acceptance import problems
from actorfaas.core.catalogue import Catalogue
from actorfaas.errors import RequestRefused
from actorfaas.messages import FunctionSpec, WorkflowSpec
from actorfaas.states.parsing_maps import PARQUET
from tests.core.specs import chain, function, workflow

MAX_WORKERS = 64
NAN = float("nan")


def found(*specs: FunctionSpec | WorkflowSpec, max_workers: int = MAX_WORKERS) -> list[str]:
    functions = [spec for spec in specs if isinstance(spec, FunctionSpec)]
    workflows = [spec for spec in specs if isinstance(spec, WorkflowSpec)]
    return list(problems(functions, workflows, max_workers))


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        ([], "nothing is declared"),
        ([function("a"), function("a")], "'a' is declared twice"),
        ([function("a"), workflow("a", chain("a"))], "'a' is declared twice"),
        ([function("a!fork")], "is not a name"),
        ([function("a", strategy="luck")], "function 'a': strategy must be one of auto, cold"),
        ([function("a"), workflow("w", chain("a"), "forever")], "durability must be standard or express"),
        ([function("a"), workflow("w", chain("b"))], "/States/b/Resource: this application has no function 'b'"),
    ],
)
def test_what_cannot_be_served_is_said(specs: list[FunctionSpec | WorkflowSpec], says: str) -> None:
    assert any(says in problem for problem in found(*specs)), found(*specs)


LIMITS: list[tuple[str, float, float]] = [
    ("memory_mb", 1, 1024 * 1024),
    ("concurrency", 1, 10_000),
    ("queue_limit", 0, 100_000),
    ("retries", 0, 100),
    ("timeout_s", 0, 99_999_999),
    ("idle_timeout_s", 0, 99_999_999),
    ("retry_delay_s", 0, 99_999_999),
]


@pytest.mark.parametrize(("setting", "least", "most"), LIMITS)
def test_a_functions_numbers_have_limits(setting: str, least: float, most: float) -> None:
    for allowed in (least, most):
        assert found(function("a", **{"warm": 0, setting: allowed})) == []
    for refused in (least - 1, most + 1, NAN, float("inf"), -float("inf")):
        says = f"function 'a': {setting} must be from {least} to {most}, not {refused}"
        assert found(function("a", **{"warm": 0, setting: refused})) == [says]


def test_no_more_can_be_kept_warm_than_the_node_or_the_function_may_have() -> None:
    assert found(function("a", concurrency=100, warm=64)) == []
    assert found(function("a", concurrency=100, warm=65)) == ["function 'a': warm must be from 0 to 64, not 65"]
    assert found(function("a", concurrency=4, warm=5)) == ["function 'a': warm must be from 0 to 4, not 5"]
    assert found(function("a", concurrency=16, warm=1), max_workers=1) == [], "the defaults fit on any node"
    assert found(function("a", warm=-1)) == ["function 'a': warm must be from 0 to 16, not -1"]


@pytest.mark.parametrize("timeout_s", [-1.0, NAN, 1e12])
def test_a_workflows_time_limit_has_limits(timeout_s: float) -> None:
    says = f"workflow 'w': timeout_s must be from 0 to 99999999, not {timeout_s}"
    assert found(function("a"), workflow("w", chain("a"), timeout_s=timeout_s)) == [says]


def test_a_deployment_is_refused_with_every_reason() -> None:
    catalogue = Catalogue(30.0, MAX_WORKERS)
    with pytest.raises(RequestRefused, match=r"'a': memory_mb .*; function 'b': retries ") as refused:
        catalogue.claim_names("shop", [function("a", memory_mb=0), function("b", retries=101)], [])
    assert refused.value.code == "invalid"
    catalogue.claim_names("other", [function("a")], [])


def test_what_a_node_has_not_is_refused_where_it_is_needed() -> None:
    reader = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "PARQUET"}}
    inner = {"StartAt": "a", "States": {"a": {"Type": "Task", "Resource": "a", "End": True}}}
    inner["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    each = {"Type": "Map", "ItemProcessor": inner, "ItemReader": reader, "End": True}
    flow = workflow("w", orjson.dumps({"StartAt": "each", "States": {"each": each}}))
    Catalogue(30.0, MAX_WORKERS).claim_names("shop", [function("a")], [flow])
    with pytest.raises(RequestRefused, match=r"'w' /States/each/.*/InputType: .*actorfaas\[parquet\]"):
        Catalogue(30.0, MAX_WORKERS, (PARQUET,)).claim_names("shop", [function("a")], [flow])
