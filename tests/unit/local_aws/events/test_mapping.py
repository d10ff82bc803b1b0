"""What a mapping is set to, and which records it wants."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from local_aws.events.filters import parse_filters
from local_aws.events.mapping import EventSourceMapping, parse_mapping

STREAM_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
DESCRIBED = {
    "UUID": "u-1",
    "EventSourceArn": STREAM_ARN,
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:forward",
    "State": "Enabled",
    "BatchSize": 100,
}


def mapping(**settings: Any) -> EventSourceMapping:
    return parse_mapping(DESCRIBED | settings)


INSERT = {"eventName": "INSERT", "dynamodb": {"NewImage": {"state": {"S": "OPEN"}, "size": {"N": "5"}}}}


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["REMOVE"]}, False),
        ({"eventName": [{"prefix": "INS"}]}, True),
        ({"eventName": [{"suffix": "ERT"}]}, True),
        ({"eventName": [{"equals-ignore-case": "insert"}]}, True),
        ({"eventName": [{"anything-but": ["REMOVE"]}]}, True),
        ({"eventName": [{"anything-but": ["INSERT"]}]}, False),
        ({"dynamodb": {"NewImage": {"state": {"S": ["OPEN"]}}}}, True),
        ({"dynamodb": {"NewImage": {"state": {"S": [{"exists": True}]}}}}, True),
        ({"dynamodb": {"NewImage": {"gone": {"S": [{"exists": False}]}}}}, True),
        ({"dynamodb": {"OldImage": {"state": {"S": ["OPEN"]}}}}, False),
        ({"dynamodb": {"NewImage": {"size": {"N": [{"numeric": [">", 1]}]}}}}, False),  # DynamoDB's are text
        ({"$or": [{"eventName": ["REMOVE"]}, {"eventName": ["INSERT"]}]}, True),
        ({"eventName": ["INSERT"], "awsRegion": ["eu-west-1"]}, False),
    ],
)
def test_filters(pattern: dict[str, Any], wanted: bool) -> None:
    criteria = {"Filters": [{"Pattern": orjson.dumps(pattern).decode()}]}
    assert mapping(FilterCriteria=criteria).wants(INSERT) is wanted
    assert parse_filters(criteria) == parse_filters(criteria)


def test_a_mapping_is_read_as_lambda_describes_it() -> None:
    plain = mapping()
    assert (plain.retries, plain.age_seconds, plain.lanes, plain.bisect) == (None, 86_400, 1, False)
    templated = mapping(BatchSize="50", MaximumRetryAttempts="3", BisectBatchOnFunctionError="true")
    assert (templated.batch_size, templated.retries, templated.bisect) == (50, 3, True)
    assert not mapping(State="Disabled").enabled
    assert mapping(ParallelizationFactor=2) != plain
