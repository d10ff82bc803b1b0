"""The way back into the pipeline, for changes that are replayed: as change rows, to the delivery stream.

With Kinesis as the source too: the delivery stream that reads it takes no direct puts, so one that does
stands beside it. It writes to the log only while something is replayed, and Firehose tries a commit that
meets another one again.
Source: "PutRecordBatch", Amazon Data Firehose API Reference.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dynaberg import aws, catalog, deploy
from dynaberg.errors import ContractError, NotReadyError
from dynaberg.functions.conversion import ChangeConverter
from dynaberg.functions.delivery import put
from dynaberg.functions.handover import Handover, read_handover
from dynaberg.sql import query

if TYPE_CHECKING:
    from datetime import datetime

    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

SEND_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
# Refusals that no waiting helps against.
_FINAL = {
    "AccessDeniedException",
    "InvalidArgumentException",
    "ResourceNotFoundException",
    "ValidationException",
}

_NO_HANDOVER = Handover()

Send = Callable[[Sequence[bytes]], None]
Convert = Callable[[Any], bytes]


def open_reentry(
    session: boto3.Session, settings: Settings, contract: Contract, *, timeout: float = SEND_SECONDS
) -> Send:
    """Find out where replayed changes go.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.
        timeout: How long one sending may take, in seconds.

    Returns:
        A function that sends change rows and returns when all were acknowledged; NotReadyError where some
        were not by the deadline.

    Raises:
        NotFoundError: The pipeline is not deployed.
        ContractError: The log is not as the contract says; Firehose would leave columns out in silence.
    """
    name = deploy.outputs(session, settings, "delivery")["DeliveryStreamName"]
    _check_columns(session, settings, contract)
    firehose = aws.client(session, "firehose")
    return lambda rows: send(firehose, name, rows, timeout=timeout)


def send(firehose: Any, stream_name: str, rows: Sequence[bytes], *, timeout: float = SEND_SECONDS) -> None:
    """Send rows, and again those that were refused, with growing and jittered pauses.

    Args:
        firehose: A boto3 Firehose client.
        stream_name: The delivery stream.
        rows: Change rows.
        timeout: Deadline in seconds.

    Raises:
        NotReadyError: Not all were acknowledged by the deadline.
    """
    refused, attempt, deadline = put(firehose, stream_name, rows), 0, time.monotonic() + timeout
    while refused:
        pause = random.uniform(0, min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311
        final = any(each.code in _FINAL for each in refused)
        if final or time.monotonic() + pause > deadline:
            codes = ", ".join(sorted({each.code for each in refused}))
            msg = f"{stream_name!r} did not take {len(refused)} of {len(rows)} changes: {codes}."
            raise NotReadyError(msg, hint="Nothing is lost: these were not archived. Replay again later.")
        time.sleep(pause)
        refused, attempt = put(firehose, stream_name, [each.row for each in refused]), attempt + 1


def deployed_converter(session: boto3.Session, settings: Settings, contract: Contract) -> Convert:
    """The conversion by the contract as it is now, dating as the forwarder does.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.

    Raises:
        NotFoundError: The pipeline is not deployed.
    """
    name = deploy.outputs(session, settings, "delivery")["ForwarderName"]
    forwarder = aws.client(session, "lambda").get_function_configuration(FunctionName=name)
    return row_converter(contract, read_handover(forwarder["Environment"]["Variables"]))


def row_converter(contract: Contract, handover: Handover = _NO_HANDOVER) -> Convert:
    """The Lambda's own conversion of a change record, by the contract as it is now.

    Args:
        contract: The table contract.
        handover: How changes around a change of the stream type are dated.

    Returns:
        A function that makes the change row, received now, or raises ConversionError.
    """
    converter = ChangeConverter(json.loads(contract.to_lambda_json()))
    # Here nothing is left to the other path: what came on both is one change of the current table.
    dating = replace(handover, forward_until=None)

    def convert(record: Any) -> bytes:
        [dated] = dating.apply([record])
        return converter.to_row(dated, time.time_ns() // 1_000)

    return convert


def delivered_ids(
    session: boto3.Session, settings: Settings, contract: Contract, since: datetime | None
) -> set[str | None]:
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
