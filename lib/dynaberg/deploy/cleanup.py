"""Cleaning up: what was created, what it holds, and its removal in the order that AWS needs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import pandas as pd
from botocore.exceptions import ClientError
from tqdm.auto import tqdm

from dynaberg import aws, catalog, prices
from dynaberg.contracts import Contract
from dynaberg.deploy import stack_state, stacks
from dynaberg.deploy.adoption import release
from dynaberg.deploy.deployer import delete_stack
from dynaberg.deploy.stack_state import (
    describe_stack,
    refuse_protected,
    stack_parameters,
    stack_resources,
)
from dynaberg.errors import DeploymentError, SettingsError
from dynaberg.settings import Settings
from dynaberg.source import holds_items_of_others

COLUMNS = ["kind", "name", "stack", "holds"]
TABLE_KIND = "Iceberg table"
SOURCE_KIND = "AWS::DynamoDB::Table"
ADOPTED_KIND = "adopted DynamoDB table"
_FAILURES = ("", "undelivered/")
# Stacks with data, which must be emptied first.
_FILLED = ("-foundation", "-parquet")


@dataclass(frozen=True)
class _Kind:
    """A kind of resource that holds data, and so can outlive its stack.

    Attributes:
        arn: Pattern of its ARN, with its name as a group.
        holds: What it holds, in words; None if the resource no longer exists.
        empty: Removes what keeps CloudFormation from deleting it.
        delete: Removes the resource itself, after it was emptied.
    """

    arn: str
    holds: Callable[[boto3.Session, str], str | None]
    empty: Callable[[boto3.Session, str], None]
    delete: Callable[[boto3.Session, str], None]


def list_resources(session: boto3.Session, settings: Settings) -> pd.DataFrame:
    """List everything that was created under the settings' name and still exists.

    Args:
        session: An open session.
        settings: The name and the table bucket.

    Returns:
        One row per resource: kind, name, stack (empty if it belongs to none), holds, idle_usd_per_month (what
        it costs while nothing happens; Decimal).
    """
    places = stack_state.sources(session, settings)
    names = [stack_state.stack_name(place, part) for place in places for part in stack_state.ALL_PARTS]
    stacked = [row for name in names for row in _stacked(session, name)]
    stacked += [row for place in places for row in _adopted(session, place)]
    known = {row[:2] for row in stacked}
    left = [row for row in _tagged(session, settings) if row[:2] not in known]
    has_bucket = any(row[0] == "AWS::S3Tables::TableBucket" for row in [*stacked, *left])
    tables = _tables(session, settings) if has_bucket else []
    found = pd.DataFrame([*stacked, *tables, *left], columns=COLUMNS)
    found["idle_usd_per_month"] = pd.Series(map(prices.idle_usd_per_month, found["kind"]), dtype=object)
    return found


def clean_up(
    session: boto3.Session, settings: Settings, *, confirm: str, delete_items_of: Sequence[str] = ()
) -> pd.DataFrame:
    """Remove everything that was created under the settings' name, including the data.

    An adopted DynamoDB table stays; what adoption switched on is switched off. If it is interrupted, run it
    again.

    Args:
        session: An open session.
        settings: The name and the table bucket.
        confirm: The settings' name.
        delete_items_of: The DynamoDB tables that were created here and may be deleted although they hold
            items that the practice traffic did not write.

    Returns:
        What was removed, as listed by `list_resources` before.

    Raises:
        SettingsError: The name does not match, the foundation is protected, or a table holds items of
            somebody else; nothing was removed.
        DeploymentError: Something could not be removed; the message names it.

    Example:
        >>> clean_up(session, settings, confirm="dynaberg")
    """
    if confirm != settings.name:
        msg = f"`confirm` is {confirm!r}, but the name is {settings.name!r}. Nothing was removed."
        raise SettingsError(msg, hint=f"confirm={settings.name!r} removes what list_resources() shows.")
    places, parts = stack_state.sources(session, settings), [*reversed(stack_state.ALL_PARTS)]
    names = [stack_state.stack_name(place, part) for place in places for part in parts]
    for place in places:
        refuse_protected(session, stack_state.stack_name(place, "foundation"))
    found = list_resources(session, settings)
    _refuse_items_of_others(session, settings, found, delete_items_of)
    for name in names:
        if not name.endswith(_FILLED):
            delete_stack(session, name)
    # The CDK app's own stack: the tables outlive it, and the foundation cannot be removed before it.
    delete_stack(session, f"{settings.name}-tables")
    for place in places:
        _release(session, place, found)
    for kind, name in _with_data(found, stacked=True):
        _KINDS[kind].empty(session, name)
    delete_stack(session, stack_state.stack_name(places[0], "parquet"))
    for place in reversed(places):  # the first source's holds what all of them share
        delete_stack(session, stack_state.stack_name(place, "foundation"))
    for kind, name in _with_data(list_resources(session, settings), stacked=False):
        _KINDS[kind].empty(session, name)
        _KINDS[kind].delete(session, name)
    left = [*list_resources(session, settings)["name"], *(n for n in names if describe_stack(session, n))]
    if left:
        msg = f"Still there after the clean-up: {', '.join(left)}."
        raise DeploymentError(msg, hint="Something may have been written since. Run the clean-up again.")
    return found


def remove_source(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    confirm: str,
    delete_items_of: Sequence[str] = (),
) -> pd.DataFrame:
    """Remove a further source from the project: its stacks, its Iceberg tables and its failures.

    No other source is interrupted. If it is interrupted, run it again.

    Args:
        session: An open session.
        settings: The settings for the source, from `of_source`.
        contract: A table of the source; all tables of it are removed.
        confirm: The name of the DynamoDB table.
        delete_items_of: As in `clean_up`.

    Returns:
        What was removed, as listed by `list_resources` before.

    Raises:
        SettingsError: It is the first source, the name does not match, the foundation is protected, or the
            table holds items of somebody else; nothing was removed.
        DeploymentError: Something could not be removed; the message names it.
    """
    name = contract.source_table
    if not settings.source:
        msg = f"{name!r} is the first source of {settings.name!r}; its stacks hold what all share."
        raise SettingsError(msg, hint=f"Remove the whole project: wb.clean_up(confirm={settings.name!r}).")
    if confirm != name:
        msg = f"`confirm` is {confirm!r}, but the DynamoDB table is {name!r}. Nothing was removed."
        raise SettingsError(msg, hint=f"confirm={name!r} removes this source.")
    stack_names = [stack_state.stack_name(settings, part) for part in reversed(stack_state.PARTS)]
    refuse_protected(session, stack_names[-1])
    tables = [each for part in contract.of_source for each in (part.table, part.log_name)]
    every = list_resources(session, settings)
    of_tables = every["name"].isin([f"{settings.namespace}.{table}" for table in tables])
    found = every[every["stack"].isin(stack_names) | (of_tables & (every["kind"] == TABLE_KIND))].copy()
    _refuse_items_of_others(session, settings, found, delete_items_of)
    shared = stacks.outputs(session, settings, "foundation")
    for stack_name in stack_names[:-1]:
        delete_stack(session, stack_name)
    stacks.show_sources(session, settings)
    _release(session, settings, found)
    for kind, resource in _with_data(found, stacked=True):
        _KINDS[kind].empty(session, resource)
    for identifier in found[found["kind"] == TABLE_KIND]["name"]:
        namespace, _, table = identifier.partition(".")
        _drop_table(session, shared["TableBucketArn"], namespace, table)
    logs = [each.log_name for each in contract.of_source]
    copies = stacks.parquet_outputs(session, settings)
    places = [(shared["ErrorBucketName"], f"errors/{part}{log}/") for log in logs for part in _FAILURES]
    if copies:
        places += [
            (copies["ParquetBucketName"], key) for log in logs for key in (f"{log}/", f"_state/{log}.")
        ]
        database = copies["ParquetDatabaseName"]
        aws.client(session, "glue").batch_delete_table(DatabaseName=database, TablesToDelete=logs)
    for bucket, prefix in places:
        _empty_bucket(session, bucket, prefix)
    delete_stack(session, stack_names[-1])
    return found


def _release(session: boto3.Session, settings: Settings, found: pd.DataFrame) -> None:
    """Switch off what adoption switched on, and note it at the table's row."""
    name = stack_state.stack_name(settings, "foundation")
    of_place = (found["kind"] == ADOPTED_KIND) & (found["stack"] == name)
    found.loc[of_place, "holds"] = release(session, settings)


def _refuse_items_of_others(
    session: boto3.Session, settings: Settings, found: pd.DataFrame, named: Sequence[str]
) -> None:
    """Refuse to delete a created DynamoDB table that somebody else has filled, unless its name was typed."""
    named = [named] if isinstance(named, str) else named  # `in` would find a part of a text
    created = [str(name) for name in found[found["kind"] == SOURCE_KIND]["name"]]
    filled = [name for name in created if name not in named and holds_items_of_others(session, name)]
    if filled:
        what = "holds items that the practice traffic did not write. Nothing was removed."
        typed = f"confirm={settings.source or settings.name!r}, delete_items_of={[*named, *filled]}"
        raise SettingsError(f"The DynamoDB table {filled[0]!r} {what}", hint=f"If they may go: {typed}.")


def _with_data(resources: pd.DataFrame, *, stacked: bool) -> list[tuple[str, str]]:
    """The resources that hold data, in the order in which they can be removed: kind, name."""
    chosen = resources[(resources["stack"] != "") == stacked]
    found = [(str(kind), str(name)) for kind, name in zip(chosen["kind"], chosen["name"], strict=True)]
    return [row for wanted in _KINDS for row in found if row[0] == wanted]


# What there is ----------------------------------------------------------------------------------


def _stacked(session: boto3.Session, stack_name: str) -> Iterator[tuple[str, str, str, str]]:
    try:
        resources = stack_resources(session, stack_name)
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return
        raise
    for resource in resources.itertuples():
        kind, name = str(resource.type), str(resource.name)
        holds = _KINDS[kind].holds(session, name) if kind in _KINDS else ""
        if holds is not None:
            yield kind, name, stack_name, holds


def _adopted(session: boto3.Session, settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """The table that was adopted: it belongs to somebody else, and a clean-up keeps it."""
    name = stack_state.stack_name(settings, "foundation")
    given = stack_parameters(session, name)
    if given.get("SourceOrigin") == stacks.ADOPTED:
        stream = "; its stream was switched on" if given["StreamSwitchedOn"] == "true" else ""
        yield ADOPTED_KIND, given["SourceTableName"], name, f"kept by a clean-up{stream}"


def _tables(session: boto3.Session, settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """The Iceberg tables of the table bucket, in any namespace."""
    opened = catalog.open_catalog(session, settings)
    for namespace in opened.list_namespaces():
        for identifier in opened.list_tables(namespace):
            snapshot = opened.load_table(identifier).current_snapshot()
            summary = snapshot.summary if snapshot else None
            rows = int(summary.additional_properties.get("total-records", 0)) if summary else 0
            yield TABLE_KIND, ".".join(identifier), "", _count(rows, "row")


def _tagged(session: boto3.Session, settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Resources with the settings' tag that can outlive a stack; AWS lists a deleted one for a while."""
    pager = aws.client(session, "resourcegroupstaggingapi").get_paginator("get_resources")
    pages = pager.paginate(TagFilters=[{"Key": k, "Values": [v]} for k, v in stacks.tags(settings).items()])
    arns = [mapping["ResourceARN"] for page in pages for mapping in page["ResourceTagMappingList"]]
    for kind, arn in itertools.product(_KINDS, arns):
        if match := re.fullmatch(_KINDS[kind].arn, arn):
            holds = _KINDS[kind].holds(session, match[1])
            if holds is not None:
                yield kind, match[1], "", holds


def _unless_gone(answer: Callable[[], str]) -> str | None:
    try:
        return answer()
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise


_GONE = {"404", "NoSuchBucket", "NotFound", "NotFoundException", "ResourceNotFoundException"}


def _describe_source(session: boto3.Session, name: str) -> str | None:
    dynamodb = aws.client(session, "dynamodb")
    return _unless_gone(lambda: _count(dynamodb.describe_table(TableName=name)["Table"]["ItemCount"], "item"))


def _describe_stream(session: boto3.Session, name: str) -> str | None:
    def hours() -> str:
        summary = aws.client(session, "kinesis").describe_stream_summary(StreamName=name)
        return f"{summary['StreamDescriptionSummary']['RetentionPeriodHours']} h of changes"

    return _unless_gone(hours)


def _describe_bucket(session: boto3.Session, name: str) -> str | None:
    def objects() -> str:
        page = aws.client(session, "s3").list_objects_v2(Bucket=name)
        return f"{page['KeyCount']:,}+ objects" if page["IsTruncated"] else _count(page["KeyCount"], "object")

    return _unless_gone(objects)


def _describe_table_bucket(session: boto3.Session, arn: str) -> str | None:
    return _unless_gone(lambda: _count(sum(1 for _ in _table_names(session, arn)), "table"))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# Removing it ------------------------------------------------------------------------------------


def _nothing(session: boto3.Session, name: str) -> None:
    """Do nothing: CloudFormation deletes this one without preparation."""


def _delete_source(session: boto3.Session, name: str) -> None:
    dynamodb = aws.client(session, "dynamodb")
    if _describe_source(session, name) is not None:
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 2})


def _delete_stream(session: boto3.Session, name: str) -> None:
    aws.client(session, "kinesis").delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def _empty_bucket(session: boto3.Session, name: str, prefix: str = "") -> None:
    s3 = aws.client(session, "s3")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=name, Prefix=prefix)
    with tqdm(desc=f"Emptying {name}", unit="object", delay=0.2) as bar:
        for page in pages:
            versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            keys = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in versions]
            if keys:
                _check(s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True}), name)
            bar.update(len(keys))
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name, Prefix=prefix):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])


def _check(answer: dict[str, Any], bucket: str) -> None:
    for error in answer.get("Errors", []):
        msg = f"Object {error['Key']!r} of bucket {bucket!r} could not be deleted: {error['Message']}."
        raise DeploymentError(msg, hint="Deleting needs s3:DeleteObject and s3:DeleteObjectVersion.")


def _delete_bucket(session: boto3.Session, name: str) -> None:
    aws.client(session, "s3").delete_bucket(Bucket=name)


def _table_names(session: boto3.Session, arn: str) -> Iterator[tuple[str, str]]:
    for page in aws.client(session, "s3tables").get_paginator("list_tables").paginate(tableBucketARN=arn):
        for table in page["tables"]:
            yield table["namespace"][0], table["name"]


def _empty_table_bucket(session: boto3.Session, arn: str) -> None:
    s3tables = aws.client(session, "s3tables")
    tables = list(_table_names(session, arn))
    for namespace, name in tqdm(tables, desc="Dropping tables", unit="table", disable=not tables):
        _drop_table(session, arn, namespace, name)
    pages = s3tables.get_paginator("list_namespaces").paginate(tableBucketARN=arn)
    for namespace in [n["namespace"][0] for page in pages for n in page["namespaces"]]:
        s3tables.delete_namespace(tableBucketARN=arn, namespace=namespace)


def _drop_table(session: boto3.Session, bucket_arn: str, namespace: str, name: str) -> None:
    aws.client(session, "s3tables").delete_table(tableBucketARN=bucket_arn, namespace=namespace, name=name)


def _delete_table_bucket(session: boto3.Session, arn: str) -> None:
    aws.client(session, "s3tables").delete_table_bucket(tableBucketARN=arn)


_KINDS = {
    "AWS::S3Tables::TableBucket": _Kind(
        r"(arn:[^:]+:s3tables:[^/]+:bucket/[^/]+)",
        _describe_table_bucket,
        _empty_table_bucket,
        _delete_table_bucket,
    ),
    "AWS::S3::Bucket": _Kind(r"arn:[^:]+:s3:::([^/]+)", _describe_bucket, _empty_bucket, _delete_bucket),
    "AWS::Kinesis::Stream": _Kind(
        r"arn:[^:]+:kinesis:[^/]+:stream/([^/]+)", _describe_stream, _nothing, _delete_stream
    ),
    SOURCE_KIND: _Kind(r"arn:[^:]+:dynamodb:[^/]+:table/([^/]+)", _describe_source, _delete_source, _nothing),
}
