"""What `ministack_gaps` relies on in ministack, and that it is the version this was read in."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import RFC_4122, UUID

import orjson
import pytest
from ministack.core import lambda_runtime, persistence
from ministack.core.persistence import _json_default, _json_object_hook
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import dynamodb, kinesis, lambda_svc, sqs

from local_aws import ministack_gaps
from local_aws.ministack_gaps import KinesisChange, MappingPosition, TableStream
from local_aws.stream_log import StreamRecord

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/2026-01-01T00:00:00.000"
TABLE = {"TableArn": "arn", "LatestStreamArn": ARN, "pk_name": "id", "sk_name": None}
PATCHED = [
    (lambda_svc, "_iter_all_esms"),
    (dynamodb, "get_state"),
    (dynamodb, "load_persisted_state"),
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
    (kinesis, "_expire_records"),
    (kinesis, "put_record_internal"),
]


@pytest.fixture(autouse=True)
def _patches_end_with_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in PATCHED:
        value = getattr(module, name)
        fresh = AccountRegionScopedDict() if isinstance(value, AccountRegionScopedDict) else value
        monkeypatch.setattr(module, name, fresh)


def change(number: int, created_at: float | None = None) -> dict[str, Any]:
    moment = int(time.time() if created_at is None else created_at)
    return {
        "n": number,
        "dynamodb": {"ApproximateCreationDateTime": moment, "SequenceNumber": f"{number:030d}"},
    }


def test_ministack_is_the_version_whose_private_parts_were_read() -> None:
    assert version("ministack") == "1.5.33"


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [
        (lambda_svc, "_iter_all_esms", []),
        (dynamodb, "_fan_out_to_kinesis", ["table_name", "record"]),
        (dynamodb, "_enable_kinesis_streaming_destination", ["data"]),
        (dynamodb, "_disable_kinesis_streaming_destination", ["data"]),
        (dynamodb, "_update_kinesis_streaming_destination", ["data"]),
        (kinesis, "_expire_records", ["stream"]),
        (kinesis, "put_record_internal", ["stream_arn", "partition_key", "data"]),
    ],
)
def test_functions_take_what_is_handed_to_them(module: ModuleType, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(module, name)).parameters) == parameters


@pytest.mark.parametrize("poller", ["_poll_sqs", "_poll_dynamodb_streams"])
def test_the_pollers_ask_for_the_mappings_where_ours_are_left_out(poller: str) -> None:
    assert "_iter_all_esms" in getattr(lambda_svc, poller).__code__.co_names


def test_our_mappings_are_left_out_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def every_mapping() -> Iterator[tuple[str, str, dict[str, str]]]:
        yield ACCOUNT, REGION, {"UUID": "ours"}
        yield ACCOUNT, REGION, {"UUID": "theirs"}

    monkeypatch.setattr(lambda_svc, "_iter_all_esms", every_mapping)
    ministack_gaps.leave_event_sources(lambda mapping: mapping["UUID"] == "ours")
    assert [mapping["UUID"] for _, _, mapping in lambda_svc._iter_all_esms()] == ["theirs"]


def numbers(records: list[StreamRecord]) -> list[int]:
    return [orjson.loads(record.body)["n"] for record in records]


def write(*records: dict[str, Any]) -> None:
    """Put records on the stream of a table as ministack does."""
    if "orders" not in dynamodb._stream_records:
        dynamodb._stream_records["orders"] = []
    for record in records:
        dynamodb._stream_records["orders"].append(record)


def test_a_stream_is_read_by_position_past_what_has_expired() -> None:
    ministack_gaps.hold_stream_records_as_json()
    dynamodb._tables.set_scoped(ACCOUNT, REGION, "orders", {"LatestStreamArn": ARN})
    write(change(0, created_at=time.time() - 90_000), *map(change, range(1, 6)))
    stream = TableStream(ARN)
    records = stream.read(0, 2)
    assert ([record.position for record in records], numbers(records), stream.end()) == ([1, 2], [1, 2], 6)
    assert numbers(stream.read(4, 10)) == [4, 5]
    assert [record["n"] for record in dynamodb.stream_records_since("orders", 3, 2)] == [3, 4]


def test_a_stream_that_was_switched_off_is_still_read() -> None:
    ministack_gaps.hold_stream_records_as_json()
    write(change(0), change(1))
    table = {"LatestStreamArn": ARN, "StreamSpecification": {"StreamEnabled": True}}
    dynamodb.drop_stream_records("orders", table)
    assert numbers(TableStream(ARN).read(1, 10)) == [1]
    assert dynamodb.closed_stream(ARN)["records"][0]["n"] == 0
    assert TableStream(ARN.replace("2026", "2025")).read(0, 10) == []


def test_the_records_of_streams_are_saved_and_restored_with_the_tables() -> None:
    ministack_gaps.hold_stream_records_as_json()
    ministack_gaps.save_stream_records()
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


def test_the_tables_are_saved_without_a_copy_and_without_their_indexes() -> None:
    ministack_gaps.hold_stream_records_as_json()
    ministack_gaps.save_stream_records()
    items = {"a": {"1": {"id": {"S": "a"}}}}
    dynamodb._tables.set_scoped(ACCOUNT, REGION, "orders", {"items": items, dynamodb._INDEX_MEMBERS: {}})
    saved = dynamodb.get_state()["tables"].get_scoped(ACCOUNT, REGION, "orders")
    assert saved == {"items": items}
    assert saved["items"] is items
    assert dynamodb._tables.get_scoped(ACCOUNT, REGION, "orders")["items"] is items


@pytest.mark.parametrize(
    "value",
    [{"a": (1, "Zoë")}, {7: b"bytes"}, {"big": 2**70}, {"half": "\ud800"}, {"nested": {"b": b"\xff"}}],
)
def test_a_state_file_says_what_ministacks_own_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: dict[str, Any]
) -> None:
    monkeypatch.setattr(persistence, "PERSIST_STATE", True)
    monkeypatch.setattr(persistence, "STATE_DIR", str(tmp_path))
    scoped = AccountRegionScopedDict()
    scoped.set_scoped(ACCOUNT, REGION, "orders", value)

    def saved() -> Any:
        persistence.save_state("dynamodb", {"tables": scoped})
        return persistence.load_state("dynamodb")["tables"]._data

    theirs = saved()
    ministack_gaps.write_state_files_quickly()
    (tmp_path / "dynamodb.json").unlink()
    assert saved() == theirs


def test_a_state_that_was_saved_without_records_is_restored() -> None:
    ministack_gaps.hold_stream_records_as_json()
    ministack_gaps.save_stream_records()
    dynamodb.load_persisted_state({})
    assert not dynamodb._stream_records.has_any()


@pytest.mark.parametrize("event", [{"Records": [{"n": 1}]}, {"Records": [{"name": "Zoë"}]}])
def test_an_event_reaches_the_function_as_it_is(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]
) -> None:
    ministack_gaps.hand_on_events_as_they_are()
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:forward:live"
    invoked: list[tuple[str, str]] = []

    async def invoke(name: str, event: Any, headers: Any, path_qualifier: str) -> tuple[int, Any, bytes]:
        invoked.append((name, path_qualifier))
        return 200, {}, lambda_runtime.json.dumps({"event": event, "ctx": {}}).encode()

    assert list(inspect.signature(lambda_svc._invoke).parameters)[:4] == list(
        inspect.signature(invoke).parameters
    )
    monkeypatch.setattr(lambda_svc, "_invoke", invoke)
    response = asyncio.run(ministack_gaps.invoke_function(arn, orjson.dumps(event)))
    assert invoked == [("forward", "live")]
    assert response.json() == {"event": event, "ctx": {}}
    assert response.body.isascii()


def test_ids_of_events_are_random_uuids() -> None:
    ministack_gaps.make_event_ids_cheaply()
    made = {
        UUID(dynamodb._build_change_record(TABLE, "INSERT", None, {}, "NEW_IMAGE")["eventID"])
        for _ in range(9)
    }
    assert (len(made), {each.version for each in made}, {each.variant for each in made}) == (
        9,
        {4},
        {RFC_4122},
    )


def test_a_position_is_kept_where_ministack_saves_it() -> None:
    position = MappingPosition("a-mapping", ACCOUNT, REGION)
    assert position.get() is None
    position.set(12)
    assert lambda_svc.get_state()["dynamodb_stream_positions"].get_scoped(ACCOUNT, REGION, "a-mapping") == 12
    lambda_svc._dynamodb_stream_positions.pop_scoped(ACCOUNT, REGION, "a-mapping")


def test_changes_reach_every_active_kinesis_destination_as_made(monkeypatch: pytest.MonkeyPatch) -> None:
    put: list[tuple[str, str, bytes]] = []
    monkeypatch.setattr(kinesis, "put_record_internal", lambda *record: put.append(record))
    ministack_gaps.send_changes_to_kinesis(
        lambda table_name, record: None if record["n"] == 0 else KinesisChange(table_name, str.encode)
    )
    dynamodb._kinesis_destinations["orders"] = [
        {
            "StreamArn": "a",
            "DestinationStatus": "ACTIVE",
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
        },
        {"StreamArn": "b", "DestinationStatus": "DISABLED"},
        {"StreamArn": "c", "DestinationStatus": "ACTIVE"},
    ]
    for number in (0, 1):
        dynamodb._fan_out_to_kinesis("orders", {"n": number})
    assert put == [("a", "orders", b"MICROSECOND"), ("c", "orders", b"MILLISECOND")]


def test_expired_kinesis_records_go_and_a_put_copies_nothing() -> None:
    ministack_gaps.expire_kinesis_records_cheaply()
    now = time.time()
    records = [{"ApproximateArrivalTimestamp": now - age} for age in (90_000, 86_500, 60, 1)]
    stream = {"RetentionPeriodHours": 24, "shards": {"shard": {"records": records}, "empty": {"records": []}}}
    kinesis._expire_records(stream)
    assert [round(now - record["ApproximateArrivalTimestamp"]) for record in records] == [60, 1]
    assert stream["shards"]["shard"]["records"] is records


def test_the_depth_of_a_queue_is_what_its_messages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "_queues", AccountRegionScopedDict())
    url = sqs._act_create_queue({"QueueName": "letters"}, "")["QueueUrl"]
    for number, delay in enumerate((0, 0, 0, 60)):
        sqs._act_send_message({"QueueUrl": url, "MessageBody": str(number), "DelaySeconds": delay}, "")
    asyncio.run(sqs._act_receive_message({"QueueUrl": url}, ""))
    [depth] = ministack_gaps.queue_depths(REGION)
    assert (depth.name, depth.visible, depth.in_flight, depth.delayed) == ("letters", 2, 1, 1)
    assert 0 < depth.oldest_seconds < 5
    assert ministack_gaps.queue_depths("eu-west-1") == []
