"""What failed is listed, replayed after the fix, and archived; what a stream still holds is read again."""

from __future__ import annotations

import json
import time
import urllib.request
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from botocore.config import Config
from pyiceberg.expressions import AlwaysTrue, EqualTo
from tests.integration.conftest import Watched

from dynaberg import deploy, layers
from dynaberg.delivery import replay
from dynaberg.delivery.failures import error_bucket, failures
from dynaberg.delivery.queues import queue_depths
from dynaberg.delivery.reentry import row_converter, send
from dynaberg.delivery.replay import ARCHIVE, preview_replay, replay_errors
from dynaberg.delivery.stream_replay import replay_stream
from dynaberg.errors import ContractError, NotReadyError, SettingsError
from dynaberg.functions.dead_letters import DeadLetter
from dynaberg.masks import mask_key
from dynaberg.proof.reconcile import reconcile
from dynaberg.settings import Settings
from dynaberg.source.change_stream import read_changes
from dynaberg.workbench import Workbench
from local_aws import Status


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[[str], Any]) -> Any:
    return make_pipeline("replay")


@pytest.fixture(autouse=True)
def _clean_slate(pipeline: Any) -> Any:
    """Each test begins with an empty error bucket."""
    s3, bucket = pipeline.session.client("s3"), error_bucket(pipeline.session, pipeline.settings)
    for key in keys(pipeline, ""):
        s3.delete_object(Bucket=bucket, Key=key)


@pytest.fixture
def faults(local_aws: Status) -> Iterator[Callable[..., None]]:
    """Puts rules, or with none ends them; they are gone after the test."""

    def put(*rules: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{local_aws.endpoint}/_local_aws/faults", json.dumps(rules).encode(), method="PUT"
        )
        urllib.request.urlopen(request).close()

    yield put
    put()


def keys(pipeline: Any, prefix: str) -> list[str]:
    bucket = error_bucket(pipeline.session, pipeline.settings)
    listed = pipeline.session.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for found in listed.get("Contents", ())]


def write(pipeline: Any, item_id: str, **attributes: Any) -> None:
    pipeline.write({"id": {"S": item_id}, "at": {"N": "1"}, **attributes})


def fixed(pipeline: Any) -> Any:
    """The contract with room for larger amounts."""
    columns = [
        replace(column, type="decimal(18,2)") if column.name == "amount" else column
        for column in pipeline.contract.columns
    ]
    return replace(pipeline.contract, columns=tuple(columns))


def failed(pipeline: Any, count: int) -> pd.DataFrame:
    """The failures, once there are so many."""
    deadline = time.monotonic() + 60
    while True:
        frame = failures(pipeline.session, pipeline.settings, pipeline.contract)
        if len(frame) >= count:
            return frame.sort_values("id", ignore_index=True)
        assert time.monotonic() < deadline, f"{len(frame)} of {count} failed"
        time.sleep(0.1)


def log_ids(pipeline: Any) -> Counter[str]:
    rows = pipeline.load(pipeline.contract.log_name).scan(selected_fields=("change_id",)).to_arrow()
    return Counter(rows.column("change_id").to_pylist())


def objects(pipeline: Any, prefix: str) -> list[list[dict[str, Any]]]:
    """The objects below a prefix, as their lines."""
    s3, bucket = pipeline.session.client("s3"), error_bucket(pipeline.session, pipeline.settings)
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys(pipeline, prefix)]
    return [[json.loads(line) for line in body.splitlines()] for body in bodies]


def wait_for_log(pipeline: Any, changes: int) -> None:
    log, deadline = Watched(pipeline.load(pipeline.contract.log_name), "change_id"), time.monotonic() + 60
    while (arrived := len(set(log.values(at_least=changes)))) < changes:
        assert time.monotonic() < deadline, f"{arrived} of {changes} arrived"
        time.sleep(0.1)


def refresh_and_check(pipeline: Any, contract: Any, *, missing: list[str]) -> None:
    """Refresh the current table; it equals the source but for some keys."""
    layers.refresh(pipeline.session, pipeline.settings, contract)
    report = reconcile(pipeline.session, pipeline.settings, contract)
    assert report.df["id"].to_list() == missing, report.df.to_string()


def test_failures_are_replayed_after_the_fix_and_archived(pipeline: Any) -> None:
    session, settings, fix = pipeline.session, pipeline.settings, fixed(pipeline)
    write(pipeline, "good")
    write(pipeline, "large", amount={"N": "12345678901.25"})
    write(pipeline, "odd", amount={"N": "12345678902.25"}, day={"S": "soon"})
    listed = failed(pipeline, 2)
    assert listed["id"].to_list() == ["large", "odd"]
    assert listed["error_code"].to_list() == ["Conversion.OutOfRange"] * 2
    assert set(listed["where"]) == {"error bucket"}
    assert listed["operation"].to_list() == ["INSERT"] * 2

    told = preview_replay(session, settings, fix).set_index("id")["outcome"].to_dict()
    assert told == {"large": "replayed", "odd": "failed again"}
    with pytest.raises(ContractError, match="do not match the contract yet: amount"):
        replay_errors(session, settings, fix, progress=False)
    assert keys(pipeline, ARCHIVE) == [], "neither did anything"

    layers.create_tables(session, settings, fix)
    deploy.deploy_firehose(session, settings, fix, buffer_seconds=1)
    done = replay_errors(session, settings, fix, progress=False).set_index("id")
    assert done["outcome"].to_dict() == told
    assert done.loc["odd", "reason"].startswith("Conversion.WrongFormat: Attribute `day`")
    archived = [line for lines in objects(pipeline, ARCHIVE) for line in lines]
    assert [json.loads(b64decode(line["rawData"]))["eventID"] for line in archived] == [
        listed["change_id"][0]
    ]
    left = failures(session, settings, fix)
    assert left[["id", "error_code", "attempts"]].to_numpy().tolist() == [
        ["odd", "Conversion.WrongFormat", 2]
    ]

    wait_for_log(pipeline, 2)
    refresh_and_check(pipeline, fix, missing=["odd"])
    again = replay_errors(session, settings, fix, progress=False)
    assert again["outcome"].to_list() == ["failed again"]
    assert sum(log_ids(pipeline).values()) == 2
    assert len(keys(pipeline, ARCHIVE)) == 1


def change(pipeline: Any, item_id: str) -> dict[str, Any]:
    """A change record of the stream, as the Lambda got it."""
    arn = deploy.outputs(pipeline.session, pipeline.settings, "foundation")["ChangeStreamArn"]
    records = read_changes(pipeline.session, arn, None, datetime.now(UTC))
    return next(r.document for r in records if r.document["dynamodb"]["Keys"]["id"]["S"] == item_id)


def error_record(document: Any) -> dict[str, Any]:
    return {
        "attemptsMade": 1,
        "errorCode": "Iceberg.Test",
        "errorMessage": "for a test",
        "attemptEndingTimestamp": 1_764_000_000_000,
        "rawData": b64encode(json.dumps(document).encode()).decode(),
    }


def put_object(pipeline: Any, key: str, *documents: Any) -> None:
    body = "".join(f"{json.dumps(document)}\n" for document in documents).encode()
    bucket = error_bucket(pipeline.session, pipeline.settings)
    pipeline.session.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def test_interrupted_before_the_archive_nothing_is_lost_or_twice(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, settings, fix = pipeline.session, pipeline.settings, fixed(pipeline)
    record = {**change(pipeline, "good"), "eventID": "one-more"}
    put_object(pipeline, "errors/conversion-failed/2026/01/31/12/x.jsonl", error_record(record))

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(replay, "_archive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            replay_errors(session, settings, fix, progress=False)
    assert len(failures(session, settings, fix)) == 1, "it stays until it is archived"
    wait_for_log(pipeline, 3)
    done = replay_errors(session, settings, fix, progress=False)
    assert done["outcome"].to_list() == ["in the log already"]
    assert failures(session, settings, fix).empty
    assert len(keys(pipeline, ARCHIVE)) == 1
    assert log_ids(pipeline)["one-more"] == 1


def test_rows_and_discarded_batches_are_replayed_too(pipeline: Any) -> None:
    session, settings, fix = pipeline.session, pipeline.settings, fixed(pipeline)
    record = change(pipeline, "good")
    row = json.loads(row_converter(fix, key=mask_key(session, settings, fix))({**record, "eventID": "a-row"}))
    put_object(pipeline, "errors/iceberg-failed/2026/01/31/12/stream-1", error_record(row))
    payload = json.dumps({"Records": [{**record, "eventID": "a-batch"}, {**record, "eventName": "ODD"}]})
    invocation = {
        "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 21},
        "timestamp": "2026-01-31T12:00:00.000Z",
        "payload": payload,
    }
    put_object(pipeline, "aws/lambda/mapping/shard/2026/01/31/x", invocation)
    put_object(pipeline, "errors/processing-failed/2026/01/31/12/y", "no error record")
    listed = failures(session, settings, fix).sort_values("error_code", ignore_index=True)
    assert listed["change_id"].to_list()[:3] == ["a-row", "a-batch", record["eventID"]]
    assert pd.isna(listed["change_id"][3])
    assert listed["attempts"].to_list() == [1, 21, 21, 0]

    done = replay_errors(session, settings, fix, progress=False).sort_values("error_code", ignore_index=True)
    assert done["outcome"].to_list() == ["replayed", "replayed", "in the log already", "failed again"]
    wait_for_log(pipeline, 5)
    assert len(keys(pipeline, ARCHIVE)) == 2
    assert objects(pipeline, "errors/") == [["no error record"]], "what nobody understands stays as it is"
    refresh_and_check(pipeline, fix, missing=["odd"])


def test_what_firehose_refuses_is_parked_and_replayed(pipeline: Any, faults: Any) -> None:
    session, settings, fix = pipeline.session, pipeline.settings, fixed(pipeline)
    outputs = deploy.outputs(session, settings, "delivery")
    firehose = session.client("firehose", config=Config(retries={"total_max_attempts": 1}))
    convert = row_converter(fix, key=mask_key(session, settings, fix))
    row = convert({**change(pipeline, "good"), "eventID": "parked"})
    letter = DeadLetter((row,), "", "").after("redrive", "ServiceUnavailableException", "refused", 8)
    session.client("sqs").send_message(QueueUrl=outputs["ParkedQueueUrl"], MessageBody=letter.to_body())
    for _ in range(2):
        [listed] = failures(session, settings, fix)[["where", "change_id", "attempts"]].to_numpy().tolist()
        assert listed == ["parked queue", "parked", 8]
    assert queue_depths(session, settings).set_index("queue").loc["parked queue", "waiting"] == 1

    faults({"service": "firehose", "kind": "throttle"})
    with pytest.raises(NotReadyError, match="did not accept 1 of 1 changes: ServiceUnavailableException"):
        send(firehose, outputs["DeliveryStreamName"], [row], timeout=0.5)
    faults({"service": "firehose", "kind": "throttle", "count": 1})
    done = replay_errors(session, settings, fix, progress=False)
    assert done["outcome"].to_list() == ["replayed"]
    assert failures(session, settings, fix).empty
    [archived] = objects(pipeline, f"{ARCHIVE}/parked-queue/")
    assert archived[0]["rows"][0]["change_id"] == "parked"
    wait_for_log(pipeline, 6)


def test_the_stream_gives_back_what_the_log_lost(pipeline: Any) -> None:
    session, settings, fix = pipeline.session, pipeline.settings, fixed(pipeline)
    lost = change(pipeline, "large")["eventID"]
    pipeline.load(pipeline.contract.log_name).delete(EqualTo("change_id", lost))
    assert log_ids(pipeline)[lost] == 0
    for expected in ([1, 1, 1], [0, 2, 1]):
        told = replay_stream(session, settings, fix, progress=False)
        assert told["outcome"].to_list() == ["replayed", "in the log already", "failed again"]
        assert told["changes"].to_list() == expected
        assert len(failures(session, settings, fix)) == 1, "kept once"
        wait_for_log(pipeline, 6)
    assert log_ids(pipeline)[lost] == 1
    later = replay_stream(session, settings, fix, since=datetime.now(UTC) + timedelta(minutes=1))
    assert later["changes"].to_list() == [0, 0, 0]
    with pytest.raises(SettingsError, match="time zone"):
        replay_stream(session, settings, fix, since=datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_workbench_does_all_that(pipeline: Any) -> None:
    wb = Workbench(pipeline.settings, pipeline.session, fixed(pipeline))
    assert wb.table().replay_stream(since=datetime.now(UTC) + timedelta(minutes=1))["changes"].sum() == 0
    row = {
        "changed_at": 0,
        "operation": "REMOVE",
        "change_id": "unknown",
        "received_at": 0,
        "id": "x",
        "at": 1,
    }
    put_object(pipeline, "errors/iceberg-failed/2026/01/31/12/stream-2", error_record(row))
    assert wb.table().failures()["change_id"].to_list() == ["unknown"]
    assert wb.table().preview_replay()["outcome"].to_list() == ["replayed"]
    assert wb.table().replay_errors()["outcome"].to_list() == ["replayed"]
    assert wb.table().queue_depths()["waiting"].to_list() == [0, 0]
    assert wb.table().freshness().loc[1, "changes"] >= 6


def test_kinesis_gives_back_a_time_range(pipeline: Any, tmp_path: Any) -> None:
    session = pipeline.session
    names = {"name": "kinereplay", "namespace": "kinereplay", "bucket_name": "kinereplay"}
    settings = Settings(table_bucket_name="kinereplay-tables", stream_type="kinesis", root=tmp_path, **names)
    contract = replace(pipeline.contract, source_table="kinereplay-source")
    deploy.enable_cdc(session, settings, contract)
    layers.create_tables(session, settings, contract)
    deploy.deploy_firehose(session, settings, contract, buffer_seconds=1)
    kinesis = replace(pipeline, settings=settings, contract=contract)
    write(kinesis, "first")
    wait_for_log(kinesis, 1)
    between = datetime.now(UTC)
    write(kinesis, "second")
    wait_for_log(kinesis, 2)
    kinesis.load(contract.log_name).delete(AlwaysTrue())
    told = replay_stream(session, settings, contract, since=between, progress=False)
    assert told["changes"].to_list() == [1, 0, 0]
    wait_for_log(kinesis, 1)
    assert replay_stream(session, settings, contract, progress=False)["changes"].to_list() == [1, 1, 0]
    wait_for_log(kinesis, 2)
    refresh_and_check(kinesis, contract, missing=[])
