"""What `seams.dynamodb` relies on in ministack's DynamoDB, and that streams answer as ministack's own do."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import RFC_4122, UUID

import orjson
import pytest
from ministack.core.persistence import _json_default, _json_object_hook
from ministack.services import dynamodb

from local_aws.seams import dynamodb as dynamodb_seam
from local_aws.seams.dynamodb import TableStream
from local_aws.streams import record_log
from local_aws.streams.stream_log import StreamLog, StreamRecord

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/2026-01-01T00:00:00.000"
TABLE = {"TableArn": "arn", "LatestStreamArn": ARN, "pk_name": "id", "sk_name": None}


def change(number: int, created_at: float | None = None) -> dict[str, Any]:
    moment = int(time.time() if created_at is None else created_at)
    return {
        "n": number,
        "dynamodb": {"ApproximateCreationDateTime": moment, "SequenceNumber": f"{number:030d}"},
    }


def numbers(records: list[StreamRecord]) -> list[int]:
    return [orjson.loads(record.body)["n"] for record in records]


def write(*records: dict[str, Any]) -> None:
    """Put records on the stream of a table as ministack does."""
    if "orders" not in dynamodb._stream_records:
        dynamodb._stream_records["orders"] = []
    for record in records:
        dynamodb._stream_records["orders"].append(record)


def test_a_stream_is_read_by_position_past_what_has_expired() -> None:
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb._tables.set_scoped(ACCOUNT, REGION, "orders", {"LatestStreamArn": ARN})
    write(change(0, created_at=time.time() - 90_000), *map(change, range(1, 6)))
    stream = TableStream(ARN)
    records = stream.read(0, 2)
    assert ([record.position for record in records], numbers(records), stream.end()) == ([1, 2], [1, 2], 6)
    assert numbers(stream.read(4, 10)) == [4, 5]
    assert [record["n"] for record in dynamodb.stream_records_since("orders", 3, 2)] == [3, 4]


def test_a_stream_that_was_switched_off_is_still_read() -> None:
    dynamodb_seam.hold_stream_records_as_json()
    write(change(0), change(1))
    table = {"LatestStreamArn": ARN, "StreamSpecification": {"StreamEnabled": True}}
    dynamodb.drop_stream_records("orders", table)
    assert numbers(TableStream(ARN).read(1, 10)) == [1]
    assert dynamodb.closed_stream(ARN)["records"][0]["n"] == 0
    assert TableStream(ARN.replace("2026", "2025")).read(0, 10) == []


def test_the_records_of_streams_are_saved_and_restored_with_the_tables() -> None:
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb_seam.save_stream_records()
    write(change(1), change(2))
    dynamodb._stream_trimmed.set_scoped(ACCOUNT, REGION, "orders", 7)
    dynamodb._stream_seq_counter = 42
    saved = json.loads(json.dumps(dynamodb.get_state(), default=_json_default), object_hook=_json_object_hook)
    assert "tables" in saved
    dynamodb._stream_records.clear()
    dynamodb._stream_trimmed.clear()
    dynamodb._stream_seq_counter = 0
    dynamodb.load_persisted_state(saved)
    dynamodb._tables.set_scoped(ACCOUNT, REGION, "orders", {"LatestStreamArn": ARN})
    assert numbers(TableStream(ARN).read(7, 10)) == [1, 2]
    assert dynamodb._stream_seq_counter == 42


@pytest.mark.parametrize("count", [5, 20])
def test_what_a_stream_has_let_go_of_is_not_saved(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(record_log, "BLOCK_RECORDS", 4)
    monkeypatch.setattr(record_log, "RECENT_RECORDS", 8)
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb_seam.save_stream_records()
    now = time.time()
    write(*(change(number, now - 86_400 if number < 3 else now) for number in range(count)))
    for _ in range(2):
        state = dynamodb.get_state()
        assert state["stream_trimmed"][0][-1] == 3
        log = StreamLog().restore(state["stream_records"][0][-1])
        bodies = [held.body for block in log._blocks for held in block.records()]
        bodies += [held.body for held in log._recent]
        assert [orjson.loads(body)["n"] for body in bodies if body] == [*range(3, count)]
        assert [record["n"] for record in log] == [*range(3, count)]


def test_the_tables_are_saved_without_a_copy_and_without_their_indexes() -> None:
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb_seam.save_stream_records()
    items = {"a": {"1": {"id": {"S": "a"}}}}
    dynamodb._tables.set_scoped(ACCOUNT, REGION, "orders", {"items": items, dynamodb._INDEX_MEMBERS: {}})
    saved = dynamodb.get_state()["tables"].get_scoped(ACCOUNT, REGION, "orders")
    assert saved == {"items": items}
    assert saved["items"] is items
    assert dynamodb._tables.get_scoped(ACCOUNT, REGION, "orders")["items"] is items


def test_a_state_that_was_saved_without_records_is_restored() -> None:
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb_seam.save_stream_records()
    dynamodb.load_persisted_state({})
    assert not dynamodb._stream_records.has_any()


def test_items_share_what_is_equal_in_them_and_change_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(operation: str, **data: Any) -> Any:
        status, _, body = getattr(dynamodb, operation)({"TableName": "orders"} | data)
        assert status == 200, body
        return json.loads(body)

    monkeypatch.setattr(dynamodb_seam, "SHARED_VALUES", 5)
    dynamodb_seam.share_equal_values()
    call(
        "_create_table",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    items = [
        {
            "id": {"S": f"{number}"},
            "status": {"S": "open"},
            "twin": {"S": "open"},
            "count": {"N": "1"},
            "nested": {"M": {"status": {"S": "open"}}},
            "tags": {"SS": ["open"]},
        }
        for number in range(9)
    ]
    for item in items:
        call("_put_item", Item=json.loads(json.dumps(item)))
    held = [dynamodb._tables["orders"]["items"][item["id"]["S"]]["__no_sort__"] for item in items]
    assert held[0]["status"] is held[1]["twin"]
    assert held[0]["nested"] is not held[1]["nested"]
    call(
        "_update_item",
        Key={"id": {"S": "1"}},
        UpdateExpression="SET #s = :closed, nested.#s = :closed ADD #c :one, tags :more",
        ExpressionAttributeNames={"#s": "status", "#c": "count"},
        ExpressionAttributeValues={":closed": {"S": "closed"}, ":one": {"N": "1"}, ":more": {"SS": ["x"]}},
    )
    items[1] |= {"status": {"S": "closed"}, "count": {"N": "2"}, "tags": {"SS": ["open", "x"]}}
    items[1]["nested"] = {"M": {"status": {"S": "closed"}}}
    found = [call("_get_item", Key={"id": item["id"]})["Item"] for item in items]
    for item in found:
        item["tags"]["SS"].sort()
    assert found == items


def test_ids_of_events_are_random_uuids() -> None:
    dynamodb_seam.make_event_ids_cheaply()
    made = {
        UUID(dynamodb._build_change_record(TABLE, "INSERT", None, {}, "NEW_IMAGE")["eventID"])
        for _ in range(9)
    }
    assert (len(made), {each.version for each in made}, {each.variant for each in made}) == (
        9,
        {4},
        {RFC_4122},
    )
