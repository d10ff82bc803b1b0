"""The key of the masks `hash` and `tokenise`: for who may read it, and its rotation.

The secret holds the newest key and the older ones: `{"version": 2, "key": "…", "older": {"1": "…"}}`. The
functions read it when they start; a stack parameter with the version makes them start again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import boto3
from botocore.exceptions import ClientError

from dynaberg import aws, deploy
from dynaberg.contracts import Contract
from dynaberg.errors import ContractError, CredentialsError, NotFoundError
from dynaberg.functions.masks import TOKEN, MaskKey, MaskKeyError, read_keys
from dynaberg.settings import Settings


def mask_key(session: boto3.Session, settings: Settings, contract: Contract) -> MaskKey | None:
    """Read the newest key that the stack has; None if no mask of the contract needs one.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.

    Raises:
        NotFoundError: Nothing is deployed, or it was deployed before a mask needed a key.
        CredentialsError: The caller may not read the key.
    """
    keys = mask_keys(session, settings, contract)
    return keys[0] if keys else None


def mask_keys(session: boto3.Session, settings: Settings, contract: Contract) -> list[MaskKey]:
    """All versions of the key, the newest first; none if no mask of the contract needs one. As `mask_key`."""
    if not contract.needs_mask_key:
        return []
    return read_keys(_read(session, settings, contract))


def mask_key_version(session: boto3.Session, settings: Settings) -> int:
    """The version of the key that the functions mask with; 1 as long as there is none."""
    found = deploy.stack_parameters(session, deploy.stack_name(settings, "access"))
    return int(found.get("MaskKeyVersion") or 1)


def add_mask_key(session: boto3.Session, settings: Settings, contract: Contract) -> int:
    """Make a new version of the key, and have the functions mask with it; the older ones stay in the secret.

    If an earlier call was interrupted, this one finishes it and makes no further version.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.

    Returns:
        The version.

    Raises:
        NotFoundError: There is no key.
        CredentialsError: The caller may not read it.
        DeploymentError: CloudFormation could not update a stack.
    """
    found = json.loads(_read(session, settings, contract))
    version = int(found["version"])
    if version == mask_key_version(session, settings):
        older = {**found.get("older", {}), str(version): found["key"]}
        version += 1
        text = json.dumps({"version": version, "key": secrets.token_hex(32), "older": older})
        arn = _arn(session, settings, contract)
        aws.client(session, "secretsmanager").put_secret_value(SecretId=arn, SecretString=text)
    # The access stack last: its parameter says that all of this is done.
    parts: tuple[deploy.Part, ...] = ("delivery", "access")
    for part in parts:
        name, changes = deploy.stack_name(settings, part), {"MaskKeyVersion": str(version)}
        bucket = deploy.code_bucket(session, settings)
        deploy.change_parameters(session, name, changes, tags=deploy.tags(settings), bucket=bucket)
    return version


def _read(session: boto3.Session, settings: Settings, contract: Contract) -> str:
    """The secret's text."""
    arn = _arn(session, settings, contract)
    try:
        found = aws.client(session, "secretsmanager").get_secret_value(SecretId=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        msg = "You may not read the key of the masks, which is needed to mask values and to take tokens back."
        raise CredentialsError(msg, hint=f"Allow secretsmanager:GetSecretValue on {arn}.") from error
    return str(found["SecretString"])


def _arn(session: boto3.Session, settings: Settings, contract: Contract) -> str:
    arn = deploy.outputs(session, settings, "access").get("MaskKeyArn")
    if not arn:
        msg = f"A mask of {contract.table!r} needs a key, and {settings.name!r} has none yet."
        raise NotFoundError(msg, hint="Create it: wb.deploy_firehose().")
    return arn


def detokenise(
    session: boto3.Session, settings: Settings, contract: Contract, tokens: Iterable[str | None]
) -> list[Any]:
    """The values behind tokens, for who may read the key; None stays None.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.
        tokens: Values of columns that are tokenised, such as `frame["email"]`, by any version of the key.

    Returns:
        Text where the value was text, otherwise the attribute as DynamoDB JSON.

    Raises:
        ContractError: No mask has a key, or something is no token of this key.
        CredentialsError: The caller may not read the key.
    """
    keys = mask_keys(session, settings, contract)
    if not keys:
        msg = f"No column of {contract.table!r} is tokenised."
        raise ContractError(msg, hint="Write `mask: tokenise` at a column, and deploy.")
    try:
        found = [None if token is None or token != token else _plain(keys, token) for token in tokens]
    except MaskKeyError as error:
        start = TOKEN.format(keys[0].version)
        raise ContractError(f"{error}.", hint=f"Tokens begin with {start!r}.") from error
    return [each.get("S", each) if each else None for each in found]


def _plain(keys: Sequence[MaskKey], token: str) -> Any:
    fitting = [key for key in keys if token.startswith(TOKEN.format(key.version))]
    return (fitting or keys)[0].detokenise(token)
