"""A small pipeline for each module that asks for one: a DynamoDB table, its delivery, its Iceberg tables."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import pytest
from pyiceberg.table import Table
from tests.conftest import NOWHERE

from dynaberg import catalog, deploy, layers
from dynaberg.contracts import Column, Contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.settings import Settings
from local_aws import Status

TYPES = {
    "id": "string",
    "at": "long",
    "status": "string",
    "amount": "decimal(12,2)",
    "day": "date",
    "seen": "timestamptz",
    "active": "boolean",
    "ratio": "double",
    "raw": "binary",
    "tags": "list<string>",
    "prices": "map<string,decimal(10,2)>",
    "place": "struct<city: string, zip: int>",
    "anything": "json",
}

# What a stack's name says after the project's: of which source it is, and which part.
PART = re.compile(r"--.*|-[^-]*$")
# The pipeline of all tests that only read.
SHARED = "story"
ROOT = Path(__file__).resolve().parents[2]
HAS_LOCAL_AWS = all(find_spec(name) for name in ("cfnlint", "duckdb", "orjson"))
LOOKS_INSIDE = re.compile(
    r"^(?:from|import) (?:cfnlint|duckdb|local_aws\.(?:athena|firehose|s3tables))", re.MULTILINE
)
BORROWS = re.compile(r"^from (tests\.integration\.\S+) import", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what looks inside the local AWS where its packages are missing, as in Studio's images."""
    return None if HAS_LOCAL_AWS or not looks_inside(collection_path) else True


@cache
def looks_inside(path: Path) -> bool:
    if path.suffix != ".py":
        return path.name == "local_aws"
    text = path.read_text(encoding="utf-8")
    borrowed = (Path(*name.split(".")).with_suffix(".py") for name in BORROWS.findall(text))
    return bool(LOOKS_INSIDE.search(text)) or any(looks_inside(ROOT / other) for other in borrowed)


@dataclass(frozen=True)
class Pipeline:
    """What a test drives."""

    session: boto3.Session
    settings: Settings
    contract: Contract

    def load(self, name: str) -> Table:
        return catalog.load_table(catalog.open_catalog(self.session, self.settings), self.settings, name)

    def write(self, *items: Mapping[str, Any]) -> None:
        """Put items, given as DynamoDB JSON, into the source table."""
        dynamodb = self.session.client("dynamodb")
        for item in items:
            dynamodb.put_item(TableName=self.contract.source_table, Item=dict(item))

    def send(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Hand change rows to the delivery stream, and wait until they are in the log."""
        stream = deploy.outputs(self.session, self.settings, "delivery")["DeliveryStreamName"]
        records = [{"Data": json.dumps(row).encode()} for row in rows]
        before = self.log_records()
        self.session.client("firehose").put_record_batch(DeliveryStreamName=stream, Records=records)
        self.wait_for_log(before + len(records))

    def log_records(self) -> int:
        return total_records(self.load(self.contract.log_name))

    def wait_for_log(self, records: int) -> None:
        """Wait until the log has so many rows; only its metadata is read again and again."""
        log, deadline = self.load(self.contract.log_name), time.monotonic() + 60
        while (arrived := total_records(log.refresh())) < records:
            assert time.monotonic() < deadline, f"{arrived} of {records} arrived"
            time.sleep(0.05)


def total_records(table: Table) -> int:
    """How many rows a table has, by its current snapshot."""
    snapshot = table.current_snapshot()
    return int(snapshot.summary["total-records"] or 0) if snapshot and snapshot.summary else 0


class Watched:
    """A column of a table that others write to; its rows are read again only after a commit."""

    def __init__(self, table: Table, column: str) -> None:
        self._table, self._column = table, column
        self._snapshot_id: int | None = None
        self._values: list[Any] = []

    def values(self, at_least: int = 0) -> list[Any]:
        """One value for each row; none while there are not so many rows."""
        if total_records(self._table.refresh()) < at_least:
            return []
        snapshot = self._table.current_snapshot()
        if snapshot is not None and snapshot.snapshot_id != self._snapshot_id:
            rows = self._table.scan(selected_fields=(self._column,)).to_arrow()
            self._snapshot_id, self._values = snapshot.snapshot_id, rows[self._column].to_pylist()
        return self._values


def create_source(name: str, **key: str) -> None:
    """Create a DynamoDB table of somebody else, by the names and types of its key attributes."""
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": a, "KeyType": t} for a, t in zip(key, ("HASH", "RANGE"), strict=False)],
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": t} for a, t in key.items()],
        BillingMode="PAY_PER_REQUEST",
    )


class Session(boto3.Session):
    """Keeps the clients that are asked for by name alone: making one takes as long as ten calls."""

    def client(self, service_name: str, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        """A client, kept unless it is a special one."""
        if arguments or options:
            return super().client(service_name, *arguments, **options)  # type: ignore[call-overload]
        kept = vars(self).setdefault("kept", {})
        if service_name not in kept:
            kept[service_name] = super().client(service_name)  # type: ignore[call-overload]
        return kept[service_name]


def deployed() -> dict[str, str]:
    """The project of each stack that the shared local AWS has or had, by the stack's identifier."""
    if os.environ["AWS_ENDPOINT_URL"] == NOWHERE:
        return {}
    pages = boto3.client("cloudformation").get_paginator("list_stacks").paginate()
    stacks = [stack for page in pages for stack in page["StackSummaries"]]
    return {each["StackId"]: PART.sub("", each["StackName"]) for each in stacks}


@pytest.fixture(scope="module", autouse=True)
def own_names(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No two files deploy a project of one name: either would find what the other one left."""
    before = deployed()
    yield
    folder = tmp_path_factory.getbasetemp()
    claims = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "names"
    claims.mkdir(exist_ok=True)
    for name in {name for stack, name in deployed().items() if stack not in before} - {SHARED}:
        with suppress(FileExistsError), (claims / name).open("x", encoding="utf-8") as claim:
            claim.write(str(request.path))
        owner = (claims / name).read_text(encoding="utf-8")
        assert owner == str(request.path), f"{owner} deploys a project {name!r}, too"


@cache
def session_of(endpoint: str) -> Session:
    """The session of all pipelines on one local AWS; some tests point the environment at one of their own.

    The library, too, keeps the clients of a session.
    """
    return Session()


@pytest.fixture(scope="session")
def make_pipeline(local_aws: Status, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pipeline]:
    """Deploys a pipeline under a name of its own, for a contract of its own or one with every type.

    Where nothing is delivered, a test does without a forwarder and a Firehose stream.
    """

    def make(name: str, contract: Contract | None = None, *, is_delivered: bool = True) -> Pipeline:
        session = session_of(os.environ["AWS_ENDPOINT_URL"])
        names = {"name": name, "table_name": "transactions", "namespace": name}
        root: Path = tmp_path_factory.mktemp(name)
        (root / "data" / "sql" / "curated").mkdir(parents=True)
        settings = Settings(table_bucket_name=f"{name}-tables", bucket_name=name, root=root, **names)
        columns = tuple(Column(column, type_) for column, type_ in TYPES.items())
        masked = Column("card", "string", mask="hash")
        contract = contract or Contract("transactions", f"{name}-source", "id", "at", (*columns, masked))
        deploy.enable_cdc(session, settings, contract)
        layers.create_tables(session, settings, contract)
        if is_delivered:
            deploy.deploy_firehose(session, settings, contract, buffer_seconds=0)
        return Pipeline(session, settings, contract)

    return make


@dataclass(frozen=True)
class Story:
    """A pipeline with a past: forty items, of which some changed and some went between two refreshes.

    Attributes:
        pipeline: The pipeline, delivered and refreshed.
        began: Before the first write.
        first: Snapshot of the current table after the first refresh.
        between: A moment between the two refreshes.
        second: Snapshot of the current table after the second refresh.
    """

    pipeline: Pipeline
    began: datetime
    first: int
    between: datetime
    second: int


def item(number: int, **attributes: Any) -> dict[str, Any]:
    """An item with an attribute of every type, as DynamoDB JSON."""
    return {
        "id": {"S": f"item-{number:02d}"},
        "at": {"N": str(number)},
        "status": {"S": "open"},
        "amount": {"N": f"{number}.10"},
        "day": {"S": "2026-01-31"},
        "seen": {"S": "2026-01-31T12:00:00.000001+02:00"},
        "active": {"BOOL": number % 2 == 0},
        "ratio": {"N": "0.1"},
        "raw": {"B": b"\x00\xff"},
        "tags": {"SS": ["y", "x"]},
        "prices": {"M": {"b": {"N": "0.10"}, "a": {"N": "2"}}},
        "place": {"M": {"city": {"S": "Bern"}, "zip": {"N": "3000"}}},
        "anything": {"M": {"n": {"N": "1.5"}, "l": {"L": [{"NULL": True}]}}},
        "card": {"S": "4111111111111111"},
        **attributes,
    }


@pytest.fixture(scope="session")
def story(make_pipeline: Callable[[str], Pipeline]) -> Story:
    """The pipeline that the tests of reading share; none of them may change it."""
    pipeline = make_pipeline(SHARED)
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    began = datetime.now(UTC)

    def deliver() -> int:
        wait_for_delivery(session, settings, contract, progress=False)
        return int(layers.refresh(session, settings, contract)["snapshot_id"].iloc[0])

    pipeline.write(*(item(number) for number in range(40)))
    first = deliver()
    between = datetime.now(UTC)
    pipeline.write(
        item(1, status={"S": "closed"}, amount={"N": "100"}),
        item(2, prices={"M": {"a": {"N": "3"}}}, extra={"N": "12.30"}, place={"NULL": True}),
    )
    dynamodb = session.client("dynamodb")
    for number in (3, 4):
        key = {"id": {"S": f"item-{number:02d}"}, "at": {"N": str(number)}}
        dynamodb.delete_item(TableName=contract.source_table, Key=key)
    pipeline.write(item(50))
    return Story(pipeline, began, first, between, deliver())
