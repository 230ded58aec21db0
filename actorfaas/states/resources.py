"""What a Task's Resource names: a function, or something that the States Language calls by an ARN.

Owns how resources are written, and which function stands in for a service that is not here. Calling them is left to who
runs an execution. (https://docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html)
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
    service: frozenset(actions.split())
    for service, actions in {
        "apigateway": "invoke",
        "athena": "startQueryExecution stopQueryExecution getQueryExecution getQueryResults",
        "batch": "submitJob",
        "bedrock": "invokeModel createModelCustomizationJob",
        "codebuild": "startBuild stopBuild batchDeleteBuilds batchGetReports startBuildBatch stopBuildBatch "
        "retryBuildBatch deleteBuildBatch",
        "databrew": "startJobRun",
        "dynamodb": "getItem putItem updateItem deleteItem",
        "ecs": "runTask",
        "eks": "call runJob createCluster deleteCluster createNodegroup deleteNodegroup createFargateProfile "
        "deleteFargateProfile",
        "elasticmapreduce": "createCluster setClusterTerminationProtection terminateCluster addStep cancelStep "
        "modifyInstanceFleetByName modifyInstanceGroupByName",
        "emr-containers": "createVirtualCluster deleteVirtualCluster startJobRun",
        "emr-serverless": "createApplication startApplication stopApplication deleteApplication startJobRun "
        "cancelJobRun",
        "events": "putEvents",
        "glue": "startJobRun",
        "http": "invoke",
        "lambda": "invoke",
        "mediaconvert": "createJob",
        "sagemaker": "createEndpoint createEndpointConfig createHyperParameterTuningJob createLabelingJob createModel "
        "createProcessingJob createTrainingJob createTransformJob updateEndpoint",
        "sns": "publish",
        "sqs": "sendMessage",
        "states": "startExecution",
    }.items()
}

_INVOKE = ("lambda:invoke", "aws-sdk:lambda:invoke")
_START = ("states:startExecution", "aws-sdk:sfn:startExecution")


@dataclass(frozen=True, slots=True)
class Resource:
    """What a Task calls. `name`: of a function, activity or workflow, `SERVICE:ACTION` of a service, "" where the
    function or workflow must be evaluated. `pattern`: what the task waits for beyond the call's answer."""

    kind: Kind
    name: str
    pattern: Pattern = ""

    @property
    def stand_in(self) -> str:
        """The function that is called in place of a service: `dynamodb_getItem` for `dynamodb:getItem`, and for the
        same action by way of `aws-sdk`; "" where it is no service."""
        if self.kind != "service":
            return ""
        return self.name.removeprefix("aws-sdk:").replace(":", "_")

    @property
    def is_answered_apart(self) -> bool:
        """Whether what answers a task is not what a function returns: each attempt then has a name."""
        return self.kind == "start-execution" or self.has_token

    @property
    def has_token(self) -> bool:
        """Whether somebody outside answers a task, who is given a token for it."""
        return self.kind == "activity" or self.pattern == "waitForTaskToken"


def function_of(resource: str) -> str:
    """The function that a text names: the name itself, or the end of its ARN (without a qualifier)."""
    if ":function:" in resource:
        return resource.split(":function:", 1)[1].split(":", 1)[0]
    return resource.rsplit(":", 1)[-1]


def machine_of(text: str) -> str:
    """The workflow that a text names: the name itself, the one in a state machine's ARN (without a version or alias),
    or the one in what `$$.StateMachine.Id` is here (APPLICATION:NAME:VERSION)."""
    if ":stateMachine:" in text:
        return text.split(":stateMachine:", 1)[1].split(":", 1)[0]
    parts = text.split(":")
    return parts[1] if len(parts) == 3 else text


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
    name = f"{service}:{action}"
    if name in _INVOKE:
        return Resource("invoke", "", pattern)
    if name in _START:
        return Resource("start-execution", "", pattern)
    return Resource("service", name, pattern)


def _is_known(service: str, action: str) -> bool:
    if service == "aws-sdk":
        return ":" in action
    return action in _ACTIONS.get(service, ())
