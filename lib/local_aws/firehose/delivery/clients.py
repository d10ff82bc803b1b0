"""The AWS services that the delivery worker uses, and what it reports to two of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.exceptions import BadRequestError, CommitFailedException, NoSuchTableError, RESTError
from requests.exceptions import RequestException

from local_aws.firehose.append import TableBucket
from local_aws.firehose.delivery.buffer import DeliveryBuffer, Metrics
from local_aws.firehose.stream import DeliveryConfig, normalize, read_config

TROUBLE = (
    CommitFailedException,
    NoSuchTableError,
    RESTError,
    RequestException,
    BotoCoreError,
    ClientError,
    OSError,
)

log = logging.getLogger(__name__)


def is_outage(error: Exception) -> bool:
    """Whether an error may pass by itself: somebody else committed, a service, a bucket or a table is away.

    All others are the records' own: they come again, however long one waits.
    """
    return isinstance(error, TROUBLE) and not isinstance(error, BadRequestError)


class DeliveryClients:
    """Clients of the local AWS."""

    def __init__(self, endpoint: str, region: str) -> None:
        self._endpoint, self._region = endpoint, region
        self._session = boto3.Session("test", "test", region_name=region)
        self._config = Config(retries={"total_max_attempts": 1}, read_timeout=905)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, name: str) -> Any:
        """The client of a service, made when it is first needed: each takes a tenth of a second."""
        with self._lock:
            if name not in self._clients:
                self._clients[name] = self._session.client(  # type: ignore[call-overload]
                    name, endpoint_url=self._endpoint, config=self._config
                )
            return self._clients[name]

    def table_bucket(self, arn: str) -> TableBucket:
        """The tables of a table bucket."""
        return TableBucket(arn, self._endpoint, self._region, self.client("s3tables"))

    def describe(self, name: str) -> DeliveryConfig | None:
        """How a delivery stream is set; None where it is gone or has no Iceberg destination."""
        firehose = self.client("firehose")
        try:
            answer = firehose.describe_delivery_stream(DeliveryStreamName=name)
        except firehose.exceptions.ResourceNotFoundException:
            return None
        return read_config(normalize(answer["DeliveryStreamDescription"]))

    def report_error(self, config: DeliveryConfig, error: Exception) -> None:
        """Log what holds a delivery up. Only an outage is described: other errors may show values."""
        described = {"message": str(error)} if is_outage(error) else {}
        try:
            self._log(config, [{"errorCode": type(error).__name__} | described])
        except (BotoCoreError, ClientError) as trouble:
            log.info("%s: not logged: %s", config.name, trouble)

    def report(self, config: DeliveryConfig, buffer: DeliveryBuffer, of_source: Metrics) -> None:
        """Publish the metrics of a flush and log its failures, without retries."""
        dimensions = [{"Name": "DeliveryStreamName", "Value": config.name}]
        metrics = [
            {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit}
            for name, (value, unit) in (buffer.metrics() | of_source).items()
        ]
        try:
            self.client("cloudwatch").put_metric_data(Namespace="AWS/Firehose", MetricData=metrics)
            # One event for each error code; messages stay in the error bucket, since they may hold values.
            counts = Counter(failure.code for failure in buffer.failures)
            self._log(config, [{"errorCode": code, "failedRecords": n} for code, n in counts.items()])
        except (BotoCoreError, ClientError) as error:
            log.warning("%s: not reported: %s", config.name, error)

    def _log(self, config: DeliveryConfig, messages: Sequence[Mapping[str, Any]]) -> None:
        """Write events to the stream's log, if it has one."""
        now_ms, stream = round(time.time() * 1000), {"deliveryStreamARN": config.arn}
        events = [
            {"timestamp": now_ms, "message": orjson.dumps({**stream, **one}).decode()} for one in messages
        ]
        if events and config.log_group and config.log_stream:
            where = {"logGroupName": config.log_group, "logStreamName": config.log_stream}
            self.client("logs").put_log_events(**where, logEvents=events)
