"""The way back into the pipeline for replayed changes: as change rows, to the delivery stream.

This also holds with Kinesis as the source: the delivery stream that reads it accepts no direct puts, so there
is a second one that does. It writes to the change log only during a replay, and Firehose retries a commit
that conflicts with another.
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
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.functions.handover import Handover, read_handover
from dynaberg.functions.masks import MaskKey
from dynaberg.functions.routing import Router, Row
from dynaberg.functions.to_firehose import put, send_in_one_piece
from dynaberg.functions.tombstones import HeldBack, Tombstones
from dynaberg.masks import mask_key
from dynaberg.sql import query

if TYPE_CHECKING:
    from datetime import datetime

    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

SEND_SECONDS = 120.0
# A backfill sends from several threads.
_SENDERS = 8
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
# Errors that waiting does not fix.
_FINAL = {
    "AccessDeniedException",
    "InvalidArgumentException",
    "ResourceNotFoundException",
    "ValidationException",
}

_NO_HANDOVER = Handover()

Send = Callable[[Sequence[Row]], None]
Convert = Callable[[Any], bytes]
Route = Callable[[Any], tuple[list[Row], list[ConversionError]]]
"""The rows of a change record, at most one for each change log, and why there is none for another one."""


def open_reentry(
    session: boto3.Session, settings: Settings, contract: Contract, *, timeout: float = SEND_SECONDS
) -> Send:
    """Find out where to send replayed changes.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.
        timeout: How long one send may take, in seconds.

    Returns:
        A function that sends rows of any change log of the table's source and returns when all were
        acknowledged; it raises NotReadyError if some were not by the deadline.

    Raises:
        NotFoundError: The pipeline is not deployed.
        ContractError: A change log does not match the contract; Firehose would silently leave out columns.
    """
    found = deploy.outputs(session, settings, "delivery")
    names = {log: deploy.stream_name(found, log) for log in (each.log_name for each in contract.of_source)}
    for each in contract.of_source:
        _check_columns(session, settings, each)
    firehose = send_in_one_piece(aws.new_client(session, "firehose", max_pool_connections=_SENDERS))

    def send_rows(rows: Sequence[Row]) -> None:
        for log, name in names.items():
            own = [row.data for row in rows if row.log == log]
            if own:
                send(firehose, name, own, timeout=timeout)

    return send_rows


def send(firehose: Any, stream_name: str, rows: Sequence[bytes], *, timeout: float = SEND_SECONDS) -> None:
    """Send rows, and retry those that were refused, with growing and jittered pauses.

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
            msg = f"{stream_name!r} did not accept {len(refused)} of {len(rows)} changes: {codes}."
            raise NotReadyError(msg, hint="Nothing is lost: these were not archived. Replay again later.")
        time.sleep(pause)
        refused, attempt = put(firehose, stream_name, [each.row for each in refused]), attempt + 1


def deployed_route(session: boto3.Session, settings: Settings, contract: Contract) -> Route:
    """Routing and conversion by the contracts as they are now, with the same times as from the forwarder.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.

    Raises:
        NotFoundError: The pipeline is not deployed.
    """
    name = deploy.outputs(session, settings, "delivery")["ForwarderName"]
    forwarder = aws.client(session, "lambda").get_function_configuration(FunctionName=name)
    handover = read_handover(forwarder["Environment"]["Variables"])
    return row_route(contract, handover, mask_key(session, settings, contract))


def row_route(contract: Contract, handover: Handover = _NO_HANDOVER, key: MaskKey | None = None) -> Route:
    """The Lambda's own routing and conversion of a change record of a table's source.

    Args:
        contract: The table contract, and its siblings.
        handover: How changes are dated around a change of the stream type.
        key: The key of the masks that need one.
    """
    router = Router(json.loads(contract.to_lambda_json()), key)
    # Here nothing is left to the other path: what came on both is one change of the current table.
    dating = replace(handover, forward_until=None)

    def route(record: Any) -> tuple[list[Row], list[ConversionError]]:
        [dated] = dating.apply([record])
        return router.rows(dated, time.time_ns() // 1_000)

    return route


def held_back(session: boto3.Session, settings: Settings, contract: Contract) -> HeldBack:
    """Which rows of a table's source may not come back, because their items were forgotten.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract, and its siblings.

    Raises:
        NotFoundError: There is no foundation yet.
    """
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    tombstones = Tombstones.load(aws.client(session, "s3"), bucket, contract.source_table)
    return tombstones.of_contracts(json.loads(contract.to_lambda_json()))


def row_converter(contract: Contract, key: MaskKey | None = None) -> Convert:
    """The Lambda's own conversion of a change record for one table, whichever table claims the item.

    Args:
        contract: The table contract.
        key: The key of the masks that need one.

    Returns:
        A function that returns the change row, received now, or raises ConversionError.
    """
    converter = ChangeConverter(json.loads(replace(contract, siblings=()).to_lambda_json()), key)
    return lambda record: converter.to_row(record, time.time_ns() // 1_000)


def delivered_ids(
    session: boto3.Session, settings: Settings, contract: Contract, since: datetime | None
) -> set[str | None]:
    """The ids of the changes that are already in the change log.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.
        since: Timezone-aware moment from which to search; None searches the whole change log.
    """
    bound = "WHERE received_at >= :since" if since else ""
    sql = f'SELECT DISTINCT change_id FROM "{contract.log_name}" {bound}'  # noqa: S608
    return set(query(session, settings, sql, {"since": since} if since else None).df["change_id"])


def ids_of_source(
    session: boto3.Session, settings: Settings, contract: Contract, since: datetime | None
) -> dict[str, set[str | None]]:
    """The same for each change log of the table's source, by its name."""
    return {each.log_name: delivered_ids(session, settings, each, since) for each in contract.of_source}


def _check_columns(session: boto3.Session, settings: Settings, contract: Contract) -> None:
    """Raise an error if the change log does not match the contract yet."""
    log = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    present = {field.name: field.field_type for field in log.schema().fields}
    behind = [
        field.name
        for field in contract.log_schema().fields
        if field.name not in present
        or (field.field_type.is_primitive and field.field_type != present[field.name])
    ]
    if behind:
        msg = f"The columns of {contract.log_name!r} do not match the contract yet: {', '.join(behind)}."
        raise ContractError(msg, hint="Deploy the changed contract first: wb.deploy_firehose().")
