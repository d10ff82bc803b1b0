"""An event source mapping: which records go to which function, how many at once, and what if it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RETENTION_SECONDS = 24 * 60 * 60
_BATCH_SIZE = {"dynamodb": 100, "sqs": 10}


@dataclass(frozen=True)
class EventSourceMapping:
    """What a mapping is set to (Lambda API reference, "EventSourceMappingConfiguration").

    Attributes:
        uuid: Its id.
        source_arn: The DynamoDB stream or the SQS queue.
        function_arn: The function, with its qualifier if it has one.
        enabled: Whether records are read at all.
        batch_size: Most records of one invocation.
        window_seconds: How long records may wait for a batch to fill.
        lanes: Concurrent batches of one shard; the changes of one key stay in one lane.
        retries: Attempts after the first; None is until the records expire.
        age_seconds: Older records are not sent any more.
        bisect: Whether a failed batch is halved.
        reports_failures: Whether the function's answer names what failed (ReportBatchItemFailures).
        destination_arn: The bucket where discarded records are reported; None is nowhere.
        concurrency: Most concurrent batches of a queue; None is as many as there are pollers.
    """

    uuid: str
    source_arn: str
    function_arn: str
    enabled: bool
    batch_size: int
    window_seconds: float
    lanes: int
    retries: int | None
    age_seconds: float
    bisect: bool
    reports_failures: bool
    destination_arn: str | None
    concurrency: int | None

    @property
    def service(self) -> str:
        """The service of the source: `dynamodb` or `sqs`."""
        return self.source_arn.split(":")[2]

    @property
    def region(self) -> str:
        """The Region of the source."""
        return self.source_arn.split(":")[3]

    @property
    def account(self) -> str:
        """The account of the source."""
        return self.source_arn.split(":")[4]

    @property
    def function_name(self) -> str:
        """The function's name without its qualifier."""
        return self.function_arn.split(":")[6]


def parse_mapping(answer: Mapping[str, Any]) -> EventSourceMapping:
    """A mapping as the Lambda API describes it; a number may be text, as CloudFormation leaves it."""
    source_arn = answer["EventSourceArn"]
    retries = int(answer.get("MaximumRetryAttempts", -1))
    age_seconds = int(answer.get("MaximumRecordAgeInSeconds", -1))
    concurrency = (answer.get("ScalingConfig") or {}).get("MaximumConcurrency")
    return EventSourceMapping(
        uuid=answer["UUID"],
        source_arn=source_arn,
        function_arn=answer["FunctionArn"],
        enabled=answer["State"] == "Enabled",
        batch_size=int(answer.get("BatchSize") or _BATCH_SIZE.get(source_arn.split(":")[2], 100)),
        window_seconds=float(answer.get("MaximumBatchingWindowInSeconds") or 0),
        lanes=int(answer.get("ParallelizationFactor") or 1),
        retries=None if retries < 0 else retries,
        age_seconds=RETENTION_SECONDS if age_seconds < 0 else age_seconds,
        bisect=str(answer.get("BisectBatchOnFunctionError", False)).lower() == "true",
        reports_failures="ReportBatchItemFailures" in (answer.get("FunctionResponseTypes") or ()),
        destination_arn=destination(answer),
        concurrency=None if concurrency is None else int(concurrency),
    )


def destination(answer: Mapping[str, Any]) -> str | None:
    """Where discarded records are reported, None where nowhere."""
    on_failure = (answer.get("DestinationConfig") or {}).get("OnFailure") or {}
    arn: str | None = on_failure.get("Destination")
    return arn


def not_served(answer: Mapping[str, Any]) -> str | None:
    """What a mapping asks for that is not served here, with what is; None if there is nothing."""
    arn = destination(answer)
    if arn and not arn.startswith("arn:aws:s3:::"):
        return (
            f"The local AWS does not report failed records to {arn}. "
            "Hint: give an S3 bucket as the failure destination, `arn:aws:s3:::<name>`."
        )
    if (answer.get("FilterCriteria") or {}).get("Filters"):
        return (
            "The local AWS does not filter events (FilterCriteria). "
            "Hint: send all records and let the function skip those that it does not want."
        )
    return None
