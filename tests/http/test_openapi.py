"""The OpenAPI document: every route, nothing else, and a structure that tools accept."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from actorfaas.http import openapi
from actorfaas.http.app import handlers_of, routes
from actorfaas.http.data import DataEndpoints
from actorfaas.http.deployments import DeploymentEndpoints
from actorfaas.http.events import EventEndpoints
from actorfaas.http.flow import FlowEndpoints
from actorfaas.http.inspection import InspectionEndpoints
from actorfaas.http.pictures import PictureEndpoints
from actorfaas.http.records import RecordEndpoints
from actorfaas.http.schemas import DOCUMENTS, component
from actorfaas.http.surface import OPERATIONS, methods_by_path
from actorfaas.http.tasks import TaskEndpoints
from actorfaas.http.traces import TraceEndpoints
from actorfaas.http.trials import TrialEndpoints
from actorfaas.ids import STRATEGIES

DOCUMENT = openapi.document("1.2.3")
GROUPS = (
    DeploymentEndpoints,
    RecordEndpoints,
    TraceEndpoints,
    FlowEndpoints,
    TrialEndpoints,
    DataEndpoints,
    TaskEndpoints,
    PictureEndpoints,
    InspectionEndpoints,
    EventEndpoints,
)


def refs(node: object) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def test_every_route_is_described_and_the_other_way_round() -> None:
    served = {route.path for route in routes(handlers_of(GROUPS))} | {"/v1/invoke/{name}"}
    assert served == set(DOCUMENT["paths"])
    described = {(m.upper(), path) for path, methods in DOCUMENT["paths"].items() for m in methods}
    assert described == {(operation.method, operation.path) for operation in OPERATIONS}


def test_every_operation_has_a_handler_of_its_own() -> None:
    handlers = handlers_of(GROUPS)
    assert len(handlers) == len(OPERATIONS) - 1, "all but the invoke path"
    for group in GROUPS:
        public = {name for name, value in vars(group).items() if callable(value) and not name.startswith("_")}
        assert public <= set(handlers), "an endpoint that no route leads to"


def test_structure_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"] == "1.2.3"
    ids = []
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            assert method in ("get", "put", "post", "delete")
            assert operation["summary"]
            ids.append(operation["operationId"])
            in_path = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
            assert in_path == re.findall(r"\{(\w+)\}", path)
            for parameter in operation["parameters"]:
                assert parameter["in"] in ("path", "query", "header")
                assert isinstance(parameter["required"], bool)
                assert parameter["schema"]["type"] in ("string", "integer", "number", "boolean")
            for status, response in operation["responses"].items():
                assert 200 <= int(status) < 600
                assert response["description"]
                for media_type, content in response.get("content", {}).items():
                    assert "/" in media_type
                    assert "schema" in content
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere() -> None:
    found = set(refs(DOCUMENT))
    assert found
    assert found <= {f"#/components/schemas/{name}" for name in DOCUMENTS}


def test_every_document_is_used() -> None:
    used = {ref.rpartition("/")[2] for ref in refs(DOCUMENT)}
    assert used == set(DOCUMENTS)


def test_schemas_are_json_schemas() -> None:
    for name in DOCUMENTS:
        schema = component(name)
        assert schema["type"] == "object"
        assert set(schema["required"]) <= set(schema["properties"])
    assert component("Execution")["properties"]["ended_at_ms"] == {"type": ["integer", "null"]}
    assert component("Execution")["properties"]["error"]["anyOf"][1] == {"type": "null"}
    assert "traceback" not in component("Problem")["required"]


def test_strategies_are_an_enumeration() -> None:
    parameters = DOCUMENT["paths"]["/v1/invoke/{name}"]["post"]["parameters"]
    header = next(one for one in parameters if one["name"] == "Actorfaas-Strategy")
    assert set(header["schema"]["enum"]) == STRATEGIES
    assert all(f"{strategy}: " in header["description"] for strategy in STRATEGIES)
    assert set(component("Function")["properties"]["strategy"]["enum"]) == STRATEGIES


def test_document_is_json() -> None:
    assert orjson.loads(orjson.dumps(DOCUMENT)) == DOCUMENT


def test_paths_of_the_table_are_unique_per_method() -> None:
    assert sum(len(methods) for methods in methods_by_path().values()) == len(OPERATIONS)
