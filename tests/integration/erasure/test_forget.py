"""A person is forgotten: in every place, at once or at the moment that the report names, and for good."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.avro.file import AvroFile

from dynaberg import catalog, curated, deploy, layers
from dynaberg.delivery import backfill, replay_errors, replay_stream, wait_for_delivery, wait_for_failures
from dynaberg.erasure import forget, forgotten, preview_forget, search
from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.functions.dead_letters import DeadLetter
from dynaberg.functions.packing import pack
from dynaberg.proof import reconcile
from dynaberg.sql import query
from local_aws import Status
from local_aws.s3tables.snapshots import MemoryFile

NAME = "Zebulon Quagmire"
KEY = {"id": "person-zq", "at": 7}
ITEM = {"id": {"S": "person-zq"}, "at": {"N": "7"}}
SQL = """\
SELECT status, count(*) AS n FROM transactions GROUP BY status"""
LOGGED_SQL = """\
-- build: incremental, key(day), watermark(day)
SELECT CAST(changed_at AS date) AS day, count(*) AS n, max(status) AS last
FROM transactions_changes GROUP BY 1"""


def bucket_names(session: Any) -> set[str]:
    return {bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]}


@pytest.fixture(scope="module")
def foreign_buckets(local_aws: Status) -> set[str]:
    """The buckets of other tests: they were there before anybody who is forgotten here."""
    return bucket_names(boto3)


@pytest.fixture(scope="module")
def pipeline(foreign_buckets: set[str], make_pipeline: Callable[[str], Any]) -> Any:
    made = make_pipeline("forgetting")
    folder = made.settings.root / "data" / "sql" / "curated"
    (folder / "by_status.sql").write_text(SQL)
    (folder / "by_day.sql").write_text(LOGGED_SQL)
    return made


def place(pipeline: Any) -> tuple[Any, Any, Any]:
    return pipeline.session, pipeline.settings, pipeline.contract


def remove(pipeline: Any, key: dict[str, Any]) -> None:
    pipeline.session.client("dynamodb").delete_item(TableName=pipeline.contract.source_table, Key=key)


def deliver(pipeline: Any, write: Callable[[], Any], changes: int) -> None:
    began = datetime.now(UTC)
    write()
    wait_for_delivery(*place(pipeline), expected=changes, since=began, timeout=90, progress=False)
    layers.refresh(*place(pipeline))


def come_and_go(pipeline: Any, item: dict[str, Any]) -> None:
    pipeline.write(item)
    remove(pipeline, {name: item[name] for name in ("id", "at")})


def other(number: int) -> dict[str, Any]:
    return {"id": {"S": f"other-{number}"}, "at": {"N": "1"}, "status": {"S": "open"}}


def parked_queue(pipeline: Any) -> str:
    return str(deploy.outputs(*place(pipeline)[:2], "delivery")["ParkedQueueUrl"])


def maintain(pipeline: Any, days: float) -> None:
    """All jobs of a pipeline's tables, as if it were some days later; others share its local AWS."""
    arn = catalog.table_bucket_arn(pipeline.session, pipeline.settings)
    body = json.dumps({"tableBucketARN": arn, "hoursAhead": days * 24}).encode()
    endpoint = pipeline.session.client("s3tables").meta.endpoint_url
    urlopen(Request(f"{endpoint}/_local_aws/maintenance", data=body, method="POST")).close()


def objects(session: Any, buckets: set[str]) -> Iterator[tuple[str, bytes]]:
    """Every object of some buckets, those of tables among them, decompressed."""
    s3 = session.client("s3")
    for bucket in buckets:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", ()):
                body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                yield f"{bucket}/{found['Key']}", plain(found["Key"], body)


def plain(name: str, body: bytes) -> bytes:
    """What a file says."""
    if name.endswith(".parquet"):
        table = pq.read_table(pa.BufferReader(body))
        return body + repr(table.to_pylist()).encode()
    if name.endswith(".avro"):
        with AvroFile[Any](MemoryFile(name, body)) as records:
            return body + repr(list(records)).encode()
    if body[:2] == b"\x1f\x8b":
        return gzip.decompress(body)
    texts = [
        base64.b64decode(json.loads(line)["rawData"]) for line in body.splitlines() if b"rawData" in line
    ]
    return b"".join([body, *texts])


def holding(session: Any, buckets: set[str], *values: str) -> list[str]:
    wanted = [value.encode() for value in values]
    return [name for name, body in objects(session, buckets) if any(value in body for value in wanted)]


def test_an_item_is_forgotten_everywhere(pipeline: Any, foreign_buckets: set[str]) -> None:
    session, settings, contract = place(pipeline)
    person = {**ITEM, "status": {"S": NAME}}
    deliver(pipeline, lambda: pipeline.write(*map(other, range(20)), person), 21)
    deliver(
        pipeline,
        lambda: pipeline.write({**person, "ratio": {"N": "1"}}, {**other(1), "ratio": {"N": "1"}}),
        2,
    )
    curated.build_all(session, settings)
    pipeline.write({**person, "amount": {"S": "much"}}, {**other(30), "amount": {"S": "much"}})
    wait_for_failures(session, settings, contract, 2, timeout=60)
    rows = [
        {
            "change_id": f"parked-{n}",
            "id": id_,
            "at": 7,
            "operation": "MODIFY",
            "changed_at": 1,
            "status": NAME,
        }
        for n, id_ in enumerate(("person-zq", "other-2"))
    ]
    letter = DeadLetter(tuple(json.dumps(row).encode() for row in rows), "Refused", "refused", 9)
    queue = parked_queue(pipeline)
    session.client("sqs").send_message(QueueUrl=queue, MessageBody=letter.to_body())
    query(session, settings, "SELECT * FROM transactions")

    before = preview_forget(session, settings, contract, KEY)
    found = before.df.set_index("place")["found"].to_dict()
    assert {name: found[name] for name in ("transactions_changes", "error bucket", "queues")} == {
        "transactions_changes": 2,
        "error bucket": 1,
        "queues": 1,
    }
    assert found["query results"]
    assert found["change stream"] == 3
    assert before.df["removed"].sum() == 0
    with pytest.raises(SettingsError, match="Nothing was removed"):
        forget(session, settings, contract, KEY, confirm="person-zq")
    with pytest.raises(SettingsError, match="still has person-zq/7"):
        forget(session, settings, contract, KEY, confirm="person-zq/7")
    deliver(pipeline, lambda: remove(pipeline, ITEM), 1)

    report = forget(session, settings, contract, KEY, confirm="person-zq/7")
    frame = report.df.set_index("place")
    here = ["transactions_changes", "transactions", "by_status", "by_day", "error bucket", "queues"]
    assert frame.loc[[*here, "query results"], "left"].sum() == 0
    assert not report.is_gone
    still = set(report.df[report.df["left"] > 0]["kind"])
    assert still == {"snapshots", "stream"}
    assert report.gone_at is not None
    assert not report.snapshots["is_current"].any()

    # What the report names is what holds them: the files of these snapshots, and nothing else.
    named = {(row.table, row.snapshot_id) for row in report.snapshots.itertuples()}
    for name in ("transactions_changes", "transactions"):
        table = pipeline.load(name)
        for snapshot in table.snapshots():
            try:
                texts = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow()["status"].to_pylist()
            except FileNotFoundError:
                continue
            assert NAME not in texts or (name, snapshot.snapshot_id) in named
    assert reconcile(session, settings, contract).df["id"].unique().tolist() == ["other-30"]
    assert int(layers.refresh(session, settings, contract)["rows_written"].iloc[0]) == 0

    # Once the jobs have run at the moment that it names, no object holds them.
    for moment in (report.snapshots["expires_at"].max(), report.gone_at):
        maintain(pipeline, (moment - datetime.now(UTC)).total_seconds() / 86_400)
    buckets = bucket_names(session) - foreign_buckets
    assert len(buckets) >= 2
    assert holding(session, buckets, NAME, "person-zq") == []
    left = report.check()
    assert set(left.df[left.df["left"] > 0]["place"]) == {"change stream"}
    assert left.snapshots.empty


@pytest.mark.thorough
def test_neither_replay_nor_backfill_brings_it_back(pipeline: Any) -> None:
    session, settings, contract = place(pipeline)
    gone = {"id": {"S": "gone"}, "at": {"N": "1"}}
    deliver(pipeline, lambda: come_and_go(pipeline, {**gone, "status": {"S": "old"}}), 2)
    forget(session, settings, contract, {"id": "gone", "at": 1}, confirm="gone/1")
    listed = forgotten(session, settings, contract)
    assert listed["was_alive"].tolist()[-1:] == [False]
    assert "gone" not in listed.to_string()

    def rows() -> list[Any]:
        found = pipeline.load(contract.log_name).scan().to_arrow().to_pylist()
        return [(row["operation"], row["status"]) for row in found if row["id"] == "gone"]

    assert rows() == []
    outcomes = replay_stream(session, settings, contract, progress=False).set_index("outcome")["changes"]
    assert outcomes["forgotten"] >= 2
    assert outcomes["replayed"] == 0
    late = {
        "change_id": "late",
        "id": "gone",
        "at": 1,
        "operation": "MODIFY",
        "changed_at": 1_700_000_000_000_000,
    }
    letter = DeadLetter((json.dumps(late).encode(),), "Refused", "refused", 9)
    queue = parked_queue(pipeline)
    session.client("sqs").send_message(QueueUrl=queue, MessageBody=letter.to_body())
    assert "forgotten" in replay_errors(session, settings, contract, progress=False)["outcome"].tolist()
    assert rows() == []
    again = forget(session, settings, contract, {"id": "gone", "at": 1}, confirm="gone/1")
    (bucket,) = again.df[again.df["place"] == "error bucket"].to_dict("records")
    assert bucket["found"] >= 1
    assert bucket["left"] == 0

    # What the application writes later is let through, and a wait does not expect what was forgotten.
    deliver(pipeline, lambda: pipeline.write({**gone, "status": {"S": "new"}}), 1)
    assert rows() == [("INSERT", "new")]
    (log,) = again.check().df.query("place == 'transactions_changes'").to_dict("records")
    assert (log["found"], log["left"]) == (0, 0), "what was written after it is not meant"
    backfill(session, settings, contract, progress=False)
    assert sorted(rows()) == [("INSERT", "new"), ("SNAPSHOT", "new")]


@pytest.mark.thorough
def test_what_is_still_alive_stays_forgotten_until_it_changes(pipeline: Any) -> None:
    session, settings, contract = place(pipeline)
    key = {"id": "alive", "at": 1}
    item = {"id": {"S": "alive"}, "at": {"N": "1"}}
    deliver(pipeline, lambda: pipeline.write(item, other(50)), 2)
    forget(session, settings, contract, key, confirm="alive/1", even_if_alive=True)
    backfill(session, settings, contract, progress=False)
    layers.refresh(session, settings, contract)
    ids = pipeline.load(contract.table).scan().to_arrow()["id"].to_pylist()
    assert "alive" not in ids
    assert "other-50" in ids
    deliver(pipeline, lambda: pipeline.write({**item, "status": {"S": "written again"}}), 1)
    assert "alive" in pipeline.load(contract.table).scan().to_arrow()["id"].to_pylist()


@pytest.mark.thorough
def test_a_person_is_found_by_a_value_now_or_in_the_past(pipeline: Any) -> None:
    session, settings, contract = place(pipeline)
    items = [{"id": {"S": f"order-{n}"}, "at": {"N": "1"}, "status": {"S": "C-17"}} for n in range(3)]

    def write() -> None:
        pipeline.write(*items)
        pipeline.write({**items[1], "status": {"S": "C-18"}})
        for item in items:
            remove(pipeline, {"id": item["id"], "at": item["at"]})

    deliver(pipeline, write, 7)
    packed = {"change_id": "packed", "operation": "REMOVE", "changed_at": 1_700_000_000_000_000}
    packed |= {"sequence_number": "0" * 40, "received_at": 1_700_000_000_000_000, "id": "order-9", "at": 1}
    packed["old_image"] = pack(json.dumps({"status": {"S": "C-17"}, "id": {"S": "order-9"}}))
    pipeline.send([packed])
    preview = preview_forget(session, settings, contract, where={"status": "C-17"})
    assert preview.items == 4
    with pytest.raises(SettingsError, match="'status' is 'C-17'"):
        forget(session, settings, contract, where={"status": "C-17"}, confirm="C-1")
    with pytest.raises(NotFoundError, match="holds 'C-99'"):
        forget(session, settings, contract, where={"status": "C-99"}, confirm="C-99")
    with pytest.raises(SettingsError, match=r"it is masked \(hash\)"):
        forget(session, settings, contract, where={"card": "4111"}, confirm="4111")
    report = forget(session, settings, contract, where={"status": "C-17"}, confirm="C-17")
    assert report.items == 4
    log = pipeline.load(contract.log_name).scan().to_arrow()["id"].to_pylist()
    assert not [id_ for id_ in log if id_.startswith("order-")]
    assert int(layers.refresh(session, settings, contract)["rows_deleted"].iloc[0]) == 0


class KilledError(BaseException):
    """What ends a process."""


@pytest.mark.thorough
def test_interrupted_it_is_run_again_and_ends_the_same(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, settings, contract = place(pipeline)
    item = {"id": {"S": "cut"}, "at": {"N": "1"}}
    deliver(pipeline, lambda: come_and_go(pipeline, {**item, "status": {"S": "short"}}), 2)
    curated.build(session, settings, "by_day")
    key, killed_in = {"id": "cut", "at": 1}, list[str]()
    for owner, step in ((search, "rewrite"), (search.Search, "_build")):
        whole: Any = getattr(owner, step)

        def killed(*args: Any, step: str = step, whole: Any = whole) -> Any:
            killed_in.append(step)
            raise KilledError(whole(*args))

        with monkeypatch.context() as patch:
            patch.setattr(owner, step, killed)
            with pytest.raises(KilledError):
                forget(session, settings, contract, key, confirm="cut/1")
    assert killed_in == ["rewrite", "_build"]
    report = forget(session, settings, contract, key, confirm="cut/1")
    assert set(report.df[report.df["left"] > 0]["kind"]) <= {"snapshots", "stream"}
    assert not report.snapshots["is_current"].any()
    for name in (contract.table, contract.log_name):
        assert "cut" not in pipeline.load(name).scan().to_arrow()["id"].to_pylist()
