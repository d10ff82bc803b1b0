"""Tombstones as their object has them, and what a file of an export brings in of a forgotten item."""

from __future__ import annotations

import gzip
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg.erasure.stores import without
from dynaberg.functions.export_files import ExportFile
from dynaberg.functions.handlers import forwarder
from dynaberg.functions.routing import Router
from dynaberg.functions.snapshots import PlainItems
from dynaberg.functions.tombstones import Tombstones, object_key

CONTRACT = {
    "table": "orders",
    "source_table": "orders-source",
    "key": ["id"],
    "columns": [{"name": "id", "type": "string", "mask": None}],
}


class Store:
    """Objects of one bucket."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[request["Key"]]), "ETag": '"1"'}

    def put_object(self, **request: Any) -> None:
        self.objects[request["Key"]] = request["Body"]


def test_they_are_read_as_they_were_written() -> None:
    store = Store()
    first = Tombstones.load(store, "errors", "orders-source")
    assert (first.etag, first.of_contracts(CONTRACT).any) == ("", False)
    digest = first.digest(["gone"], ["string"])
    first.entries[digest] = {"until_us": 5, "live": False}
    store.objects[object_key("orders-source")] = first.to_body()
    again = Tombstones.load(store, "errors", "orders-source")
    assert again.etag == '"1"'
    assert again.digest(["gone"], ["string"]) == digest
    assert again.of_contracts(CONTRACT)("orders_changes", b'{"id":"gone","changed_at":5}')
    other = Tombstones.load(Store(), "errors", "orders-source")
    assert other.digest(["gone"], ["string"]) != digest, "the salt is each project's own"


def test_another_error_than_a_missing_object_is_no_freedom() -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    with pytest.raises(ClientError):
        Tombstones.load(SimpleNamespace(get_object=refuse), "errors", "orders-source")


@pytest.mark.parametrize("row", [b"{}", b"[]", b"7", b'{"id":null}', b'{"id":"other","changed_at":1}'])
def test_what_is_no_row_of_it_is_let_through(row: bytes) -> None:
    tombstones = Tombstones({"salt": "00", "entries": {}})
    tombstones.entries[tombstones.digest(["gone"], ["string"])] = {"until_us": 5, "live": True}
    assert not tombstones.of_contracts(CONTRACT)("orders_changes", row)


def test_an_export_does_not_bring_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    store, sent = Store(), list[bytes]()
    lines = [json.dumps({"Item": {"id": {"S": name}}}) for name in ("gone", "here")]
    store.objects["data/1.json.gz"] = gzip.compress("\n".join(lines).encode())
    tombstones = Tombstones({"salt": "00", "entries": {}})
    entry = {"until_us": 1_700_000_001_000_000, "live": False}
    tombstones.entries[tombstones.digest(["gone"], ["string"])] = entry
    store.objects[object_key("orders-source")] = tombstones.to_body()
    monkeypatch.setenv("ERROR_BUCKET_NAME", "errors")
    monkeypatch.setattr(forwarder, "client", lambda name: store)
    monkeypatch.setattr(forwarder, "contracts", lambda: CONTRACT)
    monkeypatch.setattr(forwarder, "router", lambda: Router(CONTRACT))
    monkeypatch.setattr(forwarder, "plain_items", lambda *of: PlainItems(CONTRACT, *of))

    def deliver(log_name: str, rows: list[bytes], context: Any) -> Any:
        sent.extend(rows)
        return SimpleNamespace(refused=(), retried=0)

    monkeypatch.setattr(forwarder, "_deliver", deliver)
    file = ExportFile("errors", "data/1.json.gz", "", 2, "p.json", "orders-source", ("id",), 1_700_000_000)
    context = SimpleNamespace(invoked_function_arn="arn", get_remaining_time_in_millis=lambda: 900_000)
    forwarder._convert_export({"body": file.to_body()}, context)
    assert [json.loads(row)["id"] for row in sent] == ["here"]
    progress = json.loads(store.objects["p.json"])
    assert (progress["lines"], progress["unfit"], progress["done"]) == (2, 1, True)


def test_a_file_of_an_export_is_looked_into() -> None:
    body = gzip.compress(b'{"Item":{"id":{"S":"gone"}}}\n{"Item":{"id":{"S":"here"}}}\n')
    found, rest = without(body, lambda record: record["dynamodb"]["Keys"]["id"]["S"] == "gone")  # type: ignore[arg-type]
    assert found == {"export"}
    assert rest == body
