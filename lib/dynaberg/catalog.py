"""The Iceberg REST catalog of the table bucket, and its native pyiceberg tables."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.errors import NotFoundError
from dynaberg.null_lists import keep_null_lists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import boto3
    import requests
    from botocore.credentials import Credentials
    from pyiceberg.catalog import Catalog
    from pyiceberg.catalog.rest import RestCatalog
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from dynaberg.settings import Settings

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.1
# What a snapshot's summary counts of removed rows, in data files or by delete files.
_REMOVALS = (
    *("deleted-data-files", "deleted-records", "added-delete-files"),
    *("added-position-deletes", "added-equality-deletes"),
)
_AT_ONCE = 16
_NOTHING: Mapping[str, str] = MappingProxyType({})
# To connect, and to wait for the next bytes of an answer.
_TIMEOUT_SECONDS = (5, 60)
# Refused before it was looked at (Iceberg REST specification: 503, "SlowDown"), so that also commits can be
# sent again.
_THROTTLED, _THROTTLE_SECONDS = (429, 503), 0.5
_READING = ("GET", "HEAD")
# The field of a position delete file that names the data file (Iceberg spec, "Reserved Field IDs"); DuckDB
# has the bounds of that name under another id.
_DELETED_IN = (2_147_483_546, 2_147_483_646)
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
    """Open the Iceberg REST catalog of the table bucket; once for each session, which takes two requests.

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
    return _opened(session, table_bucket_arn(session, settings))


@lru_cache(maxsize=16)
def _opened(session: boto3.Session, bucket_arn: str) -> Catalog:
    from pyiceberg.catalog.rest import RestCatalog

    keep_null_lists()
    keep_entry_status()
    endpoint = aws.client(session, "s3tables").meta.endpoint_url
    region = session.region_name
    catalog: Catalog = _explained(RestCatalog, session)(
        bucket_arn.rpartition("/")[2],
        **{
            "uri": f"{endpoint}/iceberg",
            "warehouse": bucket_arn,
            "rest.sigv4-enabled": "true",
            "rest.signing-name": "s3tables",
            "rest.signing-region": region,
            "client.region": region,
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            "s3.connect-timeout": str(_TIMEOUT_SECONDS[0]),
            "s3.request-timeout": str(_TIMEOUT_SECONDS[1]),
        }
        | _credentials(session)
        | _object_endpoint(session),
    )
    return catalog


def keep_entry_status() -> None:
    """Let pyiceberg 0.11 keep the status of a manifest's entry that inherits its snapshot.

    It writes the snapshot's id in its place; then the entry has no sequence number either, and deletes do not
    match their rows. SageMaker's images have that version.
    """
    from pyiceberg.manifest import ManifestEntry

    known: Any = ManifestEntry.snapshot_id
    entry = SimpleNamespace(_data=[None, None])
    known.fset(entry, 1)
    if entry._data[0] is not None:
        inherit: Any = lambda entry, snapshot_id: entry._data.__setitem__(1, snapshot_id)  # noqa: E731
        ManifestEntry.snapshot_id = property(known.fget, inherit)  # type: ignore[method-assign,assignment]


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

    hint = "Create the Iceberg tables with wb.deploy_firehose() (02_deploy_firehose)."
    if not name or not isinstance(name, str):  # pyiceberg would ask for the list of tables, or fail in urllib
        raise NotFoundError.among("table", name, table_names(catalog, settings), hint=hint)
    try:
        return catalog.load_table((settings.namespace, name))
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise NotFoundError.among("table", name, table_names(catalog, settings), hint=hint) from error


def table_names(catalog: Catalog, settings: Settings) -> list[str]:
    """Names of the tables of the namespace; a namespace that does not exist has none."""
    from pyiceberg.exceptions import NoSuchNamespaceError

    try:
        return sorted(identifier[-1] for identifier in catalog.list_tables(settings.namespace))
    except NoSuchNamespaceError:
        return []


def drop_table(session: boto3.Session, settings: Settings, name: str) -> None:
    """Drop a table and its files, by the API of S3 Tables.

    pyiceberg's own call asks for `purgeRequested=True`, and S3 Tables documents `true`.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        name: The table.
    """
    names = {"tableBucketARN": table_bucket_arn(session, settings), "namespace": settings.namespace}
    aws.client(session, "s3tables").delete_table(**names, name=name)


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


def manifests_of(table: Table, snapshots: Iterable[Snapshot]) -> dict[int, list[ManifestFile]]:
    """The manifests of snapshots by snapshot id; their lists are read many at a time.

    Args:
        table: Native pyiceberg table.
        snapshots: Snapshots of the table.
    """
    wanted = list(snapshots)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        lists = threads.map(lambda snapshot: snapshot.manifests(table.io), wanted)
        return {snapshot.snapshot_id: found for snapshot, found in zip(wanted, lists, strict=True)}


def live_records(table: Table, snapshots: Iterable[Snapshot]) -> dict[int, int]:
    """How many rows snapshots have, by snapshot id.

    Only where rows are under position deletes are manifests read, each once. A compaction may leave delete
    files behind whose data files it has replaced; summaries go on counting them, though they delete nothing.

    Args:
        table: Native pyiceberg table.
        snapshots: Snapshots of the table.
    """
    given = {each.snapshot_id: each for each in snapshots}
    counts = {snapshot_id: _counted(each, "total-records") for snapshot_id, each in given.items()}
    partly = [each for each in given.values() if _counted(each, "total-position-deletes")]
    lists = manifests_of(table, partly)
    paths = {m.manifest_path: m for found in lists.values() for m in found}
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        files = dict(zip(paths, threads.map(lambda m: _live_files(table, m), paths.values()), strict=True))
    for snapshot_id, manifests in lists.items():
        held = [file for manifest in manifests for file in files[manifest.manifest_path]]
        data = {None, *(file.file_path for file in held if file.content.value == 0)}
        deletes = [file for file in held if file.content.value == 1]
        counts[snapshot_id] -= sum(f.record_count for f in deletes if deleted_in(f) in data)
    return counts


def _counted(snapshot: Snapshot, name: str) -> int:
    summary: Any = snapshot.summary or {}
    return int(summary.get(name) or 0)


def _live_files(table: Table, manifest: ManifestFile) -> list[DataFile]:
    return [entry.data_file for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)]


def deleted_in(file: DataFile) -> str | None:
    """The data file in which a position delete file deletes rows; None if it may be several."""
    lower, upper = file.lower_bounds or {}, file.upper_bounds or {}
    paths = [lower[field] for field in _DELETED_IN if field in lower and lower[field] == upper.get(field)]
    return paths[0].decode() if paths else None


def _explained(of: type[RestCatalog], session: boto3.Session) -> type[RestCatalog]:
    """The catalog, with time-outs and renewed keys, whose requests are repeated where AWS throttles them.

    Where a local AWS does not answer any more, its error says so.
    """
    import requests

    class Explained(of):  # type: ignore[valid-type, misc]
        def _create_session(self) -> requests.Session:
            opened: requests.Session = super()._create_session()
            send = opened.send

            def explained(request: requests.PreparedRequest, **options: Any) -> requests.Response:
                if options.get("timeout") is None:
                    options["timeout"] = _TIMEOUT_SECONDS
                try:
                    # Each attempt is signed anew, so it is a request of its own.
                    return _until_taken(lambda: _sent(send, request, options))
                except requests.exceptions.ConnectionError as error:
                    aws.explain_silence(str(request.url), error)
                    raise

            opened.send = explained  # type: ignore[method-assign]
            return opened

        def _load_file_io(
            self, properties: Any = MappingProxyType({}), location: str | None = None
        ) -> FileIO:
            # A catalog is kept for longer than the keys of a role live.
            keys = session.get_credentials()
            renewed = _object_keys(keys) if isinstance(keys, RefreshableCredentials) else {}
            io: FileIO = super()._load_file_io({**properties, **renewed}, location)
            return io

    return Explained


def _sent(
    send: Callable[..., requests.Response], request: requests.PreparedRequest, options: Mapping[str, Any]
) -> requests.Response:
    """Send a request, and once more if it only reads and its connection turns out to be closed."""
    import requests

    try:
        return send(request.copy(), **options)
    except requests.exceptions.ConnectionError as error:
        if request.method not in _READING or isinstance(error, requests.exceptions.ConnectTimeout):
            raise
        return send(request.copy(), **options)


def _until_taken(send: Callable[[], requests.Response]) -> requests.Response:
    """Send a request again, after growing pauses, as long as AWS refuses it for its rate alone."""
    for attempt in range(_ATTEMPTS - 1):
        answer = send()
        if answer.status_code not in _THROTTLED:
            return answer
        time.sleep(random.uniform(0, _THROTTLE_SECONDS * 2**attempt))  # noqa: S311
    return send()


def _credentials(session: boto3.Session) -> dict[str, str]:
    """Static keys are passed on; keys that expire are left to each client, which renews them itself.

    The exception are those of a role that a profile names: Arrow would send its requests unsigned, so that
    objects are read with the keys of now.
    """
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
