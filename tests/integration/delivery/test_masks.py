"""Planted secrets: in every place and type that a mask names, and in no store behind the source table."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from pyarrow import parquet
from pyiceberg.avro.file import AvroFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from tests.integration.conftest import Pipeline
from tests.integration.schedule.conftest import Scheduled

from dynaberg import catalog, deploy, html_tables, layers, plots
from dynaberg.contracts import Column, Contract
from dynaberg.contracts.conditions import Condition
from dynaberg.contracts.mask_paths import read_path_masks
from dynaberg.contracts.project import of_one_source
from dynaberg.delivery import (
    backfill,
    failures,
    queue_depths,
    replay_errors,
    wait_for_delivery,
    wait_for_failures,
)
from dynaberg.errors import ContractError
from dynaberg.functions.packing import is_packed, pack
from dynaberg.masks import detokenise, mask_key
from dynaberg.proof import reconcile
from dynaberg.settings import Settings
from dynaberg.sql import query
from dynaberg.workbench import Workbench
from local_aws import Status

pytestmark = pytest.mark.thorough

MASKS = {
    "address.phone": "hash",
    "nowhere": "tokenise",
    "contacts.mail": "hash",
    "deep.a.b": "null",
    "gone": "drop",
    "passport": "last4",
}
COLUMNS = (
    Column("id", "string"),
    Column("card", "string", mask="hash"),
    Column("mail", "string", mask="tokenise"),
    Column("iban", "string", mask="last4"),
    Column("born", "date", mask="year"),
    Column("salary", "decimal(12,2)", mask="null"),
    Column("blob", "binary", mask="drop"),
    Column("address", "struct<phone: string, city: string>"),
    Column("contacts", "json"),
    Column("amount", "decimal(12,2)"),
)


def secret(name: str) -> str:
    return f"PLANTED-{name}-5f3c9a71"


def item(number: int, **attributes: Any) -> dict[str, Any]:
    """An item with a secret in every place and of every type."""
    return {
        "id": {"S": f"item-{number}"},
        "kind": {"S": "person"},
        "card": {"S": secret("card")},
        "mail": {"S": secret("mail")},
        "iban": {"S": secret("iban")},
        "born": {"S": "1815-12-10"},
        "salary": {"N": "91827364.55"},
        "blob": {"B": secret("blob").encode()},
        "address": {"M": {"phone": {"S": secret("phone")}, "city": {"S": "Bern"}}},
        "nowhere": {"M": {"x": {"L": [{"S": secret("nested")}, {"SS": [secret("set")]}]}}},
        "contacts": {"L": [{"M": {"mail": {"S": secret("listed")}}}]},
        "deep": {"M": {"a": {"M": {"b": {"N": "5647382910"}}}}},
        "gone": {"S": secret("gone")},
        "passport": {"S": secret("passport")},
        "amount": {"N": str(number)},
        **attributes,
    }


SECRETS = [
    *map(secret, ("card", "mail", "iban", "blob", "phone", "nested", "set", "listed", "gone", "passport")),
    *("1815-12-10", "91827364", "5647382910", "UExBTlRFRC"),  # the last one is PLANTED- in base64
]
LARGE = {"padding": {"S": "\x01" * 75_000}}
"""An attribute that makes the row of a change so large that its images are packed."""


def deployed(stream_type: str, root: Path) -> Pipeline:
    """A pipeline of two change logs, the one of people and the one of the rest; each pattern has its own."""
    name = {"dynamodb": "masked-one", "kinesis": "masked-two"}[stream_type]
    (root / "data" / "sql" / "curated").mkdir(parents=True)
    settings = Settings(
        name=name,
        table_name="transactions",
        namespace=name.replace("-", "_"),
        table_bucket_name=f"{name}-tables",
        bucket_name=name,
        stream_type=stream_type,
        root=root,
    )
    people = Contract(
        "transactions",
        f"{name}-source",
        "id",
        None,
        COLUMNS,
        tuple(read_path_masks(MASKS)),
        (Condition("kind", "equals", "person"),),
    )
    session, contract = boto3.Session(), of_one_source([people])[0]
    deploy.enable_cdc(session, settings, contract)
    layers.create_tables(session, settings, contract)
    deploy.deploy_firehose(
        session, settings, contract, buffer_seconds=1, redrive_attempts=1, redrive_seconds=1
    )
    return Pipeline(session, settings, contract)


def fault(local_aws: Status, *rules: dict[str, Any]) -> None:
    """Put rules for failing; without any, end them."""
    request = urllib.request.Request(
        f"{local_aws.endpoint}/_local_aws/faults", json.dumps(rules).encode(), method="PUT"
    )
    urllib.request.urlopen(request).close()


def parked(pipeline: Pipeline) -> int:
    depths = queue_depths(pipeline.session, pipeline.settings).set_index("queue")
    return int(depths.loc["parked queue", "waiting"])


def park(pipeline: Pipeline, local_aws: Status) -> None:
    """A change whose row Firehose refuses until the redrive parks it."""
    fault(local_aws, {"service": "firehose", "kind": "throttle"})
    pipeline.write(item(9))
    deadline = time.monotonic() + 120
    while not parked(pipeline):
        assert time.monotonic() < deadline, "nothing was parked"
        time.sleep(0.2)
    fault(local_aws)


def run_schedule(pipeline: Pipeline) -> None:
    """A run of a schedule, which leaves a record."""
    scheduled = Scheduled(pipeline)
    scheduled.deploy()
    assert scheduled.run() == "SUCCEEDED"
    assert set(scheduled.last()) >= {"transactions", "by_card"}


@pytest.fixture(scope="module", params=["dynamodb", "kinesis"])
def delivered(
    request: pytest.FixtureRequest, local_aws: Status, tmp_path_factory: pytest.TempPathFactory
) -> Pipeline:
    """Secrets on every way: written, removed, packed, failed, parked, backfilled, queried, built."""
    pipeline = deployed(request.param, tmp_path_factory.mktemp("masked"))
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    (settings.root / "data" / "sql" / "curated" / "by_card.sql").write_text(
        "-- check: rows > 0\nSELECT card, mail, address, count(*) AS items FROM transactions GROUP BY 1, 2, 3"
    )
    pipeline.write(*(item(n) for n in range(3)), item(5, **LARGE), item(6, kind={"S": "a dog"}))
    pipeline.write(item(1, amount={"N": "7"}), item(5, amount={"N": "8"}, **LARGE))
    key = {"id": {"S": "item-2"}}
    session.client("dynamodb").delete_item(TableName=contract.source_table, Key=key)
    wait_for_delivery(session, settings, contract, progress=False)
    pipeline.write(item(8, amount={"S": "a lot"}))
    wait_for_failures(session, settings, contract, 1)
    if request.param == "dynamodb":
        park(pipeline, local_aws)
    backfill(session, settings, contract, progress=False)
    if request.param == "dynamodb":
        run_schedule(pipeline)
    layers.refresh(session, settings, contract)
    wb = Workbench(settings, session, contract)
    wb.build()
    for table in (contract.log_name, contract.table, "by_card"):
        query(session, settings, f'SELECT * FROM "{table}"')
    return pipeline


def texts(content: bytes, depth: int = 3) -> Iterator[bytes]:
    """An object as it is, as what it is compressed from, and what is encoded or packed inside of it."""
    yield content
    plain = content
    if content[:4] == b"PAR1":
        plain = repr(parquet.read_table(io.BytesIO(content)).to_pylist()).encode()
    elif content[:3] == b"Obj":
        with tempfile.NamedTemporaryFile(suffix=".avro") as file:
            file.write(content)
            file.flush()
            with AvroFile[Any](PyArrowFileIO().new_input(file.name)) as records:
                plain = repr([vars(record) for record in records]).encode()
    elif content[:2] == b"\x1f\x8b":
        plain = gzip.decompress(content)
    yield plain
    for encoded in BASE64.findall(plain) if depth else ():
        with suppress(ValueError, EOFError, OSError):
            yield from texts(base64.b64decode(encoded), depth - 1)


def objects(pipeline: Any) -> Iterator[tuple[str, bytes]]:
    """Every object of every bucket, those of the tables too, and every message and log line."""
    session, settings = pipeline.session, pipeline.settings
    s3 = session.client("s3")
    tables = catalog.open_catalog(session, settings)
    locations = [pipeline.load(name).location() for name in catalog.table_names(tables, settings)]
    buckets = {location.removeprefix("s3://").partition("/")[0] for location in locations}
    named = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    buckets |= {name for name in named if name.startswith(settings.name)}
    for bucket in buckets:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for each in page.get("Contents", []):
                yield f"{bucket}/{each['Key']}", s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()


def messages(pipeline: Any) -> Iterator[tuple[str, bytes]]:
    session, settings = pipeline.session, pipeline.settings
    outputs = deploy.outputs(session, settings, "delivery")
    for name in ("DeadLetterQueueUrl", "ParkedQueueUrl"):
        if name in outputs:
            found = session.client("sqs").receive_message(
                QueueUrl=outputs[name], MaxNumberOfMessages=10, VisibilityTimeout=0
            )
            yield name, json.dumps(found).encode()
    logs = session.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        if settings.name in group["logGroupName"]:
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                yield group["logGroupName"], json.dumps(page["events"]).encode()


BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
# What DynamoDB and its stream keep is the source itself.
SOURCE = ("dynamodb", "streams", "stream-log", "shards", "kinesis")


def state_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The local AWS's own files, without those of the source table."""
    for path in folder.rglob("*"):
        inside = str(path.relative_to(folder))
        if path.is_file() and not any(part in inside for part in SOURCE):
            yield inside, path.read_bytes()


def found_in(stores: Iterator[tuple[str, bytes]]) -> tuple[set[tuple[str, str]], int]:
    """Where a secret was found, and how many places were searched."""
    hits, places = set(), 0
    for name, content in stores:
        places += 1
        for text in texts(content):
            hits |= {(name, each) for each in SECRETS if each.encode() in text}
    return hits, places


def test_planted_secrets_are_in_no_store(delivered: Pipeline, local_aws: Status) -> None:
    stores = {
        "objects": (objects(delivered), 20),
        "queues and logs": (messages(delivered), 4),
        "files of the local AWS": (state_files(local_aws.state_dir), 20),
        "the project's folder": (state_files(delivered.settings.root), 1),
    }
    for store, (found, least) in stores.items():
        hits, places = found_in(found)
        assert hits == set(), store
        assert places >= least, store
    failed = failures(delivered.session, delivered.settings, delivered.contract)
    expected = {"error bucket"}
    if delivered.settings.stream_type == "dynamodb":
        expected.add("parked queue")
    assert set(failed["where"]) == expected, "what failed was there to be searched"


def test_the_search_finds_what_is_not_masked(delivered: Pipeline) -> None:
    plain = {"SECRET": secret("card")}
    assert found_in(iter([("x", json.dumps(plain).encode())]))[0]
    packed = gzip.compress(secret("mail").encode())
    assert found_in(iter([("x", packed)]))[0]
    current = delivered.load("transactions").scan().to_arrow().to_pylist()
    assert "Bern" in repr(current), "the search reads what tables hold"
    images = [row[name] for row in log_rows(delivered) for name in ("old_image", "unmapped")]
    assert any(map(is_packed, images)), "something was packed"
    row = json.dumps({"unmapped": pack(json.dumps({"mail": {"S": secret("mail")}}))})
    raw = {"rawData": base64.b64encode(row.encode()).decode()}
    assert found_in(iter([("x", json.dumps(raw).encode())]))[0]


def log_rows(pipeline: Pipeline, name: str = "transactions_changes") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pipeline.load(name).scan().to_arrow().to_pylist()
    return rows


def test_profiles_plots_and_pages_show_no_secret(delivered: Pipeline) -> None:
    session, settings, contract = delivered.session, delivered.settings, delivered.contract
    table = Workbench(settings, session, contract).table()
    profile = table.profile_columns()
    picture = io.BytesIO()
    plots.plot_top_values(profile).figure.savefig(picture, format="svg")
    shown = repr(profile.to_dict()) + picture.getvalue().decode()
    # What notebooks show is in their pages, too.
    frames = [profile, table.item_history({"id": "item-1"}), table.failures(), table.reconcile().df]
    frames += [query(session, settings, f'SELECT * FROM "{name}"').df for name in (contract.table, "by_card")]
    shown += "".join(html_tables.table(frame) + frame.to_string() for frame in frames)
    assert "item-1" in shown
    assert "item-8" in shown
    assert not [each for each in SECRETS if each in shown]


def test_who_holds_the_key_takes_tokens_back(delivered: Pipeline) -> None:
    session, settings, contract = delivered.session, delivered.settings, delivered.contract
    mails = query(session, settings, "SELECT mail FROM transactions").df["mail"]
    assert set(detokenise(session, settings, contract, [*mails, None])) == {secret("mail"), None}
    with pytest.raises(ContractError, match="is not a token"):
        detokenise(session, settings, contract, ["t1:AAAA"])


def test_rows_have_the_same_masks_on_every_way(delivered: Pipeline) -> None:
    rows = log_rows(delivered)
    key = mask_key(delivered.session, delivered.settings, delivered.contract)
    assert key is not None
    hashed = key.hash({"S": secret("card")})["S"]
    assert {row["card"] for row in rows if row["operation"] != "REMOVE"} == {hashed}
    assert {row["operation"] for row in rows} == {"INSERT", "MODIFY", "REMOVE", "SNAPSHOT"}
    assert {str(row["born"]) for row in rows if row["born"]} == {"1815-01-01"}
    docs = {field.name: field.doc for field in delivered.load("transactions").schema().fields}
    assert docs["mail"] == "Masked: tokenise, version 1 of the key."
    rest = log_rows(delivered, delivered.contract.siblings[0].log_name)
    assert {json.loads(row["unmapped"])["card"]["S"] for row in rest} == {hashed}


def test_what_is_masked_reconciles_and_a_failure_is_replayed_masked_once(delivered: Pipeline) -> None:
    session, settings, contract = delivered.session, delivered.settings, delivered.contract
    report = reconcile(session, settings, contract)
    assert [*report.df["id"]] == ["item-8"], report.df.to_string()
    assert {"card", "mail", "born"} <= set(report.not_compared)
    before = delivered.log_records()
    delivered.write(item(8))
    done = replay_errors(session, settings, contract, progress=False)
    assert "failed again" in set(done["outcome"]), "a change that does not fit is kept, masked as it was"
    delivered.wait_for_log(before + 1 + (settings.stream_type == "dynamodb"))
    layers.refresh(session, settings, contract)
    assert reconcile(session, settings, contract, settle_seconds=30).matches
    assert found_in(objects(delivered))[0] == set()


def test_the_functions_may_read_that_secret_and_nothing_else_of_it(delivered: Pipeline) -> None:
    session, settings = delivered.session, delivered.settings
    arn = deploy.outputs(session, settings, "access")["MaskKeyArn"]
    iam = session.client("iam")
    may = []
    for role in iam.list_roles(MaxItems=1000)["Roles"]:
        if role["RoleName"].startswith(f"{settings.name}-access-"):
            for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
                may += [s for s in document["Statement"] if "secretsmanager" in json.dumps(s)]
    expected = 2 if settings.stream_type == "kinesis" else 1
    assert [(s["Action"], s["Resource"]) for s in may] == [("secretsmanager:GetSecretValue", arn)] * expected
