"""What a Task's Resource names: a function, or something that the States Language calls by an ARN.

Owns how resources are written. Which of them a platform runs is left to `states.parsing`, calling them to who runs
an execution. (https://docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from actorfaas.states.errors import ExpressionError

Kind = Literal["function", "invoke", "start-execution", "activity", "service"]
Pattern = Literal["", "sync", "sync:2", "waitForTaskToken"]

_STATES_ARN = re.compile(r"arn:[\w-]+:states:([\w-]*):(\d*):(.+)")
_PATTERNS: dict[str, Pattern] = {"": "", "sync": "sync", "sync:2": "sync:2", "waitForTaskToken": "waitForTaskToken"}

# The actions of optimised integrations; `aws-sdk` stands for any action of any service.
_ACTIONS: dict[str, frozenset[str]] = {
    "apigateway": frozenset({"invoke"}),
    "athena": frozenset({"startQueryExecution", "stopQueryExecution", "getQueryExecution", "getQueryResults"}),
    "batch": frozenset({"submitJob"}),
    "bedrock": frozenset({"invokeModel", "createModelCustomizationJob"}),
    "codebuild": frozenset({"startBuild", "stopBuild", "batchDeleteBuilds", "batchGetReports", "startBuildBatch"}),
    "databrew": frozenset({"startJobRun"}),
    "dynamodb": frozenset({"getItem", "putItem", "updateItem", "deleteItem"}),
    "ecs": frozenset({"runTask"}),
    "eks": frozenset({"call", "runJob", "createCluster", "deleteCluster", "createNodegroup", "deleteNodegroup"}),
    "elasticmapreduce": frozenset({"createCluster", "terminateCluster", "addStep", "cancelStep"}),
    "emr-containers": frozenset({"createVirtualCluster", "deleteVirtualCluster", "startJobRun"}),
    "emr-serverless": frozenset({"createApplication", "startApplication", "stopApplication", "startJobRun"}),
    "events": frozenset({"putEvents"}),
    "glue": frozenset({"startJobRun"}),
    "http": frozenset({"invoke"}),
    "lambda": frozenset({"invoke"}),
    "mediaconvert": frozenset({"createJob"}),
    "sagemaker": frozenset({"createTrainingJob", "createTransformJob", "createEndpoint", "createModel"}),
    "sns": frozenset({"publish"}),
    "sqs": frozenset({"sendMessage"}),
    "states": frozenset({"startExecution"}),
}


@dataclass(frozen=True, slots=True)
class Resource:
    """What a Task calls. `name`: of a function or activity, `SERVICE:ACTION` of a service, "" where the state's
    parameters name the function. `pattern`: what the task waits for beyond the call's answer."""

    kind: Kind
    name: str
    pattern: Pattern = ""


def function_of(resource: str) -> str:
    """The function that a text names: the name itself, or the end of its ARN (without a qualifier)."""
    if ":function:" in resource:
        return resource.split(":function:", 1)[1].split(":", 1)[0]
    return resource.rsplit(":", 1)[-1]


def parse_resource(text: str) -> Resource:
    """What a Resource names. Raises ExpressionError."""
    match = _STATES_ARN.fullmatch(text)
    if match is None:
        name = function_of(text)
        if not name:
            raise ExpressionError(f"the resource {text!r} names no function")
        return Resource("function", name)
    region, account, rest = match.groups()
    if rest.startswith("activity:"):
        return Resource("activity", rest.removeprefix("activity:"))
    service, _, call = rest.partition(":")
    action, _, suffix = call.partition(".")
    if region or account or suffix not in _PATTERNS or not _is_known(service, action):
        raise ExpressionError(f"the resource {text!r} is not a function, an activity or an integration of a service")
    pattern = _PATTERNS[suffix]
    if service == "lambda":
        return Resource("invoke", "", pattern)
    if service == "states":
        return Resource("start-execution", "", pattern)
    return Resource("service", f"{service}:{action}", pattern)


def _is_known(service: str, action: str) -> bool:
    if service == "aws-sdk":
        return ":" in action
    return action in _ACTIONS.get(service, ())
