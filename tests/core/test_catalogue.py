"""What is deployed: names, routes, plans, time limits."""

from __future__ import annotations

import pytest

from actorfaas.core.catalogue import Catalogue, Version
from actorfaas.errors import RequestRefused
from actorfaas.messages import BundleRef, FunctionSpec, WorkflowSpec
from tests.core.specs import chain, function, workflow

WAITS = (
    b'{"StartAt":"a","States":{"a":{"Type":"Task","Resource":"a","TimeoutSeconds":5,"Next":"w"},'
    b'"w":{"Type":"Wait","Seconds":100,"Next":"b"},"b":{"Type":"Task","Resource":"b","End":true}}}'
)


def bundle(app: str) -> BundleRef:
    return BundleRef(app, "0" * 64, "/x", "app.py", "/usr/bin/python3")


def deployed(catalogue: Catalogue, app: str, version: int, *specs: FunctionSpec | WorkflowSpec) -> Version:
    functions = [spec for spec in specs if isinstance(spec, FunctionSpec)]
    workflows = [spec for spec in specs if isinstance(spec, WorkflowSpec)]
    catalogue.claim_names(app, functions, workflows)
    made = catalogue.add(version, bundle(app), functions, workflows)
    catalogue.activate(made)
    catalogue.unclaim_names(app)
    return made


def test_routes_say_what_the_frontend_needs() -> None:
    catalogue = Catalogue(30.0, 64)
    deployed(
        catalogue,
        "shop",
        3,
        function("a", timeout_s=0.0, retries=2, kind="generator", strategy="fork"),
        workflow("ab", chain("a"), "express"),
    )
    a, ab = catalogue.routes()
    assert (a.name, a.kind, a.topic, a.version) == ("a", "function", "a@3", 3)
    assert (a.timeout_s, a.max_attempts, a.streams, a.strategy, a.durability) == (30.0, 3, True, "fork", "express")
    assert (ab.name, ab.kind, ab.topic, ab.durability, ab.streams) == ("ab", "workflow", "", "express", False)


@pytest.mark.parametrize(
    ("flow", "limit_s"),
    [
        (workflow("w", WAITS), 5 + 100 + 7),
        (workflow("w", WAITS, timeout_s=12.0), 12.0),
        (workflow("w", WAITS.replace(b'"StartAt"', b'"TimeoutSeconds":9,"StartAt"')), 9.0),
        (workflow("w", chain("b")), 30.0),
    ],
)
def test_a_workflow_without_a_limit_may_take_what_its_states_may(flow: WorkflowSpec, limit_s: float) -> None:
    catalogue = Catalogue(30.0, 64)
    made = deployed(catalogue, "shop", 1, function("a", timeout_s=20.0), function("b", timeout_s=7.0), flow)
    assert catalogue.workflow_timeout_s(made, "w") == limit_s


def test_a_new_version_takes_over_and_the_one_before_drains() -> None:
    catalogue = Catalogue(30.0, 64)
    first = deployed(catalogue, "shop", 1, function("a"), function("old"))
    first.running = 1
    second = deployed(catalogue, "shop", 2, function("a"))
    assert catalogue.active("shop") is second
    assert catalogue.plan("old") is None
    plan = catalogue.plan("a")
    assert plan is not None
    assert plan.functions["a"].topic == "a@2"
    assert catalogue.drained() == []
    first.running = 0
    assert catalogue.drained() == [first]


def test_names_are_free_again_when_their_application_leaves() -> None:
    catalogue = Catalogue(30.0, 64)
    deployed(catalogue, "shop", 1, function("a"))
    with pytest.raises(RequestRefused, match="'a' belongs to application 'shop'"):
        catalogue.claim_names("other", [function("a")], [])
    catalogue.deactivate("shop")
    catalogue.claim_names("other", [function("a")], [])


def test_a_deployment_under_way_holds_its_names() -> None:
    catalogue = Catalogue(30.0, 64)
    catalogue.claim_names("shop", [function("a")], [])
    with pytest.raises(RequestRefused) as refused:
        catalogue.claim_names("other", [function("a")], [])
    assert refused.value.code == "conflict"
    catalogue.unclaim_names("shop")
    catalogue.claim_names("other", [function("a")], [])
