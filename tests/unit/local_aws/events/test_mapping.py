"""What a mapping is set to, and what is not served."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws.events.mapping import EventSourceMapping, not_served, parse_mapping

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


def test_a_mapping_is_read_as_lambda_describes_it() -> None:
    plain = mapping()
    assert (plain.retries, plain.age_seconds, plain.lanes, plain.bisect) == (None, 86_400, 1, False)
    templated = mapping(BatchSize="50", MaximumRetryAttempts="3", BisectBatchOnFunctionError="true")
    assert (templated.batch_size, templated.retries, templated.bisect) == (50, 3, True)
    assert not mapping(State="Disabled").enabled
    assert mapping(ParallelizationFactor=2) != plain


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, None),
        ({"FilterCriteria": {"Filters": []}}, None),
        ({"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::errors"}}}, None),
        (
            {
                "DestinationConfig": {
                    "OnFailure": {"Destination": "arn:aws:sns:us-east-1:000000000000:failed"}
                }
            },
            "000000000000:failed. Hint: give an S3 bucket",
        ),
        (
            {
                "DestinationConfig": {
                    "OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:failed"}
                }
            },
            "000000000000:failed. Hint: give an S3 bucket",
        ),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "Hint: send all records"),
    ],
)
def test_what_is_not_served_says_what_is(settings: dict[str, Any], reason: str | None) -> None:
    found = not_served(DESCRIBED | settings)
    assert found is None if reason is None else reason in str(found)
