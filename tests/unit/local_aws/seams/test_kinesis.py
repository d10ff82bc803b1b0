"""What `seams.kinesis` relies on in ministack's Kinesis, and that shards answer as ministack's own do."""

from __future__ import annotations

import base64
import inspect
import json
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from ministack.core.persistence import _json_default, _json_object_hook
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import dynamodb, kinesis

from local_aws.seams import dynamodb as dynamodb_seam
from local_aws.seams import kinesis as kinesis_seam
from local_aws.streams import record_log
from local_aws.streams.shard_log import ShardLog

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/changes"
HOUR_SECONDS = 3_600
PATCHED = (
    "_build_shards",
    "_expire_iterators",
    "_expire_records",
    "_get_records",
    "_start_position",
    "get_state",
    "load_persisted_state",
)


@pytest.fixture(autouse=True)
def _patches_end_with_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "BLOCK_RECORDS", 4)
    monkeypatch.setattr(record_log, "RECENT_RECORDS", 8)
    for name in PATCHED:
        monkeypatch.setattr(kinesis, name, getattr(kinesis, name))
    for module, name in (
        (kinesis, "_streams"),
        (kinesis, "_shard_iterators"),
        (dynamodb, "_kinesis_destinations"),
    ):
        monkeypatch.setattr(module, name, AccountRegionScopedDict())
    monkeypatch.setattr(dynamodb, "_fan_out_to_kinesis", dynamodb._fan_out_to_kinesis)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_build_shards", ["shard_count", "start_index"]),
        ("_expire_iterators", []),
        ("_expire_records", ["stream"]),
        ("_get_records", ["data"]),
        ("_next_sequence_number", []),
        ("_partition_key_to_hash", ["partition_key"]),
        ("_route_to_shard", ["hash_key_int", "stream"]),
        ("_start_position", ["records", "it_type", "seq", "at_ts"]),
        ("get_state", []),
        ("load_persisted_state", ["data"]),
    ],
)
def test_functions_take_what_is_handed_to_them(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(kinesis, name)).parameters) == parameters


def answer(operation: str, **data: Any) -> Any:
    status, _, body = getattr(kinesis, operation)(data)
    return (json.loads(body) if body else {}) | ({"status": status} if status >= 400 else {})


def make_stream() -> None:
    answer("_create_stream", StreamName="changes", ShardCount=1)
    kinesis._streams["changes"]["StreamStatus"] = "ACTIVE"


def put(*data: bytes) -> list[str]:
    """Put records; their sequence numbers."""
    encoded = [base64.b64encode(each).decode() for each in data]
    return [
        answer("_put_record", StreamName="changes", Data=each, PartitionKey="k")["SequenceNumber"]
        for each in encoded
    ]


def shard() -> dict[str, Any]:
    [only] = kinesis._streams["changes"]["shards"].values()
    return dict(only)


def iterator(kind: str, **where: Any) -> str:
    [shard_id] = kinesis._streams["changes"]["shards"]
    request = {"StreamName": "changes", "ShardId": shard_id, "ShardIteratorType": kind}
    return str(answer("_get_shard_iterator", **request, **where)["ShardIterator"])


def read(token: str, limit: int) -> Iterator[tuple[list[bytes], bool]]:
    """What GetRecords hands out, call by call, and whether it was behind, until it is at the end."""
    while True:
        got = answer("_get_records", ShardIterator=token, Limit=limit)
        yield [base64.b64decode(each["Data"]) for each in got["Records"]], got["MillisBehindLatest"] > 0
        token = got["NextShardIterator"]
        if not got["Records"]:
            return


def readings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What every kind of iterator reads from thirty records, a second apart."""
    make_stream()
    clock = [time.time() - 1_000]
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: clock[0])
        numbers = []
        for number in range(30):
            clock[0] += 1
            numbers += put(b"%d \n\x00\xff" % number)
    middle = clock[0] - 14.5
    starts: list[tuple[str, dict[str, Any]]] = [
        ("TRIM_HORIZON", {}),
        ("LATEST", {}),
        ("AT_SEQUENCE_NUMBER", {"StartingSequenceNumber": numbers[11]}),
        ("AFTER_SEQUENCE_NUMBER", {"StartingSequenceNumber": numbers[11]}),
        ("AFTER_SEQUENCE_NUMBER", {"StartingSequenceNumber": numbers[-1]}),
        ("AT_TIMESTAMP", {"Timestamp": middle}),
    ]
    return [list(read(iterator(kind, **where), limit)) for kind, where in starts for limit in (7, 100)]


def test_shards_answer_as_ministacks_own_do(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = readings(monkeypatch)
    kinesis._streams.clear()
    kinesis_seam.hold_shards_compactly()
    assert readings(monkeypatch) == theirs
    assert [len(each) for each, _ in theirs[0]] == [7, 7, 7, 7, 2, 0]
    assert isinstance(shard()["records"], ShardLog)


def test_what_cannot_be_read_is_refused_in_ministacks_words() -> None:
    kinesis_seam.hold_shards_compactly()
    make_stream()
    token = iterator("TRIM_HORIZON")
    assert answer("_get_records", ShardIterator="none")["__type"] == "ExpiredIteratorException"
    kinesis._shard_iterators[token]["created_at"] -= 301
    kinesis._expire_iterators()
    assert not kinesis._shard_iterators.has_any()
    assert answer("_get_records", ShardIterator=token)["__type"] == "ExpiredIteratorException"


def test_an_iterator_keeps_its_place_when_earlier_records_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    kinesis_seam.hold_shards_compactly()
    make_stream()
    put(*(b"old %d" % number for number in range(10)))
    [(first, _)] = [next(read(iterator("TRIM_HORIZON"), 6))]
    token = next(reversed(kinesis._shard_iterators._data.values()))
    assert (len(first), token["position"]) == (6, 6)
    key = next(reversed(kinesis._shard_iterators._data))[2]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * HOUR_SECONDS)
    token["created_at"] = time.time()
    put(b"new 0", b"new 1")
    assert shard()["records"].first == 10
    assert next(read(key, 100))[0] == [b"new 0", b"new 1"]


def test_shards_are_saved_and_restored_with_their_places() -> None:
    kinesis_seam.hold_shards_compactly()
    kinesis_seam.save_shards_compactly()
    make_stream()
    put(*(b"%d" % number for number in range(25)))
    shard()["records"].forget(5)
    before = list(shard()["records"])
    saved = json.loads(json.dumps(kinesis.get_state(), default=_json_default), object_hook=_json_object_hook)
    assert list(shard()["records"]) == before
    kinesis._streams.clear()
    kinesis.load_persisted_state(saved)
    log = shard()["records"]
    assert (list(log), log.first, log.end) == (before, 5, 25)
    assert next(read(iterator("TRIM_HORIZON"), 100))[0] == [b"%d" % n for n in range(5, 25)]


def test_what_a_shard_has_let_go_of_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "BLOCK_RECORDS", 4)
    monkeypatch.setattr(record_log, "RECENT_RECORDS", 8)
    kinesis_seam.hold_shards_compactly()
    kinesis_seam.save_shards_compactly()
    make_stream()
    now = time.time()
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now - 90_000)
        put(*(b"old %d" % number for number in range(3)))
        clock.setattr(time, "time", lambda: now - 10_000)
        put(*(b"%d" % number for number in range(17)))
    saved = json.loads(json.dumps(kinesis.get_state(), default=_json_default), object_hook=_json_object_hook)
    kinesis.load_persisted_state(saved)
    log = shard()["records"]
    bodies = [held.body for block in log._blocks for held in block.records()]
    bodies += [held.body for held in log._recent]
    assert [body for body in bodies if body] == [b"%d" % number for number in range(17)]


def test_shards_that_ministack_saved_are_restored() -> None:
    make_stream()
    put(b"a", b"b")
    saved = json.loads(json.dumps(kinesis.get_state(), default=_json_default), object_hook=_json_object_hook)
    kinesis_seam.hold_shards_compactly()
    kinesis_seam.save_shards_compactly()
    kinesis._streams.clear()
    kinesis.load_persisted_state(saved)
    assert next(read(iterator("TRIM_HORIZON"), 100))[0] == [b"a", b"b"]


def test_changes_reach_every_active_kinesis_destination_as_made(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str, bytes]] = []
    monkeypatch.setattr(dynamodb_seam, "put_record", lambda *record: sent.append(record))
    dynamodb_seam.send_changes_to_kinesis(lambda table_name, _: (table_name, str.encode))
    dynamodb._kinesis_destinations["orders"] = [
        {
            "StreamArn": "a",
            "DestinationStatus": "ACTIVE",
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
        },
        {"StreamArn": "b", "DestinationStatus": "DISABLED"},
        {"StreamArn": "c", "DestinationStatus": "ACTIVE"},
    ]
    dynamodb._fan_out_to_kinesis("orders", {})
    assert sent == [("a", "orders", b"MICROSECOND"), ("c", "orders", b"MILLISECOND")]


def test_a_record_is_put_as_ministack_puts_it() -> None:
    kinesis_seam.hold_shards_compactly()
    make_stream()
    kinesis.put_record_internal(ARN, "k", orjson.dumps({"n": 1}))
    kinesis_seam.put_record(ARN, "k", orjson.dumps({"n": 1}))
    kinesis_seam.put_record(ARN + "-gone", "k", b"")
    kinesis_seam.put_record(ARN.replace("us-east-1", "eu-west-1"), "k", b"")
    theirs, ours = shard()["records"]
    assert (theirs["Data"], theirs["PartitionKey"]) == (ours["Data"], ours["PartitionKey"])
    assert theirs["SequenceNumber"] < ours["SequenceNumber"]
    assert len(theirs["SequenceNumber"]) == len(ours["SequenceNumber"])


def test_records_expire_though_nobody_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinesis_seam, "BLOCK_RECORDS", 4)
    kinesis_seam.hold_shards_compactly()
    make_stream()
    for number in range(10):
        kinesis_seam.put_record(ARN, "k", b"%d" % number)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 25 * HOUR_SECONDS)
    for number in range(10, 13):
        kinesis_seam.put_record(ARN, "k", b"%d" % number)
    assert shard()["records"].first >= 8


@pytest.mark.parametrize(("count", "fits"), [(3, True), (20_000, True), (20_001, False), (2**63, False)])
def test_a_stream_has_no_endless_number_of_shards(
    monkeypatch: pytest.MonkeyPatch, count: int, fits: bool
) -> None:
    monkeypatch.setattr(kinesis, "_build_shards", lambda count, start=0: range(count))
    kinesis_seam.hold_shards_compactly()
    if fits:
        assert len(kinesis._build_shards(count)) == count
    else:
        with pytest.raises(ValueError, match=r"cannot have \d+ shards.*Hint"):
            kinesis._build_shards(count)
