"""Backfill from an export: exact, whatever changes meanwhile, wherever it is killed; and what it refuses."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib
import json
import random
import secrets
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import pytest
from tests.integration.conftest import create_source

import dynaberg
from dynaberg import deploy, layers, proof
from dynaberg.contracts import Column, Contract
from dynaberg.delivery import export_backfill
from dynaberg.delivery.backfill_manifest import ExportManifest, Manifest
from dynaberg.errors import DynabergError, NotFoundError, NotReadyError, SettingsError
from dynaberg.settings import Settings
from local_aws import Status

COLUMNS = (
    Column("pk", "string", attribute="PK"),
    Column("sk", "binary", attribute="SK"),
    Column("total", "decimal(12,2)"),
    Column("tags", "list<string>"),
    Column("phone", "string", mask="last4"),
)
ITEMS = 500


def item(number: int, total: str = "1.50") -> dict[str, Any]:
    key = {"PK": {"S": f"CUSTOMER#{number}"}, "SK": {"B": number.to_bytes(2)}}
    rest = {"phone": {"S": f"+49 30 {number:06d}"}, "note": {"S": "é"}, "of": {"NS": ["1", "2.5"]}}
    return {**key, **rest, "total": {"N": total}, "tags": {"L": [{"S": "a, b"}, {"NULL": True}]}}


def make(name: str, wb_root: Any) -> dynaberg.Workbench:
    """An adopted table with items that were there before, and its delivery."""
    contract = Contract("transactions", f"{name}-Shop", "pk", "sk", COLUMNS)
    names = {"name": name, "namespace": name.replace("-", "_"), "root": wb_root}
    settings = Settings(table_bucket_name=f"{name}-tables", bucket_name=name, **names)
    make_table(contract.source_table)
    workbench = dynaberg.Workbench(settings, boto3.Session(), contract)
    write(workbench, *(item(number) for number in range(ITEMS)))
    workbench.adopt()
    workbench.integrate_analytics()
    workbench.deploy_firehose(buffer_seconds=0)
    return workbench


def make_table(name: str) -> None:
    create_source(name, PK="S", SK="B")
    switch_recovery(name)


def switch_recovery(name: str, *, on: bool = True) -> None:
    boto3.client("dynamodb").update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on}
    )


@pytest.fixture(scope="module")
def wb(local_aws: Status, tmp_path_factory: pytest.TempPathFactory) -> dynaberg.Workbench:
    name = f"export-{secrets.token_hex(4)}"
    return make(name, tmp_path_factory.mktemp(name))


@pytest.fixture(autouse=True)
def _hear_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_backfill, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(export_backfill, "SILENT_SECONDS", 5.0)


def source(wb: dynaberg.Workbench) -> str:
    return wb.table().contract.source_table


def write(wb: dynaberg.Workbench, *items: dict[str, Any]) -> None:
    table = boto3.client("dynamodb")
    for first in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": each}} for each in items[first : first + 25]]
        table.batch_write_item(RequestItems={source(wb): requests})


def delete(wb: dynaberg.Workbench, number: int) -> None:
    key = {name: item(number)[name] for name in ("PK", "SK")}
    boto3.client("dynamodb").delete_item(TableName=source(wb), Key=key)


def errors(wb: dynaberg.Workbench) -> str:
    return deploy.outputs(wb.session, wb.settings, "foundation")["ErrorBucketName"]


def objects(bucket: str, prefix: str) -> list[str]:
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", ())]


def check(wb: dynaberg.Workbench) -> None:
    """Everything that was written is delivered, and the current table equals DynamoDB."""
    wb.table().wait_for_delivery(timeout=90)
    wb.table().refresh()
    report = wb.table().reconcile()
    assert report.matches, report
    counted = boto3.client("dynamodb").scan(TableName=source(wb), Select="COUNT")["Count"]
    assert wb.query("SELECT count(*) AS n FROM transactions").df["n"].tolist() == [counted]


def export_to(wb: dynaberg.Workbench, bucket: str, **options: Any) -> dict[str, Any]:
    """An export as somebody else makes it, complete."""
    dynamodb = boto3.client("dynamodb")
    arn = dynamodb.describe_table(TableName=source(wb))["Table"]["TableArn"]
    begun = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=bucket, **options)
    arn, deadline = begun["ExportDescription"]["ExportArn"], 600
    while (found := dynamodb.describe_export(ExportArn=arn)["ExportDescription"])[
        "ExportStatus"
    ] == "IN_PROGRESS":
        deadline -= 1
        assert deadline
        threading.Event().wait(0.1)
    return found


def other_bucket() -> str:
    bucket = f"exports-{secrets.token_hex(4)}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return bucket


def address(found: dict[str, Any]) -> str:
    return f"s3://{found['S3Bucket']}/{found['ExportManifest']}"


def test_what_was_there_before_arrives(wb: dynaberg.Workbench) -> None:
    preview = wb.table().preview_backfill(method="export").iloc[0]
    assert (preview["method"], preview["read_units"]) == ("export", 0)
    assert preview["dynamodb_usd"] > 0
    done = wb.table().backfill(method="export")
    assert done.matches, done.summary
    report = done.df.iloc[0]
    assert (report["method"], report["items"], report["unfit"], report["resumed"]) == (
        "export",
        ITEMS,
        0,
        False,
    )
    check(wb)
    history = wb.table().item_history({"pk": "CUSTOMER#7", "sk": (7).to_bytes(2)})
    assert set(history["operation"]) == {"SNAPSHOT"}
    phones = wb.query("SELECT phone FROM transactions WHERE pk = 'CUSTOMER#7'").df["phone"]
    assert phones.tolist() == ["****0007"]
    # The export holds what is masked elsewhere: nothing of it stays, and the next one is a new one.
    assert objects(errors(wb), "backfills/") == [f"backfills/{source(wb)}.json"]


def test_changes_go_on_meanwhile(wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, chance = threading.Event(), random.Random(5)

    def change() -> None:
        number = chance.randrange(ITEMS + 50)
        if chance.random() < 0.3:
            delete(wb, number)
        else:
            write(wb, item(number, f"{chance.randrange(100)}.25"))

    def keep_changing() -> None:
        while not stop.is_set():
            change()

    send = export_backfill.send

    def send_later(*arguments: Any) -> None:
        for _ in range(50):
            change()
        send(*arguments)

    monkeypatch.setattr(export_backfill, "send", send_later)
    writer = threading.Thread(target=keep_changing)
    writer.start()
    try:
        wb.table().backfill(method="export", reconcile=False)
    finally:
        stop.set()
        writer.join()
    check(wb)


class Killed(BaseException):
    """As if the process had ended."""


def killing(target: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    def killed(*arguments: Any, **options: Any) -> Any:
        if after:
            target(*arguments, **options)
        raise Killed

    return killed


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (export_backfill, "start_export", True),  # The export runs, and its ARN is not noted.
        (ExportManifest, "started", True),
        (export_backfill, "read_export", True),
        (export_backfill, "send", True),  # The files are in the queue, and that is not noted.
        (ExportManifest, "note_sent", True),
        (export_backfill, "wait_until_delivered", False),  # Converted, and not yet in the log.
        (ExportManifest, "finish", False),
        (export_backfill, "_tidy", True),
    ],
)
def test_a_backfill_that_was_killed_continues(
    wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killing(getattr(owner, name), after=after))
        with pytest.raises(Killed):
            wb.table().backfill(method="export")
    write(wb, item(3, "9.99"))
    delete(wb, 4)
    again = wb.table().backfill(method="export", reconcile=False).df.iloc[0]
    assert again["resumed"]
    assert again["unfit"] == 0
    check(wb)
    assert objects(errors(wb), "backfills/") == [f"backfills/{source(wb)}.json"]


def _module(name: str) -> Any:
    """A module whose package hands out a function of its name."""
    return importlib.import_module(f"dynaberg.{name}")


BACKFILL, REFRESH = _module("delivery.backfill"), _module("layers.refresh")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "owner", "name"),
    [
        ("scan", BACKFILL, "wait_until_delivered"),  # Sent, and not yet in the log.
        ("scan", Manifest, "finish"),
        *(
            (method, owner, name)
            for method in ("scan", "export")
            for owner, name in (
                (layers, "refresh"),  # Between the log and the current table.
                (REFRESH.catalog, "set_properties"),  # Merged, and not noted as such.
                (proof, "reconcile"),
            )
        ),
    ],
)
def test_a_backfill_that_was_killed_behind_the_reading_is_run_again(
    wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch, method: str, owner: Any, name: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killing(getattr(owner, name), after=False))
        with pytest.raises(Killed):
            wb.table().backfill(method=method)
    write(wb, item(3, "9.99"))
    delete(wb, 4)
    again = wb.table().backfill(method=method, settle_seconds=300)
    assert again.df["unfit"].tolist() == [0]
    assert again.matches, again.summary


def put_faults(local_aws: Status, *rules: dict[str, Any]) -> None:
    url = f"{local_aws.endpoint}/_local_aws/faults"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(rules).encode(), method="PUT")).close()


@pytest.mark.thorough
def test_what_fails_on_the_way_is_tried_again(wb: dynaberg.Workbench, local_aws: Status) -> None:
    """Invocations fail, Firehose throttles and refuses single rows, S3 has pauses."""
    put_faults(
        local_aws,
        {"service": "lambda", "kind": "error", "share": 0.4, "seed": 3},
        {"service": "firehose", "kind": "throttle", "operation": "PutRecordBatch", "share": 0.3, "seed": 1},
        {"service": "firehose", "kind": "fail_records", "share": 0.05, "seed": 2},
        {"service": "s3", "kind": "unavailable", "count": 4},
    )
    try:
        report = wb.table().backfill(method="export", reconcile=False).df.iloc[0]
    finally:
        put_faults(local_aws)
    assert report["unfit"] == 0
    check(wb)


def test_an_export_in_another_bucket(wb: dynaberg.Workbench) -> None:
    found = export_to(wb, other_bucket(), S3Prefix="2026/january")
    write(wb, item(5, "77.00"))
    delete(wb, 6)
    report = wb.table().backfill(export=address(found), reconcile=False).df.iloc[0]
    assert report["items"] == found["ItemCount"]
    check(wb)
    assert objects(errors(wb), "backfills/") == [f"backfills/{source(wb)}.json"]
    assert objects(found["S3Bucket"], "2026/january/")


def test_two_backfills_at_once(wb: dynaberg.Workbench) -> None:
    def attempt(_: int) -> str:
        try:
            wb.table().backfill(method="export", reconcile=False)
        except NotReadyError as error:
            return error.message
        return "done"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(attempt, range(2)), reverse=True)
    assert outcomes[0] == "done"
    assert "Another backfill" in outcomes[1] or outcomes[1] == "done"
    check(wb)


# What is refused --------------------------------------------------------------------------------


def changed_summary(found: dict[str, Any], **changes: Any) -> str:
    """The address of an export whose summary says something else."""
    s3, place = boto3.client("s3"), {"Bucket": found["S3Bucket"], "Key": found["ExportManifest"]}
    summary = json.loads(s3.get_object(**place)["Body"].read())
    s3.put_object(**place, Body=json.dumps(summary | changes).encode())
    return address(found)


def changed_file(found: dict[str, Any], change: Callable[[bytes], bytes], **described: Any) -> str:
    """The address of an export whose first data file is another one, described as its manifest may say."""
    s3, bucket = boto3.client("s3"), found["S3Bucket"]
    key = found["ExportManifest"].replace("-summary", "-files")
    files = [json.loads(line) for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()]
    data = {"Bucket": bucket, "Key": files[0]["dataFileS3Key"]}
    body = change(s3.get_object(**data)["Body"].read())
    etag = s3.put_object(**data, Body=body)["ETag"].strip('"')
    files[0] |= {"etag": etag, **described}
    s3.put_object(Bucket=bucket, Key=key, Body="".join(f"{json.dumps(file)}\n" for file in files).encode())
    return address(found)


ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/Another"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tableArn": ARN}, "is of the table .*/Another, not of"),
        ({"tableId": "an-earlier-one"}, "of an earlier table"),
        ({"outputFormat": "ION"}, "is in ION"),
        ({"exportType": "INCREMENTAL_EXPORT"}, "is a INCREMENTAL_EXPORT"),
        ({"exportTime": "2020-01-01T00:00:00.000Z"}, "of 2020-01-01 00:00:00 UTC, but changes"),
        ({"itemCount": 1}, "its summary says 1"),
    ],
)
def test_an_export_that_cannot_be_used(wb: dynaberg.Workbench, changes: dict[str, Any], message: str) -> None:
    found = export_to(wb, other_bucket())
    refused(wb, changed_summary(found, **changes), message)


def refused(wb: dynaberg.Workbench, name: str, message: str) -> None:
    """A backfill is refused with a hint, and has noted, copied and sent nothing."""
    before = sorted(objects(errors(wb), "backfills/"))
    with pytest.raises(DynabergError, match=message) as caught:
        wb.table().backfill(export=name)
    assert caught.value.hint
    assert sorted(objects(errors(wb), "backfills/")) == before


def test_an_export_that_failed(wb: dynaberg.Workbench) -> None:
    found = export_to(wb, "there-is-no-such-bucket")
    assert found["ExportStatus"] == "FAILED"
    refused(wb, found["ExportArn"], "failed: S3NoSuchBucket")


def test_an_export_that_lost_a_file(wb: dynaberg.Workbench) -> None:
    found = export_to(wb, other_bucket())
    (first, *_) = [key for key in objects(found["S3Bucket"], "AWSDynamoDB/") if "/data/" in key]
    boto3.client("s3").delete_object(Bucket=found["S3Bucket"], Key=first)
    refused(wb, address(found), "lacks its file")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body[: len(body) // 2], "ended before|end-of-stream"),
        (lambda body: gzip.compress(gzip.decompress(body) + b"{}\n"), "no item in DynamoDB JSON"),
        (lambda body: gzip.compress(gzip.decompress(body), 9, mtime=1), "its MD5 is"),
    ],
)
def test_an_export_with_a_broken_file(
    wb: dynaberg.Workbench, change: Callable[[bytes], bytes], message: str
) -> None:
    name = changed_file(export_to(wb, other_bucket()), change)
    with pytest.raises(NotReadyError, match=message) as caught:
        wb.table().backfill(export=name)
    assert 'backfill(method="export")' in caught.value.hint
    # What it sent already does no harm.
    wb.table().backfill(method="export", reconcile=False)
    check(wb)


def test_a_file_with_fewer_items_than_the_manifest_says(wb: dynaberg.Workbench) -> None:
    def without_one(body: bytes) -> bytes:
        return gzip.compress(b"".join(gzip.decompress(body).splitlines(keepends=True)[1:]), mtime=0)

    found = export_to(wb, other_bucket())
    (first, *_) = [key for key in objects(found["S3Bucket"], "AWSDynamoDB/") if "/data/" in key]
    manifest = found["ExportManifest"].replace("-summary", "-files")
    listed = boto3.client("s3").get_object(Bucket=found["S3Bucket"], Key=manifest)["Body"].read()
    named = json.loads(listed.splitlines()[0])["dataFileS3Key"]
    body = without_one(boto3.client("s3").get_object(Bucket=found["S3Bucket"], Key=named)["Body"].read())
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    with pytest.raises(NotReadyError, match="but the export's manifest says"):
        wb.table().backfill(export=changed_file(found, without_one, md5Checksum=md5))
    assert first


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"export": "orders"}, SettingsError, "'orders' names no export"),
        ({"export": f"{ARN}/export/01-0"}, NotFoundError, "There is no export"),
        ({"export": "s3://nobody/AWSDynamoDB/01-0/"}, NotFoundError, "There is no s3://nobody/AWS"),
        ({"export": "s3://b/AWSDynamoDB/0/", "method": "scan"}, SettingsError, 'The method is "scan"'),
        ({"method": "exprot"}, SettingsError, "`method` is 'exprot'"),
        ({"method": "export", "read_units_per_second": 5}, SettingsError, "reads no items"),
    ],
)
def test_arguments_that_do_not_fit(
    wb: dynaberg.Workbench, options: dict[str, Any], error: type[DynabergError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        wb.table().backfill(**options)
    assert caught.value.hint


def test_without_point_in_time_recovery(wb: dynaberg.Workbench) -> None:
    switch_recovery(source(wb), on=False)
    try:
        with pytest.raises(NotReadyError, match="is off, so it cannot be exported") as caught:
            wb.table().backfill(method="export")
    finally:
        switch_recovery(source(wb))
    assert "update-continuous-backups" in caught.value.hint
    assert 'method="scan"' in caught.value.hint


def test_a_large_table_on_aws_is_exported_and_all_others_are_scanned(
    wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    default_method = importlib.import_module("dynaberg.delivery.backfill").default_method
    contract, there = wb.table().contract, replace(wb.settings, target="aws")
    assert default_method(wb.session, wb.settings, contract) == "scan"
    assert default_method(wb.session, there, contract) == "scan"
    monkeypatch.setitem(default_method.__globals__, "SMALL_BYTES", 1)
    assert default_method(wb.session, there, contract) == "export"
    assert default_method(wb.session, wb.settings, contract) == "scan"
    switch_recovery(source(wb), on=False)
    assert default_method(wb.session, there, contract) == "scan"
    switch_recovery(source(wb))


@pytest.mark.thorough
def test_a_file_that_takes_longer_than_an_invocation_is_carried_on(wb: dynaberg.Workbench) -> None:
    """With less time than a chunk may take, each invocation converts one; here a file has two."""
    name = deploy.outputs(wb.session, wb.settings, "delivery")["ForwarderName"]
    functions = boto3.client("lambda")
    more = [
        {**item(0), "PK": {"S": f"MORE#{number}"}, "SK": {"B": number.to_bytes(4)}} for number in range(8_200)
    ]
    functions.update_function_configuration(FunctionName=name, Timeout=30)
    try:
        write(wb, *more)
        found = export_to(wb, errors(wb), S3Prefix="given")
        report = wb.table().backfill(export=found["ExportArn"], reconcile=False).df.iloc[0]
    finally:
        functions.update_function_configuration(FunctionName=name, Timeout=120)
    assert report["items"] == found["ItemCount"] > 8_200
    check(wb)
    pages = boto3.client("logs").get_paginator("filter_log_events")
    lines = [e["message"] for p in pages.paginate(logGroupName=f"/aws/lambda/{name}") for e in p["events"]]
    of_files = [line for line in lines if '"file of an export converted"' in line]
    assert sum('"done": false' in line for line in of_files) >= 4
    # What somebody else made stays.
    assert objects(errors(wb), "given/")


def test_items_that_do_not_fit(wb: dynaberg.Workbench) -> None:
    """The last test: the change never arrives in the log."""
    write(wb, {**item(1), "total": {"S": "a lot"}})
    assert wb.table().backfill(method="export", reconcile=False).df.iloc[0]["unfit"] == 1
    failed = wb.table().failures()
    assert failed.loc[failed["operation"] == "SNAPSHOT", "pk"].tolist() == ["CUSTOMER#1"]
