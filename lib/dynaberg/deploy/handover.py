"""The change of the stream type on a live deployment: which updates, in which order, and when.

`functions/handover.py` explains what the forwarder does meanwhile, and why the order stays right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from dynaberg import aws
from dynaberg.deploy.stack_state import stack_name, stack_parameters

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings

# How long both paths run before Kinesis runs alone. Firehose starts with what comes after its stream is
# ready.
OVERLAP_SECONDS = 300
# Allowance for the clocks of AWS's services, and for the Date of a response, which has no fraction.
CLOCK_SECONDS = 2
# "DynamoDB Streams Limits": what the forwarder has not read by then is lost.
STREAM_SECONDS = 24 * 3600
WITHOUT_END = "9999999999"


def handover_steps(
    stream_type: str, before: Mapping[str, str], clock: Callable[[], int]
) -> Iterator[dict[str, str]]:
    """The updates of the delivery that lead to a stream type; carry out each before asking for the next.

    Args:
        stream_type: The target: `dynamodb` or `kinesis`.
        before: The parameters that the delivery is deployed with; empty for the first time.
        clock: Returns AWS's time, in seconds since 1970.

    Yields:
        Parameters of the template; without a switch, one update as before.
    """
    until, taken_over = before.get("ForwardUntil", ""), before.get("TakenOverAt", "")
    was = before.get("StreamType", stream_type if not before else "dynamodb")
    if stream_type == "dynamodb":
        if was == "kinesis" and until:
            # The old event source keeps its position in the stream: only a new one starts at the beginning.
            yield {**before, "ForwardUntil": ""}
        taken_over = str(clock() + CLOCK_SECONDS) if was == "kinesis" else taken_over
        yield {"StreamType": "dynamodb", "ForwardUntil": "", "TakenOverAt": taken_over}
        return
    both = {"StreamType": "kinesis", "ForwardUntil": WITHOUT_END, "TakenOverAt": taken_over}
    if was == "dynamodb":
        yield both
    if was == "dynamodb" or until == WITHOUT_END:
        until = str(clock() + OVERLAP_SECONDS)
    elif until and int(until) + STREAM_SECONDS < clock():
        until = ""
    yield both | {"ForwardUntil": until}


def forwarded_until(session: boto3.Session, settings: Settings) -> datetime | None:
    """The moment until which the forwarder sends changes beside Kinesis; None if only one path is at work."""
    given = stack_parameters(session, stack_name(settings, "delivery"))
    until = int(given.get("ForwardUntil") or 0)
    if given.get("StreamType") != "kinesis" or until + STREAM_SECONDS < aws_seconds(session):
        return None
    return datetime.fromtimestamp(until, UTC)


def aws_seconds(session: boto3.Session) -> int:
    """The time by AWS's clock, in seconds since 1970; this machine's clock may be wrong."""
    answer = aws.client(session, "sts").get_caller_identity()
    return int(parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp())


def wait_for_kinesis(session: boto3.Session, foundation: Mapping[str, str]) -> None:
    """Wait until DynamoDB sends a table's changes to Kinesis, or has stopped doing so.

    Args:
        session: An open session.
        foundation: Outputs of the foundation.

    Raises:
        NotReadyError: DynamoDB took longer than ten minutes.
    """
    name, wanted = foundation["SourceTableName"], bool(foundation.get("KinesisStreamName"))

    def settled() -> bool:
        answer = aws.client(session, "dynamodb").describe_kinesis_streaming_destination(TableName=name)
        states = {found["DestinationStatus"] for found in answer["KinesisDataStreamDestinations"]}
        return ("ACTIVE" in states) == wanted and not states & {"ENABLING", "DISABLING", "UPDATING"}

    what = f"The Kinesis destination of table {name!r} to be {'active' if wanted else 'off'}"
    aws.wait_for(settled, timeout=600, what=what)
