"""Nothing that Step Functions runs is refused: what the language allows beyond what was recorded."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actorfaas.states.validate import validate
from tests.states.machines_kit import INVOKE, definition, task

Json = Any  # a part of a definition

INNER = definition(i={"Type": "Pass"})
DISTRIBUTED = {**INNER, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}}
S3 = "arn:aws:states:::s3"
BUCKET = {"Bucket": "b", "Key": "k"}


def choice(**rule: Json) -> Json:
    return definition(c={"Type": "Choice", "Choices": [{**rule, "Next": "e"}], "Default": "e"}, e={"Type": "Succeed"})


def mapped(**fields: Json) -> Json:
    return definition(m={"Type": "Map", "ItemProcessor": DISTRIBUTED, **fields})


ACCEPTED: dict[str, Json] = {
    "comments everywhere": {
        "Comment": "c",
        "Version": "1.0",
        "TimeoutSeconds": 60,
        **definition(
            a=task(
                Comment="c",
                Next="b",
                Retry=[{"ErrorEquals": ["E"], "Comment": "c", "MaxAttempts": 0, "MaxDelaySeconds": 5}],
                Catch=[{"ErrorEquals": ["States.ALL"], "Comment": "c", "Next": "b"}],
            ),
            b={
                "Type": "Choice",
                "Comment": "c",
                "Choices": [{"Variable": "$.x", "IsNull": True, "Comment": "c", "Next": "d"}],
                "Default": "d",
            },
            d={"Type": "Succeed", "Comment": "c"},
        ),
    },
    "a state that catches into itself": definition(
        a=task(Next="b", Catch=[{"ErrorEquals": ["E"], "Next": "a"}]), b={"Type": "Succeed"}
    ),
    "error names of one's own beside those of the language": definition(
        a=task(
            Retry=[
                {"ErrorEquals": ["My.Error", "States.Timeout", "States.TaskFailed"]},
                {"ErrorEquals": ["States.ALL"]},
            ]
        )
    ),
    "a backoff of 1 and jitter": definition(
        a=task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 1, "IntervalSeconds": 1, "JitterStrategy": "FULL"}])
    ),
    "a backoff rate with a fraction": definition(a=task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 1.25}])),
    "the context as input": definition(a=task(InputPath="$$", OutputPath="$$.Execution.Id")),
    "nothing as input, result and output": definition(a=task(InputPath=None, ResultPath=None, OutputPath=None)),
    "a result placed deeply and in an array": definition(
        a=task(ResultPath="$.a.b[0].c", Next="b"), b=task(ResultPath="$")
    ),
    "intrinsics within intrinsics": definition(
        a={
            "Type": "Pass",
            "Parameters": {
                "x.$": "States.Format('{} of {}', States.JsonToString($.a), States.ArrayLength($.b))",
                "y.$": "States.ArrayGetItem(States.StringSplit($.s, ','), 0)",
                "z.$": r"States.Format('it\'s {}', $$.State.Name)",
                "list": [{"deep.$": "$.a"}, "$.not.a.path"],
                "id.$": "States.UUID()",
            },
        }
    ),
    "an object with a key that only looks like a path": definition(a={"Type": "Pass", "Result": {"x.$": "no path"}}),
    "variables": definition(
        a={"Type": "Pass", "Assign": {"x.$": "$.a", "y": 3}, "Next": "b"},
        b=task(Parameters={"x.$": "$x.part[0]", "y.$": "States.MathAdd($y, 1)"}),
    ),
    "time limits in the input": definition(a=task(TimeoutSecondsPath="$.limit", HeartbeatSecondsPath="$.beat")),
    "a wait until a time of the context": definition(a={"Type": "Wait", "TimestampPath": "$$.Execution.StartTime"}),
    "a wait of no seconds": definition(a={"Type": "Wait", "Seconds": 0}),
    "a timestamp with an offset and a fraction": definition(
        a={"Type": "Wait", "Timestamp": "2026-03-14T01:59:00.123-02:00"}
    ),
    "a failure without words": definition(a={"Type": "Fail"}),
    "a failure from the input": definition(
        a={"Type": "Fail", "ErrorPath": "$.error", "CausePath": "States.Format('because {}', $.cause)"}
    ),
    "rules of rules": choice(
        Or=[
            {"Not": {"And": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.b", "BooleanEqualsPath": "$.c"}]}},
            {"Variable": "$.s", "StringMatches": r"a*\*b"},
        ]
    ),
    "a rule on the context": choice(Variable="$$.State.RetryCount", NumericLessThan=3),
    "a rule on a variable": {
        "StartAt": "a",
        "States": {
            "a": {"Type": "Pass", "Assign": {"n": 1}, "Next": "c"},
            **choice(Variable="$n", NumericEquals=1.5)["States"],
        },
    },
    "timestamps compared": choice(Variable="$.t", TimestampGreaterThanEquals="2026-01-01T00:00:00Z"),
    "a choice without a default": definition(
        c={"Type": "Choice", "Choices": [{"Variable": "$.x", "IsNumeric": True, "Next": "e"}]}, e={"Type": "Succeed"}
    ),
    "the older names in Map": definition(
        m={
            "Type": "Map",
            "Iterator": INNER,
            "Parameters": {"v.$": "$$.Map.Item.Value"},
            "ItemsPath": "$.l",
            "MaxConcurrency": 0,
        }
    ),
    "a Map with limits in the input": mapped(
        MaxConcurrencyPath="$.n", ToleratedFailureCountPath="$.f", ToleratedFailurePercentagePath="$.p", Label="here"
    ),
    "batches": mapped(
        ItemBatcher={"MaxItemsPerBatchPath": "$.n", "MaxInputBytesPerBatch": 262144, "BatchInput": {"x.$": "$.x"}}
    ),
    "items from JSON": mapped(
        ItemReader={
            "Resource": f"{S3}:getObject",
            "ReaderConfig": {"InputType": "JSON", "MaxItems": 10},
            "Parameters": BUCKET,
        }
    ),
    "items from CSV": mapped(
        ItemReader={
            "Resource": f"{S3}:getObject",
            "ReaderConfig": {
                "InputType": "CSV",
                "CSVHeaderLocation": "GIVEN",
                "CSVHeaders": ["a", "b"],
                "CSVDelimiter": "SEMICOLON",
                "MaxItemsPath": "$.n",
            },
            "Parameters": {"Bucket.$": "$.b", "Key.$": "$.k"},
        }
    ),
    "items from a listing": mapped(
        ItemReader={"Resource": f"{S3}:listObjectsV2", "Parameters": {"Bucket": "b", "Prefix": "p"}}
    ),
    "results elsewhere": mapped(
        ResultWriter={
            "Resource": f"{S3}:putObject",
            "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
            "Parameters": {"Bucket": "b", "Prefix": "p"},
        }
    ),
    "a Lambda function by its ARN with a qualifier": definition(
        a=task(Resource="arn:aws:lambda:eu-west-1:123456789012:function:f:PROD")
    ),
    "Lambda with everything": definition(
        a=task(
            Resource=INVOKE,
            Parameters={
                "FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:f",
                "InvocationType": "RequestResponse",
                "LogType": "None",
                "ClientContext": "e30=",
                "Qualifier": "1",
                "Payload": {"x.$": "$"},
            },
        )
    ),
    "a function in the input": definition(a=task(Resource=INVOKE, Parameters={"FunctionName.$": "$.f"})),
    "JSONata, the whole": {
        "QueryLanguage": "JSONata",
        **definition(
            a=task(
                Arguments={"x": "{% $states.input.x %}", "y": [1, "{% $y %}"]},
                Output="{% $merge([$states.input, {'r': $states.result}]) %}",
                Assign={"n": "{% $count($states.input.l) %}"},
                TimeoutSeconds="{% $states.input.limit %}",
                Catch=[{"ErrorEquals": ["E"], "Output": "{% $states.errorOutput %}", "Assign": {"e": 1}, "Next": "b"}],
                Next="b",
            ),
            b={
                "Type": "Choice",
                "Choices": [
                    {
                        "Condition": "{% $n > 3 and $exists($states.input.v) %}",
                        "Assign": {"n": 0},
                        "Output": 1,
                        "Next": "w",
                    }
                ],
                "Default": "w",
                "Assign": {"n": 1},
            },
            w={"Type": "Wait", "Seconds": "{% $n %}", "Output": "{% $states.input %}", "Next": "m"},
            m={
                "Type": "Map",
                "Items": "{% [1..3] %}",
                "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}"},
                "MaxConcurrency": "{% $n %}",
                "ItemProcessor": INNER,
                "Next": "p",
            },
            p={"Type": "Parallel", "Branches": [INNER], "Arguments": "{% $states.input %}", "Next": "f"},
            f={"Type": "Fail", "Error": "{% 'E' & 1 %}", "Cause": "{% $string($n) %}"},
        ),
    },
    "JSONata in one state": definition(
        a={"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"x": "{% $uuid() %}"}, "Next": "b"},
        b={"Type": "Pass"},
    ),
    "names of states with anything in them": definition(**{"a / b (c) ✓": {"Type": "Succeed"}}),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_is_no_problem(name: str) -> None:
    assert validate(orjson.dumps(ACCEPTED[name]), refused=()) == []
