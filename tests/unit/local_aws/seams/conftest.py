"""What the seams put in the place of ministack's own is taken back after a test; a table to try them on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from ministack.core import lambda_runtime, persistence
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import _dynamodb_keywords, cloudwatch, dynamodb, dynamodb_streams, lambda_svc

from local_aws.seams import dynamodb as dynamodb_seam
from local_aws.seams import dynamodb_changes, dynamodb_values

PATCHED = [
    (lambda_svc, "_iter_all_esms"),
    (dynamodb, "get_state"),
    (dynamodb, "load_persisted_state"),
    (dynamodb, "_emit_stream_event"),
    (dynamodb, "_set_item"),
    (dynamodb, "_remove_item"),
    (dynamodb, "_export_table_to_point_in_time"),
    (dynamodb, "_describe_export"),
    (dynamodb, "_execute_transaction"),
    (dynamodb, "_parse_partiql"),
    (dynamodb, "_partiql_insert"),
    (dynamodb, "_partiql_update"),
    (dynamodb, "_partiql_select"),
    (dynamodb, "_scan"),
    (dynamodb, "Decimal"),
    (dynamodb, "_ddb_canonicalize_number"),
    (dynamodb, "_number_error"),
    (dynamodb, "handle_request"),
    (dynamodb, "_ttl_settings"),
    (_dynamodb_keywords, "canonical_number"),
    (dynamodb_streams, "_cap_page_bytes"),
    (dynamodb, "_fan_out_to_kinesis"),
    (dynamodb, "_stream_records"),
    (dynamodb, "_trim_stream_records"),
    (dynamodb, "new_uuid"),
    (lambda_runtime, "json"),
    (persistence, "json"),
    (dynamodb, "_stream_trimmed"),
    (dynamodb, "_stream_seq_counter"),
    (dynamodb, "_closed_streams"),
    (dynamodb, "_tables"),
    (dynamodb, "_kinesis_destinations"),
    (lambda_svc, "handle_request"),
    (lambda_runtime.Worker, "_spawn"),
    (cloudwatch, "_evaluate_all_alarms"),
    (cloudwatch, "_alarms"),
    (cloudwatch, "_metrics"),
]


@pytest.fixture(autouse=True)
def _patches_end_with_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in PATCHED:
        value = getattr(module, name)
        fresh = AccountRegionScopedDict() if isinstance(value, AccountRegionScopedDict) else value
        monkeypatch.setattr(module, name, fresh)


class RefusedError(Exception):
    """DynamoDB answered with an error."""


class Orders:
    """A table of ministack's DynamoDB in this process, called as over the wire."""

    name = "orders"
    refused = RefusedError

    def create(self, sort: str | None = "N", view: str = "NEW_AND_OLD_IMAGES", **settings: Any) -> None:
        """Begin with an empty table with a stream: the key `id`, a text, and `at` of a type."""
        dynamodb._tables.clear()
        dynamodb._stream_records.clear()
        names = [("id", "S", "HASH"), *([("at", sort, "RANGE")] if sort else [])]
        creation = {
            "AttributeDefinitions": [
                {"AttributeName": name, "AttributeType": kind} for name, kind, _ in names
            ],
            "KeySchema": [{"AttributeName": name, "KeyType": role} for name, _, role in names],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": view},
        }
        self.call("CreateTable", **creation | settings)

    def call(self, operation: str, **request: Any) -> Any:
        """Call an operation on the table."""
        general = operation.startswith(("Batch", "Transact", "Execute"))
        body = orjson.dumps(request if general else {"TableName": self.name} | request)
        headers = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
        status, _, answer = asyncio.run(dynamodb.handle_request("POST", "/", headers, body, {}))
        answered = orjson.loads(answer)
        if status >= 400:
            raise RefusedError(f"{answered['__type']}: {answered.get('message')}")
        return answered

    def scan(self) -> list[Mapping[str, Any]]:
        """Every item."""
        items: list[Mapping[str, Any]] = self.call("Scan")["Items"]
        return items

    def records(self) -> list[Mapping[str, Any]]:
        """The records of the stream."""
        return list(dynamodb._stream_records.get(self.name) or ())


@pytest.fixture
def orders() -> Orders:
    """A table, not created yet, with the seams in place as the gateway has them."""
    dynamodb_seam.share_equal_values()
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb_changes.record_every_write()
    dynamodb_values.take_values_by_meaning()
    return Orders()
