"""Kinesis Data Streams to Firehose: the same tables as with DynamoDB Streams, and the way there and back."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pandas as pd
import pytest

from dynaberg import catalog, deploy, layers
from dynaberg.contracts.contract import Column, Contract, load_contract
from dynaberg.delivery.failures import failures
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.deploy import cleanup
from dynaberg.deploy.doctor import doctor
from dynaberg.proof.reconcile import reconcile
from dynaberg.settings import Settings
from dynaberg.source.traffic import generate_traffic
from local_aws import Status

ROOT = Path(__file__).resolve().parents[3]
TRANSACTIONS = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
ORDER = ["changed_at", "sequence_number"]
CHANGES = 1_500


def settings_of(name: str, stream_type: str) -> Settings:
    return Settings(
        name=name,
        table_bucket_name=f"{name}-tables",
        namespace=name,
        bucket_name=name,
        stream_type=stream_type,
    )


@pytest.fixture(scope="module")
def session(local_aws: Status) -> boto3.Session:
    return boto3.Session()


@pytest.fixture(scope="module")
def make(session: boto3.Session) -> Iterator[Callable[[Settings, Contract], None]]:
    made: dict[str, Settings] = {}

    def deploy_all(settings: Settings, contract: Contract) -> None:
        made[contract.source_table] = settings
        deploy.enable_cdc(session, settings, contract)
        layers.create_tables(session, settings, contract)
        deploy.deploy_firehose(session, settings, contract, buffer_seconds=1)

    yield deploy_all
    for source_table, settings in made.items():
        cleanup.clean_up(session, settings, confirm=settings.name, delete_items_of=[source_table])


def scan(session: boto3.Session, settings: Settings, name: str) -> pd.DataFrame:
    table = catalog.load_table(catalog.open_catalog(session, settings), settings, name)
    return table.scan().to_pandas()


def test_both_patterns_end_with_the_same_current_table(
    session: boto3.Session, make: Callable[[Settings, Contract], None]
) -> None:
    now, tables, logs = datetime(2026, 1, 31, 12, tzinfo=UTC), [], []
    for name, stream_type in (("viastreams", "dynamodb"), ("viakinesis", "kinesis")):
        settings, contract = (
            settings_of(name, stream_type),
            replace(TRANSACTIONS, source_table=f"{name}-source"),
        )
        make(settings, contract)
        report = generate_traffic(
            session, contract.source_table, changes=CHANGES, seed=3, now=now, progress=False
        )
        wait_for_delivery(
            session, settings, contract, expected=CHANGES, since=report.started_at, progress=False
        )
        waited = wait_for_delivery(session, settings, contract, progress=False)
        assert waited["changes"].tolist() == [CHANGES]
        layers.refresh(session, settings, contract)
        compared = reconcile(session, settings, contract)
        assert compared.matches, compared.df.to_string()
        tables.append(scan(session, settings, contract.table).sort_values(list(contract.key)))
        logs.append(scan(session, settings, contract.log_name))
    streams, kinesis = (table.drop(columns=ORDER).reset_index(drop=True) for table in tables)
    pd.testing.assert_frame_equal(streams, kinesis)
    assert Counter(logs[0]["operation"]) == Counter(logs[1]["operation"])
    assert set(logs[1]["sequence_number"]) == {"0" * 40}
    assert logs[1]["changed_at"].dt.microsecond.nunique() > CHANGES / 2


HARD: dict[str, dict[str, dict[str, object]]] = {
    "empty": {"status": {"S": ""}, "nothing": {"L": []}, "none": {"M": {}}},
    "exact": {"amount": {"N": "-9999999999.99"}, "huge": {"N": "9" * 38}},
    "large": {"status": {"S": "x" * (390 * 1024)}},
    "larger as JSON": {"status": {"S": "\x01" * (390 * 1024)}},
    "named like our columns": {
        "operation": {"S": "REMOVE"},
        "change_id": {"N": "1"},
        "old_image": {"S": "x"},
    },
    "poison": {"amount": {"S": "a lot"}},
}


@pytest.mark.parametrize(("name", "stream_type"), [("viastreams", "dynamodb"), ("viakinesis", "kinesis")])
def test_hard_input_is_delivered_or_kept_and_stops_nothing(
    session: boto3.Session, name: str, stream_type: str
) -> None:
    """Each item is written twice, so that its old image comes too."""
    settings, contract = settings_of(name, stream_type), replace(TRANSACTIONS, source_table=f"{name}-source")
    lost = {"poison"}
    if stream_type == "kinesis":
        stream = deploy.outputs(session, settings, "foundation")["KinesisStreamName"]
        session.client("kinesis").put_record(StreamName=stream, Data=b"no JSON", PartitionKey="any")
        lost.add("")
    for version in ("1", "2"):
        for key, attributes in HARD.items():
            item = {
                "transaction_id": {"S": key},
                "timestamp": {"N": "1"},
                "hour": {"N": version},
                **attributes,
            }
            session.client("dynamodb").put_item(TableName=contract.source_table, Item=item)

    def log() -> pd.DataFrame:
        rows = scan(session, settings, contract.log_name)
        return rows[rows["transaction_id"].isin(HARD)]

    eventually(lambda: len(log()) == 2 * len(HARD) - 2)
    eventually(lambda: set(failures(session, settings, contract)["transaction_id"].fillna("")) == lost)
    layers.refresh(session, settings, contract)
    report = reconcile(session, settings, contract)
    found = report.df[["transaction_id", "problem", "cause"]].to_numpy().tolist()
    assert found == [["poison", "missing", "not in the log"]]
    assert report.packed == 1
    unmapped = log().set_index("transaction_id")["unmapped"]
    assert json.loads(unmapped["exact"].iloc[0]) == {"huge": HARD["exact"]["huge"]}
    assert json.loads(unmapped["named like our columns"].iloc[0]) == HARD["named like our columns"]


def test_records_that_others_put_into_the_stream_are_dated_or_kept(
    session: boto3.Session, make: Callable[[Settings, Contract], None]
) -> None:
    """Older destinations write milliseconds and no precision; a date that cannot be holds up nothing."""
    settings, contract = settings_of("others", "kinesis"), replace(TRANSACTIONS, source_table="others")
    make(settings, contract)
    stream = deploy.outputs(session, settings, "foundation")["KinesisStreamArn"]
    now_ms = int(time.time() * 1000)

    def put(id_: str, created: int, **others: str) -> None:
        key = {"transaction_id": {"S": id_}, "timestamp": {"N": "1"}}
        change = {"ApproximateCreationDateTime": created, "Keys": key, "NewImage": key, **others}
        record = {
            "eventID": id_,
            "eventName": "INSERT",
            "tableName": contract.source_table,
            "dynamodb": change,
        }
        session.client("kinesis").put_record(
            StreamARN=stream, Data=json.dumps(record).encode(), PartitionKey=id_
        )

    put("milliseconds", now_ms)
    put("microseconds", now_ms * 1000 + 7, ApproximateCreationDateTimePrecision="MICROSECOND")
    put("no moment", now_ms * 1_000_000)
    put("no moment either", -1, ApproximateCreationDateTimePrecision="MILLISECOND")
    put("after them", now_ms)
    epoch = pd.Timestamp(0, tz="UTC")
    expected = {
        "milliseconds": epoch + pd.Timedelta(now_ms, "ms"),
        "microseconds": epoch + pd.Timedelta(now_ms * 1000 + 7, "us"),
        "after them": epoch + pd.Timedelta(now_ms, "ms"),
    }
    eventually(lambda: len(scan(session, settings, contract.log_name)) >= len(expected))
    log = scan(session, settings, contract.log_name)
    assert log.set_index("transaction_id")["changed_at"].to_dict() == expected
    eventually(lambda: len(failures(session, settings, contract)) == 2)
    assert set(failures(session, settings, contract)["change_id"]) == {"no moment", "no moment either"}


# The switch -----------------------------------------------------------------------------------------

SWITCHED = settings_of("switched", "dynamodb")
ITEMS = Contract("transactions", "switched-source", "id", None, (Column("id", "string"), Column("n", "long")))


class Writer(threading.Thread):
    """Changes one item four times within 20 ms, then the next: some end wherever a switch falls."""

    def __init__(self, session: boto3.Session) -> None:
        super().__init__()
        self._dynamodb = session.client("dynamodb")
        self._over = threading.Event()
        self.items = 0

    def run(self) -> None:
        while not self._over.is_set():
            key = f"item-{self.items:06d}"
            for n in range(4):
                item = {"id": {"S": key}, "n": {"N": str(n)}}
                self._dynamodb.put_item(TableName=ITEMS.source_table, Item=item)
                time.sleep(0.005)
            if self.items % 7 == 0:
                self._dynamodb.delete_item(TableName=ITEMS.source_table, Key={"id": {"S": key}})
            self.items += 1

    def stop(self) -> None:
        self._over.set()
        self.join()


def eventually(check: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def settle(session: boto3.Session, settings: Settings) -> None:
    """Refresh until the current table is what DynamoDB is."""
    deadline = time.monotonic() + 60
    while True:
        layers.refresh(session, settings, ITEMS)
        compared = reconcile(session, settings, ITEMS)
        if compared.matches:
            return
        assert time.monotonic() < deadline, compared.df.to_string()
        time.sleep(0.5)


def test_the_stream_type_changes_there_and_back_while_items_change(
    session: boto3.Session, make: Callable[[Settings, Contract], None]
) -> None:
    make(SWITCHED, ITEMS)
    log = catalog.load_table(catalog.open_catalog(session, SWITCHED), SWITCHED, ITEMS.log_name)
    writer = Writer(session)
    writer.start()
    try:
        time.sleep(1.5)
        for stream_type in ("kinesis", "dynamodb", "kinesis"):
            settings = replace(SWITCHED, stream_type=stream_type)
            deploy.deploy_firehose(session, settings, ITEMS, buffer_seconds=1)
            time.sleep(2.5)
    finally:
        writer.stop()
    settle(session, settings)
    after = catalog.load_table(catalog.open_catalog(session, settings), settings, ITEMS.log_name)
    assert after.metadata.table_uuid == log.metadata.table_uuid
    assert writer.items > 50

    changes = scan(session, settings, ITEMS.log_name)
    by_streams = changes[changes["sequence_number"] != "0" * 40]
    by_kinesis = changes[changes["sequence_number"] == "0" * 40]
    # Every change came once at least, and those of the overlaps on both paths.
    for number in range(4):
        assert changes[changes["n"] == number]["id"].nunique() == writer.items
    assert 0 < by_streams["id"].nunique() <= writer.items
    assert 0 < by_kinesis["id"].nunique() < writer.items
    # Read again from the beginning, with the ends of the seconds: the first switch back did that.
    assert (by_streams["changed_at"].dt.microsecond == 999_999).any()
    foundation = deploy.outputs(session, settings, "foundation")
    answer = session.client("dynamodb").describe_kinesis_streaming_destination(TableName=ITEMS.source_table)
    active = [
        d["StreamArn"] for d in answer["KinesisDataStreamDestinations"] if d["DestinationStatus"] == "ACTIVE"
    ]
    assert active == [foundation["KinesisStreamArn"]]


@pytest.mark.thorough
def test_what_the_old_path_had_not_read_yet_is_not_lost(
    session: boto3.Session, local_aws: Status, make: Callable[[Settings, Contract], None]
) -> None:
    settings = settings_of("backlog", "dynamodb")
    contract = replace(ITEMS, source_table="backlog-source")
    make(settings, contract)

    def put_faults(*rules: dict[str, str]) -> None:
        url, body = f"{local_aws.endpoint}/_local_aws/faults", json.dumps(rules).encode()
        urllib.request.urlopen(urllib.request.Request(url, body, method="PUT")).close()

    def write(*ids: str) -> None:
        for id_ in ids:
            item = {"id": {"S": id_}, "n": {"N": "0"}}
            session.client("dynamodb").put_item(TableName=contract.source_table, Item=item)

    try:
        put_faults({"service": "lambda", "kind": "error", "function": "backlog-forwarder"})
        write("before-1", "before-2")
        deploy.deploy_firehose(session, replace(settings, stream_type="kinesis"), contract, buffer_seconds=1)
        write("after")
        eventually(lambda: set(scan(session, settings, contract.log_name)["id"]) == {"after"})
    finally:
        put_faults()
    everything = {"before-1", "before-2", "after"}
    eventually(lambda: set(scan(session, settings, contract.log_name)["id"]) == everything)


def test_changing_nothing_changes_nothing(session: boto3.Session) -> None:
    settings = replace(SWITCHED, stream_type="kinesis")
    before = deploy.stack_parameters(session, "switched-delivery")
    resources = deploy.deploy_firehose(session, settings, ITEMS, buffer_seconds=1)
    assert resources["seconds"].sum() == 0
    assert deploy.stack_parameters(session, "switched-delivery") == before


def test_the_doctor_looks_at_the_pattern_that_is_deployed(session: boto3.Session) -> None:
    settings = replace(SWITCHED, stream_type="kinesis", root=ROOT)
    report = doctor(session, settings).set_index("check")
    checks = ["change stream", "stream type", "delivery", "event sources", "parked changes"]
    assert report.loc[checks, "ok"].all(), report.to_string()
    assert "Kinesis destination ACTIVE" in report.loc["change stream", "found"]
    assert report.loc["delivery", "found"] == "2 delivery streams ACTIVE"
    report = doctor(session, replace(settings, stream_type="dynamodb")).set_index("check")
    assert report.loc["stream type", "found"] == "kinesis deployed, dynamodb set"
    assert "switches to" in report.loc["stream type", "fix"]
