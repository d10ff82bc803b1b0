"""The Iceberg REST catalog of the table bucket, and its native pyiceberg tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.errors import NotFoundError
from dynaberg.null_lists import keep_null_lists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import boto3
    from botocore.credentials import Credentials, RefreshableCredentials
    from pyiceberg.catalog import Catalog
    from pyiceberg.catalog.rest import RestCatalog
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from dynaberg.settings import Settings

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.1
# What a snapshot's summary counts of removed rows, in data files or by delete files.
_REMOVALS = (
    *("deleted-data-files", "deleted-records", "added-delete-files"),
    *("added-position-deletes", "added-equality-deletes"),
)
# How boto3 may have got credentials that Arrow cannot get: https://github.com/apache/arrow/issues/41794.
_ONLY_BOTO3 = {"assume-role", "assume-role-with-saml", "login"}


def table_bucket_arn(session: boto3.Session, settings: Settings) -> str:
    """ARN of the table bucket that the settings name.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and of the namespace.

    Raises:
        NotFoundError: No such table bucket in this account and Region.
    """
    s3tables, name, region = aws.client(session, "s3tables"), settings.table_bucket_name, session.region_name
    place = f"{session.get_partition_for_region(region)}:s3tables:{region}:{aws.account_id(session)}"
    arn = f"arn:{place}:bucket/{name}"
    # An analyst may look at this one, but not list all.
    try:
        s3tables.get_table_bucket(tableBucketARN=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NotFoundException", "BadRequestException"):
            raise
        pages = s3tables.get_paginator("list_table_buckets").paginate()
        existing = [bucket["name"] for page in pages for bucket in page["tableBuckets"]]
        hint = "Create it with wb.enable_cdc() (01_enable_cdc)."
        raise NotFoundError.among("table bucket", name, existing, hint=hint) from error
    return arn


def open_catalog(session: boto3.Session, settings: Settings) -> Catalog:
    """Open the Iceberg REST catalog of the table bucket.

    The address is that of the session's S3 Tables client followed by `/iceberg`, so the call is the same on
    AWS and locally. Source: Amazon S3 User Guide, "Accessing tables using the Amazon S3 Tables Iceberg REST
    endpoint".

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and of the namespace.

    Returns:
        A native pyiceberg catalog.

    Raises:
        NotFoundError: No such table bucket.

    Example:
        >>> open_catalog(boto3.Session(), settings).list_tables("analytics")
    """
    from pyiceberg.catalog.rest import RestCatalog

    keep_null_lists()
    endpoint = aws.client(session, "s3tables").meta.endpoint_url
    region = session.region_name
    catalog: Catalog = _explained(RestCatalog)(
        settings.table_bucket_name,
        **{
            "uri": f"{endpoint}/iceberg",
            "warehouse": table_bucket_arn(session, settings),
            "rest.sigv4-enabled": "true",
            "rest.signing-name": "s3tables",
            "rest.signing-region": region,
            "client.region": region,
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        }
        | _credentials(session)
        | _object_endpoint(session),
    )
    return catalog


def load_table(catalog: Catalog, settings: Settings, name: str) -> Table:
    """Load a table of the namespace.

    Args:
        catalog: Iceberg REST catalog, from `open_catalog`.
        settings: Names of the table bucket and of the namespace.
        name: Table, without the namespace.

    Returns:
        A native pyiceberg table.

    Raises:
        NotFoundError: No such table; the message names those that exist.
        LocalAwsError: The local AWS is gone.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    try:
        return catalog.load_table((settings.namespace, name))
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        hint = "Create the Iceberg tables with wb.deploy_firehose() (02_deploy_firehose)."
        raise NotFoundError.among("table", name, table_names(catalog, settings), hint=hint) from error


def table_names(catalog: Catalog, settings: Settings) -> list[str]:
    """Names of the tables of the namespace; a namespace that does not exist has none."""
    from pyiceberg.exceptions import NoSuchNamespaceError

    try:
        return sorted(identifier[-1] for identifier in catalog.list_tables(settings.namespace))
    except NoSuchNamespaceError:
        return []


def set_properties(table: Table, properties: Mapping[str, str], removed: Sequence[str] = ()) -> None:
    """Set and remove properties of a table, again if another writer commits in between.

    pyiceberg repeats only commits of snapshots.

    Args:
        table: Native pyiceberg table; it is up to date afterwards.
        properties: The properties to set.
        removed: Names of the properties to remove.

    Raises:
        CommitFailedException: Another commit came in between at every attempt.
    """
    from pyiceberg.exceptions import CommitFailedException

    for attempt in range(_ATTEMPTS):
        try:
            with table.transaction() as transaction:
                if properties:
                    transaction.set_properties(dict(properties))
                if removed:
                    transaction.remove_properties(*removed)
        except CommitFailedException:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE_SECONDS * 2**attempt)
            table.refresh()
        else:
            return


def only_adds(snapshot: Snapshot) -> bool:
    """Whether a snapshot added data files and removed nothing, whatever its writer calls that.

    A writer that adds rows by a row delta, as older versions of Iceberg do it, calls it an overwrite.
    """
    if snapshot.summary is None:
        return False
    summary: Any = snapshot.summary
    removed = any(int(summary.get(name) or 0) for name in _REMOVALS)
    named = snapshot.summary.operation.value
    return named == "append" or (
        named == "overwrite" and not removed and int(summary.get("added-data-files") or 0) > 0
    )


def _explained(of: type[RestCatalog]) -> type[RestCatalog]:
    """The catalog, whose every request says so where a local AWS does not answer any more."""
    import requests

    class Explained(of):  # type: ignore[valid-type, misc]
        def _create_session(self) -> requests.Session:
            session: requests.Session = super()._create_session()
            send = session.send

            def explained(request: requests.PreparedRequest, **options: Any) -> requests.Response:
                try:
                    return send(request, **options)
                except requests.exceptions.ConnectionError as error:
                    aws.explain_silence(str(request.url), error)
                    raise

            session.send = explained  # type: ignore[method-assign]
            return session

    return Explained


def _credentials(session: boto3.Session) -> dict[str, str]:
    """Static keys are passed on; keys that expire are left to each client, which renews them itself.

    The exception are those of a role that a profile names: Arrow would send its requests unsigned, so that
    objects are read with the keys of now.
    """
    from botocore.credentials import RefreshableCredentials

    credentials = session.get_credentials()
    if credentials is None or isinstance(credentials, RefreshableCredentials):
        profile = {} if session.profile_name == "default" else {"client.profile-name": session.profile_name}
        return profile | (_object_keys(credentials) if credentials is not None else {})
    return _keys("client", credentials)


def _object_keys(credentials: RefreshableCredentials) -> dict[str, str]:
    return _keys("s3", credentials) if credentials.method in _ONLY_BOTO3 else {}


def _keys(prefix: str, credentials: Credentials) -> dict[str, str]:
    """The keys as properties of pyiceberg."""
    keys = credentials.get_frozen_credentials()
    properties = {
        f"{prefix}.access-key-id": keys.access_key,
        f"{prefix}.secret-access-key": keys.secret_key,
        f"{prefix}.session-token": keys.token,
    }
    return {name: value for name, value in properties.items() if value}


def _object_endpoint(session: boto3.Session) -> dict[str, str]:
    """Where the objects are, unless that is Amazon S3, whose address Arrow knows itself."""
    endpoint = aws.client(session, "s3").meta.endpoint_url
    amazon = (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return {} if amazon else {"s3.endpoint": endpoint}
