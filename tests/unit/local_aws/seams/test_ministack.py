"""What the seams rely on in ministack, and that it is the version that was read."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import RFC_4122, UUID

import orjson
import pytest
from ministack.core import lambda_runtime, persistence
from ministack.core.persistence import _json_default, _json_object_hook
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import dynamodb, lambda_svc, s3, sqs

from local_aws.seams import dynamodb as dynamodb_seam
from local_aws.seams import functions as functions_seam
from local_aws.seams import persistence as persistence_seam
from local_aws.seams import s3 as s3_seam
from local_aws.seams import sqs as sqs_seam
from local_aws.seams.dynamodb import TableStream
from local_aws.seams.functions import MappingPosition
from local_aws.streams.stream_log import StreamRecord

ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders/stream/2026-01-01T00:00:00.000"
TABLE = {"TableArn": "arn", "LatestStreamArn": ARN, "pk_name": "id", "sk_name": None}
PATCHED = [
    (lambda_svc, "_iter_all_esms"),
    (dynamodb, "get_state"),
    (dynamodb, "load_persisted_state"),
    (dynamodb, "_emit_stream_event"),
    (dynamodb, "_set_item"),
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
        (dynamodb, "_emit_stream_event", ["table_name", "event_name", "old_item", "new_item", "replicate"]),
        (dynamodb, "_build_change_record", ["table", "event_name", "old_item", "new_item", "view_type"]),
        (dynamodb, "_set_item", ["table", "pk_val", "sk_val", "item"]),
        (dynamodb, "_replicate_write", ["table", "event_name", "old_item", "new_item"]),
        (dynamodb, "_fan_out_to_kinesis", ["table_name", "record"]),
        (dynamodb, "_enable_kinesis_streaming_destination", ["data"]),
        (dynamodb, "_disable_kinesis_streaming_destination", ["data"]),
        (dynamodb, "_update_kinesis_streaming_destination", ["data"]),
        (lambda_svc, "handle_request", ["method", "path", "headers", "body", "query_params"]),
        (lambda_runtime.Worker, "_spawn", ["self"]),
    ],
)
def test_functions_take_what_is_handed_to_them(module: Any, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(module, name)).parameters) == parameters


@pytest.mark.parametrize("poller", ["_poll_sqs", "_poll_dynamodb_streams"])
def test_the_pollers_ask_for_the_mappings_where_ours_are_left_out(poller: str) -> None:
    assert "_iter_all_esms" in getattr(lambda_svc, poller).__code__.co_names


def test_our_mappings_are_left_out_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def every_mapping() -> Iterator[tuple[str, str, dict[str, str]]]:
        yield ACCOUNT, REGION, {"UUID": "ours"}
        yield ACCOUNT, REGION, {"UUID": "theirs"}

    monkeypatch.setattr(lambda_svc, "_iter_all_esms", every_mapping)
    functions_seam.leave_event_sources(lambda mapping: mapping["UUID"] == "ours")
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
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb._tables.set_scoped(ACCOUNT, REGION, "orders", {"LatestStreamArn": ARN})
    write(change(0, created_at=time.time() - 90_000), *map(change, range(1, 6)))
    stream = TableStream(ARN)
    records = stream.read(0, 2)
    assert ([record.position for record in records], numbers(records), stream.end()) == ([1, 2], [1, 2], 6)
    assert numbers(stream.read(4, 10)) == [4, 5]
    assert [record["n"] for record in dynamodb.stream_records_since("orders", 3, 2)] == [3, 4]


@pytest.mark.parametrize("view", ["NEW_AND_OLD_IMAGES", "KEYS_ONLY"])
def test_changes_reach_both_kinds_of_stream_as_ministack_puts_them(
    monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(dynamodb, "_fan_out_to_kinesis", lambda table_name, record: sent.append(record))
    dynamodb._tables["orders"] = TABLE | {
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}
    }
    dynamodb._kinesis_destinations["orders"] = [{"DestinationStatus": "ACTIVE"}]
    old, new = {"id": {"S": "a"}, "n": {"N": "1"}}, {"id": {"S": "a"}, "n": {"N": "2"}}
    writes = [("INSERT", None, old), ("MODIFY", old, dict(old)), ("MODIFY", old, new), ("REMOVE", new, None)]

    def told() -> list[Any]:
        dynamodb._stream_records["orders"] = []
        sent.clear()
        for write in writes:
            dynamodb._emit_stream_event("orders", *write)
        kept = list(dynamodb._stream_records["orders"])
        assert len({record["eventID"] for record in (*kept, *sent)}) == len(kept) + len(sent)
        return [shape(record) for record in (*kept, *sent)]

    theirs = told()
    nothing_changed = theirs.pop(4)
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb_seam.put_changes_on_streams_quickly()
    assert told() == theirs
    assert nothing_changed == ("MODIFY", {"Keys": {"id": {"S": "a"}}, "OldImage": old, "NewImage": old})


def shape(record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a record says of a change, without what is different each time."""
    images = {n: v for n, v in record["dynamodb"].items() if n in ("Keys", "OldImage", "NewImage")}
    return record["eventName"], images


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


def test_the_tables_are_saved_without_a_copy_and_without_their_indexes() -> None:
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb_seam.save_stream_records()
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
    persistence_seam.write_state_files_quickly()
    (tmp_path / "dynamodb.json").unlink()
    assert saved() == theirs


def test_a_state_that_was_saved_without_records_is_restored() -> None:
    dynamodb_seam.hold_stream_records_as_json()
    dynamodb_seam.save_stream_records()
    dynamodb.load_persisted_state({})
    assert not dynamodb._stream_records.has_any()


@pytest.mark.parametrize("event", [{"Records": [{"n": 1}]}, {"Records": [{"name": "Zoë"}]}])
def test_an_event_reaches_the_function_as_it_is(
    monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]
) -> None:
    functions_seam.hand_on_events_as_they_are()
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:forward:live"
    invoked: list[tuple[str, str]] = []

    async def invoke(name: str, event: Any, headers: Any, path_qualifier: str) -> tuple[int, Any, bytes]:
        invoked.append((name, path_qualifier))
        return 200, {}, lambda_runtime.json.dumps({"event": event, "ctx": {}}).encode()

    assert list(inspect.signature(lambda_svc._invoke).parameters)[:4] == list(
        inspect.signature(invoke).parameters
    )
    monkeypatch.setattr(lambda_svc, "_invoke", invoke)
    response = asyncio.run(functions_seam.invoke_function(arn, orjson.dumps(event)))
    assert invoked == [("forward", "live")]
    assert response.json() == {"event": event, "ctx": {}}
    assert response.body.isascii()


def test_what_a_function_returns_is_not_read_where_its_event_was_not() -> None:
    functions_seam.hand_on_events_as_they_are()
    answer = json.dumps({"status": "ok", "result": {"records": [{"name": "Zoë"}]}})
    runtime = lambda_runtime.json
    runtime.dumps({"event": {"n": 1}})
    assert runtime.loads(answer)["result"] == {"records": [{"name": "Zoë"}]}
    runtime.dumps({"event": orjson.Fragment(b"{}")})
    assert json.loads(runtime.loads(answer)["result"]) == {"records": [{"name": "Zoë"}]}
    failed = {"status": "error", "error": "no"}
    assert runtime.loads(json.dumps(failed)) == failed


@pytest.mark.parametrize(
    ("body", "runtime", "invocation_type", "unread"),
    [
        (b'{"n":1}', "python3.12", "RequestResponse", True),
        (b'{"name":"Zo\xc3\xab"}', "python3.12", "RequestResponse", False),
        (b'{\n"n":1}', "python3.12", "RequestResponse", False),
        (b"no json", "python3.12", "RequestResponse", False),
        (b'{"n":1}', "java21", "RequestResponse", False),
        (b'{"n":1}', "python3.12", "Event", False),
    ],
)
def test_invoke_leaves_the_payload_of_a_python_function_unread(
    monkeypatch: pytest.MonkeyPatch, body: bytes, runtime: str, invocation_type: str, unread: bool
) -> None:
    events: list[Any] = []

    async def invoke(name: str, event: Any, *rest: Any) -> tuple[int, Any, bytes]:
        events.append((name, event))
        return 200, {}, b"{}"

    monkeypatch.setattr(lambda_svc, "_invoke", invoke)
    monkeypatch.setitem(lambda_svc._functions._data, (ACCOUNT, REGION, "f"), {"config": {"Runtime": runtime}})
    functions_seam.invoke_with_events_as_they_are()
    headers = {"x-amz-invocation-type": invocation_type}
    asyncio.run(lambda_svc.handle_request("POST", "/2015-03-31/functions/f/invocations", headers, body, {}))
    [(name, event)] = events
    assert (name, isinstance(event, orjson.Fragment)) == ("f", unread)


def test_the_pipes_of_a_function_are_read_in_large_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn(worker: Any) -> None:
        command = [sys.executable, "-c", "print('x' * 300_000)"]
        worker._proc = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(lambda_runtime.Worker, "_spawn", spawn)
    functions_seam.widen_the_pipes_of_functions()
    worker = SimpleNamespace()
    lambda_runtime.Worker._spawn(worker)
    assert len(worker._proc.communicate()[0]) == 300_001


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


def test_a_position_is_kept_where_ministack_saves_it() -> None:
    position = MappingPosition("a-mapping", ACCOUNT, REGION)
    assert position.get() is None
    position.set(12)
    assert lambda_svc.get_state()["dynamodb_stream_positions"].get_scoped(ACCOUNT, REGION, "a-mapping") == 12
    lambda_svc._dynamodb_stream_positions.pop_scoped(ACCOUNT, REGION, "a-mapping")


@pytest.mark.parametrize("key", ["data/part=a b/0.parquet", "a//b", "é"])
def test_an_object_lies_in_the_file_that_is_named(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "DATA_DIR", str(tmp_path))
    s3._persist_object("lake", key, {"body": b"content"})
    assert s3_seam.object_file("lake", key).read_bytes() == b"content"


def test_the_depth_of_a_queue_is_what_its_messages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqs, "_queues", AccountRegionScopedDict())
    url = sqs._act_create_queue({"QueueName": "letters"}, "")["QueueUrl"]
    for number, delay in enumerate((0, 0, 0, 60)):
        sqs._act_send_message({"QueueUrl": url, "MessageBody": str(number), "DelaySeconds": delay}, "")
    asyncio.run(sqs._act_receive_message({"QueueUrl": url}, ""))
    [depth] = sqs_seam.queue_depths(REGION)
    assert (depth.name, depth.visible, depth.in_flight, depth.delayed) == ("letters", 2, 1, 1)
    assert 0 < depth.oldest_seconds < 5
    assert sqs_seam.queue_depths("eu-west-1") == []
