"""The rotation of the key of the masks: a new version, the functions, and the rows that are in the tables.

A token is taken back with the old key and made again with the new one. A keyed hash cannot be taken back: the
new hash is taken from DynamoDB, for every value that an item still has. The others stay as the old key hashed
them, and are counted.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import ContractError, SettingsError
from dynaberg.functions.masks import MaskKey
from dynaberg.layers import MASKS_APPLIED
from dynaberg.masks import add_mask_key, mask_key_version, mask_keys, needs_key
from dynaberg.upkeep.masked_rows import mask_rows, tables_of

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings


def preview_mask_rotation(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """What `rotate_mask_key` would mask again, in all tables of the DynamoDB table.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract.

    Returns:
        As `preview_remask`; `older_hashes` counts those that would stay as the old key hashed them.

    Raises:
        ContractError: No mask has a key.
    """
    newest = _keys(session, settings, contract)[0]
    unfinished = _is_unfinished(session, settings, contract, newest.version)
    coming = None if unfinished else MaskKey(secrets.token_hex(32), newest.version + 1)
    return mask_rows(session, settings, contract.of_source, writes=False, coming=coming)


def rotate_mask_key(
    session: boto3.Session, settings: Settings, contract: Contract, *, confirm: str
) -> pd.DataFrame:
    """Make a new version of the key of the masks, have the functions use it, and mask the rows again.

    All tables of the DynamoDB table have one key. The old versions stay in the secret: what they hashed and
    cannot be hashed again names them. If it is interrupted, run it again: it goes on with the same version.
    Rows that were on their way are masked with the old key; `remask` finds them.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract.
        confirm: The table's name, as a confirmation.

    Returns:
        As `preview_mask_rotation`: what was masked again.

    Raises:
        SettingsError: It is not confirmed.
        ContractError: No mask has a key.
        DeploymentError: The functions could not be deployed.

    Example:
        >>> rotate_mask_key(session, settings, contract, confirm="orders")
    """
    if confirm != contract.table:
        msg = f"`confirm` is {confirm!r}, but the table is {contract.table!r}. The key is as it was."
        hint = f'See .masks.preview_rotation(), then .masks.rotate_key(confirm="{contract.table}").'
        raise SettingsError(msg, hint=hint)
    newest = _keys(session, settings, contract)[0]
    deployed = newest.version == mask_key_version(session, settings)
    if not (deployed and _is_unfinished(session, settings, contract, newest.version)):
        add_mask_key(session, settings, contract)
    return mask_rows(session, settings, contract.of_source, writes=True)


def _keys(session: boto3.Session, settings: Settings, contract: Contract) -> list[MaskKey]:
    keys = mask_keys(session, settings, contract)
    if not keys:
        msg = f"No mask of {contract.table!r} has a key."
        raise ContractError(msg, hint="The masks `hash` and `tokenise` have one.")
    return keys


def _is_unfinished(session: boto3.Session, settings: Settings, contract: Contract, version: int) -> bool:
    """Whether a rotation to a version was interrupted after the functions had it."""
    iceberg = catalog.open_catalog(session, settings)
    names = [name for each in contract.of_source if needs_key(each) for name in tables_of(each)]
    noted = [catalog.load_table(iceberg, settings, name).properties.get(MASKS_APPLIED) for name in names]
    return any(text is not None and json.loads(text)["key"] < version for text in noted)
