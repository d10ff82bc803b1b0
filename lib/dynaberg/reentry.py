"""The way back into the pipeline, for changes that are replayed.

A delivery stream that takes direct puts gets the change rows. One that reads Kinesis refuses them, so there
the change records go onto the Kinesis stream again, and come through Firehose and its Lambda as they did the
first time: the log keeps a single writer. Other readers of that stream see them a second time too.
Source: "PutRecordBatch", Amazon Data Firehose API Reference.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dynaberg import aws, catalog, deploy
from dynaberg.errors import ContractError, NotReadyError
from dynaberg.functions.conversion import ChangeConverter
from dynaberg.functions.delivery import batches
from dynaberg.query import query

if TYPE_CHECKING:
    from datetime import datetime

    import boto3

    from dynaberg.contract import Contract
    from dynaberg.settings import Settings

SEND_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_PASSING = {
    "InternalFailure",
    "InternalFailureException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ServiceUnavailableException",
    "ThrottlingException",
}


@dataclass(frozen=True)
class Reentry:
    """Where replayed changes go.

    Attributes:
        name: The stream, for messages.
        takes_records: Whether it takes change records as they were, and not change rows.
        put: Sends one batch; gives the error code of each, None for what was taken.
    """

    name: str
    takes_records: bool
    put: Callable[[Sequence[bytes]], list[str | None]]

    def send(self, payloads: Sequence[bytes], *, timeout: float = SEND_SECONDS) -> None:
        """Send, and send again what was refused, with growing and jittered pauses.

        Raises:
            NotReadyError: Not all was acknowledged by the deadline.
        """
        pending, attempt, deadline = list(payloads), 0, time.monotonic() + timeout
        while pending:
            refused: list[bytes] = []
            for batch in batches(pending):
                codes = self._put_calmly(batch)
                refused += [payload for payload, code in zip(batch, codes, strict=True) if code]
            pause = random.uniform(0, min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311
            if refused and time.monotonic() + pause > deadline:
                count = f"{len(refused)} of {len(payloads)} changes"
                msg = f"{self.name!r} did not take {count} in {timeout:g} s."
                raise NotReadyError(msg, hint="Nothing is lost and nothing was archived: replay again later.")
            time.sleep(pause if refused else 0)
            pending, attempt = refused, attempt + 1

    def _put_calmly(self, batch: Sequence[bytes]) -> list[str | None]:
        """Send a batch; a refusal of the whole that passes is a refusal of each."""
        try:
            return self.put(batch)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _PASSING:
                raise
            return [code] * len(batch)


def open_reentry(session: boto3.Session, settings: Settings, contract: Contract) -> Reentry:
    """Find out where replayed changes go.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.

    Raises:
        NotFoundError: The pipeline is not deployed.
        ContractError: The log is not as the contract says; Firehose would leave columns out in silence.
    """
    _check_columns(session, settings, contract)
    name = deploy.outputs(session, settings, "delivery")["DeliveryStreamName"]
    firehose = aws.client(session, "firehose")
    stream = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
    if stream["DeliveryStreamType"] == "KinesisStreamAsSource":
        arn = stream["Source"]["KinesisStreamSourceDescription"]["KinesisStreamARN"]
        return Reentry(arn.rpartition("/")[2], True, _kinesis_put(aws.client(session, "kinesis"), arn))
    return Reentry(name, False, _firehose_put(firehose, name))


def current_converter(contract: Contract) -> ChangeConverter:
    """The Lambda's own conversion, by the contract as it is now."""
    return ChangeConverter(json.loads(contract.to_lambda_json()))


def delivered_ids(
    session: boto3.Session, settings: Settings, contract: Contract, since: datetime | None
) -> set[str]:
    """The ids of the changes that the log holds already.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.
        since: Timezone-aware moment before which nothing is looked for; None looks through the whole log.
    """
    bound = "WHERE received_at >= :since" if since else ""
    sql = f'SELECT DISTINCT change_id FROM "{contract.log_name}" {bound}'  # noqa: S608
    return set(query(session, settings, sql, {"since": since} if since else None).df["change_id"])


def partition_key(document: Mapping[str, Any]) -> str:
    """A Kinesis partition key that keeps the changes of one item together."""
    change = document.get("dynamodb")
    keys = change["Keys"] if isinstance(change, dict) else document.get("change_id")
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()


def _check_columns(session: boto3.Session, settings: Settings, contract: Contract) -> None:
    """Refuse where the log is not yet as the contract says."""
    log = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    present = {field.name: field.field_type for field in log.schema().fields}
    behind = [
        field.name
        for field in contract.log_schema().fields
        if field.name not in present
        or (field.field_type.is_primitive and field.field_type != present[field.name])
    ]
    if behind:
        msg = f"The columns of {contract.log_name!r} are not yet as the contract says: {', '.join(behind)}."
        raise ContractError(msg, hint="Deploy the changed contract first: wb.deploy_firehose().")


def _firehose_put(firehose: Any, name: str) -> Callable[[Sequence[bytes]], list[str | None]]:
    def put(batch: Sequence[bytes]) -> list[str | None]:
        records = [{"Data": payload} for payload in batch]
        answer = firehose.put_record_batch(DeliveryStreamName=name, Records=records)
        return _codes(answer["RequestResponses"])

    return put


def _kinesis_put(kinesis: Any, arn: str) -> Callable[[Sequence[bytes]], list[str | None]]:
    def put(batch: Sequence[bytes]) -> list[str | None]:
        records = [{"Data": data, "PartitionKey": partition_key(json.loads(data))} for data in batch]
        return _codes(kinesis.put_records(StreamARN=arn, Records=records)["Records"])

    return put


def _codes(answers: Iterable[Mapping[str, Any]]) -> list[str | None]:
    return [answer.get("ErrorCode") for answer in answers]
