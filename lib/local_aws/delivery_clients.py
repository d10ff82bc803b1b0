"""The AWS services that the delivery worker uses, and what it reports to two of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local_aws.error_records import FailedRecord
from local_aws.firehose_config import DeliveryConfig, normalize, read_config
from local_aws.iceberg_sink import TableBucket

LOGGED_FAILURES = 10

log = logging.getLogger(__name__)


class DeliveryClients:
    """Clients of the local AWS.

    Args:
        endpoint: Address of the gateway.
        region: AWS Region.
    """

    def __init__(self, endpoint: str, region: str) -> None:
        self._endpoint, self._region = endpoint, region
        session = boto3.Session("test", "test", region_name=region)
        impatient = Config(retries={"total_max_attempts": 1}, read_timeout=905)

        def client(name: str) -> Any:
            return session.client(name, endpoint_url=endpoint, config=impatient)  # type: ignore[call-overload]

        self.firehose = client("firehose")
        self.lambda_ = client("lambda")
        self.s3 = client("s3")
        self.kinesis = client("kinesis")
        self._s3tables = client("s3tables")
        self._cloudwatch = client("cloudwatch")
        self._logs = client("logs")

    def table_bucket(self, arn: str) -> TableBucket:
        """The tables of a table bucket."""
        return TableBucket(arn, self._endpoint, self._region, self._s3tables)

    def streams_from_kinesis(self) -> list[str]:
        """Names of the delivery streams that read a Kinesis stream."""
        names: list[str] = []
        while True:
            start = {"ExclusiveStartDeliveryStreamName": names[-1]} if names else {}
            answer = self.firehose.list_delivery_streams(
                DeliveryStreamType="KinesisStreamAsSource", Limit=100, **start
            )
            names += answer["DeliveryStreamNames"]
            if not answer["HasMoreDeliveryStreams"]:
                return names

    def describe(self, name: str) -> DeliveryConfig | None:
        """How a delivery stream is set; None where it is gone or has no Iceberg destination."""
        try:
            answer = self.firehose.describe_delivery_stream(DeliveryStreamName=name)
        except self.firehose.exceptions.ResourceNotFoundException:
            return None
        return read_config(normalize(answer["DeliveryStreamDescription"]))

    def report(
        self,
        config: DeliveryConfig,
        records: int,
        size_bytes: int,
        since_ms: int,
        failures: Sequence[FailedRecord],
    ) -> None:
        """Publish the metrics of a flush, and log its failures; what is not taken is let go.

        Source: "Monitor Amazon Data Firehose with CloudWatch metrics" (Developer Guide).
        """
        unprocessed = sum(failure.lambda_arn is not None for failure in failures)
        failed = len(failures) - unprocessed
        values = {
            "IncomingRecords": (records, "Count"),
            "IncomingBytes": (size_bytes, "Bytes"),
            "DeliveryToIceberg.IncomingRowCount": (records - unprocessed, "Count"),
            "DeliveryToIceberg.SuccessfulRowCount": (records - len(failures), "Count"),
            "DeliveryToIceberg.FailedRowCount": (failed, "Count"),
            "DeliveryToIceberg.DataFreshness": (max(0.0, time.time() - since_ms / 1000), "Seconds"),
            "ExecuteProcessingFailure.Records": (unprocessed, "Count"),
        }
        dimensions = [{"Name": "DeliveryStreamName", "Value": config.name}]
        metrics = [
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit}
            for name, (value, unit) in values.items()
        ]
        try:
            self._cloudwatch.put_metric_data(Namespace="AWS/Firehose", MetricData=metrics)
            if failures and config.log_group and config.log_stream:
                self._log(config.log_group, config.log_stream, config.arn, failures)
        except (BotoCoreError, ClientError) as error:
            log.warning("%s: not reported: %s", config.name, error)

    def _log(self, group: str, stream: str, arn: str, failures: Sequence[FailedRecord]) -> None:
        now_ms = round(time.time() * 1000)
        events = [
            {
                "timestamp": now_ms,
                "message": f'{{"deliveryStreamARN":"{arn}","errorCode":"{failure.code}",'
                f'"count":{sum(other.code == failure.code for other in failures)}}}',
            }
            for failure in {failure.code: failure for failure in failures}.values()
        ]
        self._logs.put_log_events(
            logGroupName=group, logStreamName=stream, logEvents=events[:LOGGED_FAILURES]
        )
