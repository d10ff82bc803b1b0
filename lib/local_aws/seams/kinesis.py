"""Private parts of ministack's Kinesis that are read or replaced, because there is no public way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson

from local_aws.streams import BLOCK_RECORDS, RECORDS_PER_CALL, Held, ShardLog, as_member

MOST_SHARDS = 20_000
"""AWS's quota for an account, in its largest Regions."""


def hold_shards_compactly() -> None:
    """Let the records of every shard be a `ShardLog`, and GetRecords answer from it.

    ministack copies every shard on each put, to look for expired records, holds each record as base64, and
    loses the place of its iterators when records expire.
    """
    from ministack.services import kinesis

    refuse, build_shards = kinesis._get_records, kinesis._build_shards

    def build_some_shards(shard_count: int, start_index: int = 0) -> Any:
        if shard_count > MOST_SHARDS:
            msg = f"A stream cannot have {shard_count} shards. Hint: the most are {MOST_SHARDS}."
            raise ValueError(msg)
        return build_shards(shard_count, start_index)

    def expire(stream: Mapping[str, Any]) -> None:
        oldest = time.time() - stream["RetentionPeriodHours"] * 3600
        for shard in stream["shards"].values():
            if isinstance(shard["records"], list):
                shard["records"] = ShardLog(shard["records"])
            shard["records"].forget(shard["records"].since(oldest))

    def get_records(data: Mapping[str, Any]) -> Any:
        state = kinesis._shard_iterators.get(data.get("ShardIterator"))
        if state is None or time.time() - state["created_at"] > kinesis.ITERATOR_EXPIRY_SECONDS:
            return refuse(data)
        stream = kinesis._streams.get(state["stream"])
        shard = stream and stream["shards"].get(state["shard_id"])
        if not shard:
            return refuse(data)
        expire(stream)
        log: ShardLog = shard["records"]
        position = max(state["position"], log.first)
        found = log.read(position, data.get("Limit", RECORDS_PER_CALL))
        token, end = kinesis.new_uuid(), position + len(found)
        kinesis._shard_iterators[token] = state | {"position": end, "created_at": time.time()}
        encryption = {"EncryptionType": stream.get("EncryptionType", "NONE")}
        answer = {
            "Records": [as_member(held) | encryption for held in found],
            "NextShardIterator": token,
            "MillisBehindLatest": behind_ms(log, end),
        }
        status, headers, _ = kinesis.json_response({})
        return status, headers, orjson.dumps(answer)

    kinesis._build_shards = build_some_shards
    kinesis._expire_records = expire
    kinesis._expire_iterators = expire_iterators
    kinesis._start_position = start_position
    kinesis._get_records = get_records


def behind_ms(log: ShardLog, position: int) -> int:
    """How old the record at a position is, in milliseconds; 0 at the end."""
    following = next(log.held(position), None)
    return 0 if following is None else max(0, int((time.time() - following.created_at) * 1000))


def start_position(records: ShardLog, kind: str, number: str, moment: float | None) -> int | None:
    """Where an iterator of a kind starts; None for an unknown kind."""
    match kind:
        case "TRIM_HORIZON":
            return 0
        case "LATEST":
            return records.end
        case "AT_SEQUENCE_NUMBER":
            return records.find("number", number)
        case "AFTER_SEQUENCE_NUMBER":
            # The least text that is greater.
            return records.find("number", number + "\0")
        case "AT_TIMESTAMP":
            return records.find("created_at", float(moment or 0))
    return None


def expire_iterators() -> None:
    """Forget the iterators that are too old; they are in the order of their age."""
    from ministack.services import kinesis

    oldest = time.time() - kinesis.ITERATOR_EXPIRY_SECONDS
    held = kinesis._shard_iterators._data
    while held and (token := next(iter(held))) and held[token]["created_at"] < oldest:
        del held[token]


def save_shards_compactly() -> None:
    """Save and restore the records of shards as they are held."""
    from ministack.core.responses import AccountRegionScopedDict
    from ministack.services import kinesis

    save, restore = kinesis.get_state, kinesis.load_persisted_state

    def get_state() -> Any:
        streams, kinesis._streams = kinesis._streams, AccountRegionScopedDict()
        try:
            state = save()
        finally:
            kinesis._streams = streams
        for scope, stream in streams.all_items():
            kinesis._expire_records(stream)
            oldest = time.time() - stream["RetentionPeriodHours"] * 3600
            for shard in stream["shards"].values():
                shard["records"].forget(shard["records"].find("created_at", oldest))
            shards = {
                shard_id: shard | {"records": shard["records"].saved()}
                for shard_id, shard in stream["shards"].items()
            }
            state["streams"].set_scoped(*scope, stream | {"shards": shards})
        return state

    def load_persisted_state(data: Any) -> Any:
        restore(data)
        for _, stream in kinesis._streams.all_items():
            for shard in stream["shards"].values():
                if isinstance(shard["records"], dict):
                    shard["records"] = ShardLog().restore(shard["records"])

    kinesis.get_state, kinesis.load_persisted_state = get_state, load_persisted_state


def put_record(stream_arn: str, partition_key: str, data: bytes) -> None:
    """Put a record on a stream that is there; ministack's `put_record_internal` takes three times as long."""
    from ministack.services import kinesis

    stream = kinesis._streams.get(stream_arn.rpartition("/")[2])
    if not stream or stream["StreamARN"] != stream_arn or stream["StreamStatus"] != "ACTIVE":
        return
    shard = stream["shards"][kinesis._route_to_shard(kinesis._partition_key_to_hash(partition_key), stream)]
    if isinstance(shard["records"], list):
        kinesis._expire_records(stream)
    number = kinesis._next_sequence_number()
    shard["records"].hold(Held(round(time.time(), 3), number, partition_key, data))
    if shard["records"].end % BLOCK_RECORDS == 0:
        kinesis._expire_records(stream)
    if not kinesis.esm_wake.is_set():
        kinesis.esm_wake.set()
