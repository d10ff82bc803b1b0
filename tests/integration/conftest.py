"""A small pipeline for each module that asks for one: a DynamoDB table, its delivery, its Iceberg tables."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from pyiceberg.table import Table

from dynaberg import catalog, deploy, layers
from dynaberg.contract import Column, Contract
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
        deadline = time.monotonic() + 30
        while self.log_records() < before + len(records):
            assert time.monotonic() < deadline, f"{self.log_records() - before} of {len(records)} arrived"
            time.sleep(0.05)

    def log_records(self) -> int:
        snapshot = self.load(self.contract.log_name).current_snapshot()
        return int(snapshot.summary["total-records"] or 0) if snapshot and snapshot.summary else 0


@pytest.fixture(scope="session")
def make_pipeline(local_aws: Status, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pipeline]:
    """Deploys a pipeline under a name of its own."""

    def make(name: str) -> Pipeline:
        session = boto3.Session()
        names = {"name": name, "table_name": "transactions", "namespace": name}
        root: Path = tmp_path_factory.mktemp(name)
        (root / "data" / "sql" / "curated").mkdir(parents=True)
        settings = Settings(table_bucket_name=f"{name}-tables", bucket_name=name, root=root, **names)
        columns = tuple(Column(column, type_) for column, type_ in TYPES.items())
        masked = Column("card", "string", mask="hash")
        contract = Contract("transactions", f"{name}-source", "id", "at", (*columns, masked))
        deploy.enable_cdc(session, settings, contract)
        layers.create_tables(session, settings, contract)
        deploy.deploy_firehose(session, settings, contract, buffer_seconds=1)
        return Pipeline(session, settings, contract)

    return make
