"""What a Resource names."""

from __future__ import annotations

import pytest

from actorfaas.states.errors import ExpressionError
from actorfaas.states.resources import Resource, machine_of, parse_resource


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("resize", Resource("function", "resize")),
        ("arn:aws:lambda:us-east-1:123456789012:function:resize:live", Resource("function", "resize")),
        ("arn:aws:states:::lambda:invoke", Resource("invoke", "")),
        ("arn:aws-cn:states:::lambda:invoke.waitForTaskToken", Resource("invoke", "", "waitForTaskToken")),
        ("arn:aws:states:::states:startExecution", Resource("start-execution", "")),
        ("arn:aws:states:::states:startExecution.sync:2", Resource("start-execution", "", "sync:2")),
        ("arn:aws:states:eu-west-1:123456789012:activity:knit", Resource("activity", "knit")),
        ("arn:aws:states:::dynamodb:putItem", Resource("service", "dynamodb:putItem")),
        ("arn:aws:states:::aws-sdk:s3:listBuckets", Resource("service", "aws-sdk:s3:listBuckets")),
        ("arn:aws:states:::aws-sdk:lambda:invoke", Resource("invoke", "")),
        ("arn:aws:states:::aws-sdk:sfn:startExecution", Resource("start-execution", "")),
    ],
)
def test_resources(text: str, resource: Resource) -> None:
    assert parse_resource(text) == resource


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:states:::dynamodb:query",
        "arn:aws:states:::lambda:destroy",
        "arn:aws:states:::lambda:invoke.async",
        "arn:aws:states:eu-west-1:123456789012:stateMachine:m",
        "arn:aws:states:eu-west-1::lambda:invoke",
        "arn:aws:states:::aws-sdk:s3",
        "arn:aws:lambda:us-east-1:123456789012:function:",
    ],
)
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_resource(text)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("arn:aws:states:::dynamodb:putItem", "dynamodb_putItem"),
        ("arn:aws:states:::aws-sdk:dynamodb:putItem", "dynamodb_putItem"),
        ("arn:aws:states:::ecs:runTask.sync", "ecs_runTask"),
        ("arn:aws:states:::lambda:invoke", ""),
        ("resize", ""),
    ],
)
def test_which_function_stands_in_for_a_service(text: str, function: str) -> None:
    assert parse_resource(text).stand_in == function


@pytest.mark.parametrize(
    "text",
    ["orders", "arn:aws:states:eu-west-1:123456789012:stateMachine:orders:live", "shop:orders:3"],
)
def test_ways_to_name_a_workflow(text: str) -> None:
    assert machine_of(text) == "orders"
