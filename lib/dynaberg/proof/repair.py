"""Repair: what reconcile found is fixed through the change log, which stays the source of truth."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dynaberg import aws
from dynaberg.contracts import key_attribute
from dynaberg.delivery import delivered_ids, open_reentry, row_converter
from dynaberg.errors import SettingsError
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.routing import Row
from dynaberg.layers import NO_SEQUENCE_NUMBER, REPAIR_PREFIX, refresh
from dynaberg.masks import mask_key
from dynaberg.proof.comparison import UNFIT as UNFIT_KEY
from dynaberg.proof.comparison import key_of
from dynaberg.proof.reconcile import reconcile
from dynaberg.source import Item, get_items

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.proof.report import ReconcileReport
    from dynaberg.settings import Settings

REFRESHED, SENT, REMOVED, UNFIT = "refreshed", "sent as MODIFY", "sent as REMOVE", "does not fit the contract"
_DELIVERY_SECONDS = 960.0


def repair(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    report: ReconcileReport,
    *,
    confirm: str,
    timeout: float = _DELIVERY_SECONDS,
) -> pd.DataFrame:
    """Fix what a report names.

    If the change log is right, a refresh is enough. For a key that still differs, its item as it is now is
    sent to the change log as a change, `repair-…`, dated to the start of this second, so that any later
    change takes precedence. Then the current table is refreshed.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract.
        report: What `reconcile` found.
        confirm: The workbench's name, as a confirmation.
        timeout: How long the changes may take to reach the change log, in seconds.

    Returns:
        One row per key of the report: the key, action (`refreshed`, `sent as MODIFY`, `sent as REMOVE`,
        `does not fit the contract`), change_id, reason.

    Raises:
        SettingsError: The name does not match; nothing was done.
        NotReadyError: The changes were sent but are not in the change log yet: refresh later.

    Example:
        >>> repair(session, settings, contract, reconcile(session, settings, contract), confirm="dynaberg")
    """
    import pandas as pd

    if confirm != settings.name:
        msg = f"`confirm` is {confirm!r}, but the name is {settings.name!r}. Nothing was repaired."
        raise SettingsError(msg, hint=f'Repair with confirm="{settings.name}".')
    began, key = aws.now(session).replace(microsecond=0), list(contract.key)
    refresh(session, settings, contract)
    found = reconcile(session, settings, contract).df
    # No row can represent a key that does not fit, so no change can add one.
    left = _keys(found[found["cause"] != UNFIT_KEY], key)
    lines = [(*each, REFRESHED, None, None) for each in _keys(report.df, key) if each not in left]
    convert = row_converter(contract, key=mask_key(session, settings, contract))
    changes, unfit = _changes(session, contract, left, began, convert)
    send = open_reentry(session, settings, contract)
    send([Row(contract.log_name, row) for *_, row in changes])
    sent = {change_id for _, _, change_id, _ in changes}
    if sent:
        since = began - timedelta(minutes=5)
        aws.wait_for(
            lambda: sent <= delivered_ids(session, settings, contract, since) or None,
            timeout=timeout,
            what=f"{len(sent)} repaired items in the change log",
            hint="They are on their way; refresh later.",
        )
        refresh(session, settings, contract)
    lines += [(*each, action, change_id, None) for each, action, change_id, _ in changes]
    lines += [(*each, UNFIT, None, reason) for each, reason in unfit]
    return pd.DataFrame(lines, columns=[*key, "action", "change_id", "reason"])


def _keys(df: pd.DataFrame, key: Sequence[str]) -> list[tuple[Any, ...]]:
    """The keys that a report names, each once."""
    return list(dict.fromkeys(df[list(key)].itertuples(index=False, name=None)))


def _changes(
    session: boto3.Session,
    contract: Contract,
    keys: Sequence[tuple[Any, ...]],
    moment: datetime,
    convert: Callable[[Any], bytes],
) -> tuple[list[tuple[tuple[Any, ...], str, str, bytes]], list[tuple[tuple[Any, ...], str]]]:
    """The changes that bring keys to DynamoDB's state (key, action, id, row), and misfits (key, why)."""
    found = [item for item in get_items(session, contract, keys) if contract.claims(item)]
    items = {key_of(item, contract): item for item in found}
    changes, unfit = [], []
    for key in keys:
        change_id, item = f"{REPAIR_PREFIX}{uuid.uuid4()}", items.get(key)
        attributes = _key_attributes(contract, key)
        try:
            row = convert(_record(contract, change_id, moment, attributes, item))
        except ConversionError as error:
            unfit.append((key, f"{error.code}: {error.message}"))
        else:
            changes.append((key, SENT if item else REMOVED, change_id, row))
    return changes, unfit


def _key_attributes(contract: Contract, key: tuple[Any, ...]) -> dict[str, dict[str, str]]:
    """The key attributes of a row, in DynamoDB JSON as a stream has it."""
    found: dict[str, dict[str, str]] = {}
    for column, value in zip(contract.key_columns, key, strict=True):
        ((tag, given),) = key_attribute(column, value).items()
        found[column.attribute] = {tag: base64.b64encode(given).decode() if tag == "B" else given}
    return found


def _record(
    contract: Contract, change_id: str, moment: datetime, key: Item, item: Item | None
) -> dict[str, Any]:
    """A change record as if DynamoDB had written or deleted the item at a moment."""
    images = {"NewImage": item} if item else {}
    return {
        "eventID": change_id,
        "eventName": "MODIFY" if item else "REMOVE",
        "tableName": contract.source_table,
        "dynamodb": {
            "ApproximateCreationDateTime": int(moment.timestamp()),
            "SequenceNumber": NO_SEQUENCE_NUMBER,
            "Keys": key,
            **images,
        },
    }
