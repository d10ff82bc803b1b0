"""Writing tombstones, and listing them; `functions.tombstones` says what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dynaberg import aws, deploy
from dynaberg.erasure.wanted import Key, Wanted
from dynaberg.errors import NotReadyError
from dynaberg.functions.tombstones import Tombstones, object_key

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_ATTEMPTS = 5
_CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ITEM, _VALUE = "item", "value"


def bury(
    session: boto3.Session, settings: Settings, wanted: Wanted, moment: datetime, alive: frozenset[Key]
) -> None:
    """Write the tombstones of items.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        wanted: The items.
        moment: Changes up to then are held back; timezone-aware.
        alive: Keys of those that are still in DynamoDB: no backfill brings them back, however new it is.

    Raises:
        NotReadyError: Others wrote tombstones at every attempt.
    """
    until_us = (moment - _EPOCH) // timedelta(microseconds=1)

    def entry(what: str, *, live: bool = False) -> dict[str, Any]:
        return {"until_us": until_us, "live": live, "forgotten_at": moment.isoformat(), "what": what}

    def add(tombstones: Tombstones) -> None:
        for key, values, types in wanted.key_rows():
            tombstones.entries[tombstones.digest(values, types)] = entry(_ITEM, live=key in alive)
        if wanted.column is not None:
            tombstones.entries[_of_value(tombstones, wanted)] = entry(_VALUE)

    _change(session, settings, wanted.contract, add)


def is_known(session: boto3.Session, settings: Settings, wanted: Wanted) -> bool:
    """Whether it was asked before to forget these items: that may have been interrupted."""
    tombstones = _load(session, settings, wanted.contract)
    if wanted.column is not None:
        return _of_value(tombstones, wanted) in tombstones.entries
    return any(
        tombstones.digest(values, types) in tombstones.entries for _, values, types in wanted.key_rows()
    )


def forgotten(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """The tombstones of a table's source.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.

    Returns:
        One row per tombstone, the oldest first: forgotten_at (UTC), what (`item`, or `value` for the value by
        which items were found), was_alive (whether the item was still in DynamoDB), digest (a keyed hash).

    Raises:
        NotFoundError: There is no foundation yet.
    """
    import pandas as pd

    entries: Mapping[str, Any] = _load(session, settings, contract).entries
    rows = [(each["forgotten_at"], each["what"], each["live"], name) for name, each in entries.items()]
    frame = pd.DataFrame(sorted(rows), columns=["forgotten_at", "what", "was_alive", "digest"])
    return frame.assign(forgotten_at=pd.to_datetime(frame["forgotten_at"], utc=True, format="ISO8601"))


def _of_value(tombstones: Tombstones, wanted: Wanted) -> str:
    name = wanted.column.name if wanted.column else ""
    return tombstones.digest([name, str(wanted.value)], ["string", "string"])


def _load(session: boto3.Session, settings: Settings, contract: Contract) -> Tombstones:
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    return Tombstones.load(aws.client(session, "s3"), bucket, contract.source_table)


def _change(
    session: boto3.Session, settings: Settings, contract: Contract, add: Callable[[Tombstones], None]
) -> None:
    s3: Any = aws.client(session, "s3")
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    for _ in range(_ATTEMPTS):
        tombstones = Tombstones.load(s3, bucket, contract.source_table)
        add(tombstones)
        condition = {"IfMatch": tombstones.etag} if tombstones.etag else {"IfNoneMatch": "*"}
        try:
            s3.put_object(
                Bucket=bucket, Key=object_key(contract.source_table), Body=tombstones.to_body(), **condition
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CONFLICTS:
                raise
        else:
            return
    msg = (
        f"Others wrote tombstones of {contract.source_table!r} first, {_ATTEMPTS} times. Nothing was removed."
    )
    raise NotReadyError(msg, hint="Run it again.")
