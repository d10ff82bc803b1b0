"""When ministack evaluates its alarms."""

from __future__ import annotations

import asyncio

from ministack.core.responses import request_scope
from ministack.services import cloudwatch

from local_aws.seams.cloudwatch import put_off_alarms

ACCOUNT, REGIONS = "000000000000", ("us-east-1", "eu-west-1")


def put(value: int) -> None:
    data = {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": value}]}
    cloudwatch._put_metric_data({}, data, is_cbor=False, is_json=True)


def states() -> list[str]:
    return [alarm["StateValue"] for alarm in cloudwatch._alarms.all_values()]


def test_alarms_are_evaluated_once_for_many_metrics_where_the_metrics_are() -> None:
    evaluate_due, evaluations = put_off_alarms(), []
    evaluate_alarm = cloudwatch._evaluate_alarm
    for region in REGIONS:
        with request_scope(ACCOUNT, region):
            cloudwatch._alarms["a"] = {
                "AlarmName": "a",
                "Namespace": "n",
                "MetricName": "m",
                "Statistic": "Maximum",
                "Period": 3600,
                "Threshold": 5,
                "ComparisonOperator": "GreaterThanThreshold",
                "StateValue": "INSUFFICIENT_DATA",
            }
    with request_scope(ACCOUNT, REGIONS[0]):
        for value in (1, 9, 2):
            put(value)
    assert states() == ["INSUFFICIENT_DATA"] * 2

    def counted(alarm: dict[str, str]) -> None:
        evaluations.append(alarm["AlarmName"])
        evaluate_alarm(alarm)

    cloudwatch._evaluate_alarm = counted
    try:
        for _ in range(3):
            asyncio.run(evaluate_due())  # type: ignore[arg-type]
    finally:
        cloudwatch._evaluate_alarm = evaluate_alarm
    assert states() == ["ALARM", "INSUFFICIENT_DATA"]
    assert evaluations == ["a"]
