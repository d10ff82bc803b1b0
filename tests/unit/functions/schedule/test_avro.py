"""Avro by the standard library: what pyiceberg writes, and nothing guessed."""

from __future__ import annotations

import json
import zlib

import pytest

from dynaberg.functions.schedule.avro import UnreadableError, records

SCHEMA = {
    "type": "record",
    "name": "r",
    "fields": [
        {"name": "n", "type": ["null", "long"]},
        {"name": "text", "type": "string"},
        {"name": "ratio", "type": "double"},
        {"name": "yes", "type": "boolean"},
        {"name": "four", "type": {"type": "fixed", "name": "f", "size": 4}},
        {"name": "again", "type": "f"},
        {"name": "pairs", "type": {"type": "array", "items": {"type": "map", "values": "int"}}},
        {"name": "kind", "type": {"type": "enum", "name": "e", "symbols": ["a", "b"]}},
    ],
}
# Zigzag and variable length: -65 is 0x81 0x01, 1 is 0x02; a block of a negative count names its bytes.
RECORD = (
    b"\x02\x81\x01" + b"\x04hi" + b"\x00\x00\x00\x00\x00\x00\xe0\x3f" + b"\x01" + b"abcd" + b"efgh"
    b"\x01\x0c\x02\x02k\x06\x00\x00" + b"\x02"
)
SYNC = bytes(16)


def avro(block: bytes, count: int, codec: str) -> bytes:
    def sized(content: bytes) -> bytes:
        size, number = b"", len(content) << 1
        while number > 0x7F:
            size += bytes([number & 0x7F | 0x80])
            number >>= 7
        return size + bytes([number]) + content

    meta = sized(b"avro.schema") + sized(json.dumps(SCHEMA).encode())
    meta += sized(b"avro.codec") + sized(codec.encode())
    return b"Obj\x01\x04" + meta + b"\x00" + SYNC + bytes([count << 1]) + sized(block) + SYNC


def test_each_type_is_read_with_and_without_compression() -> None:
    packed = zlib.compressobj(wbits=-15)
    deflated = packed.compress(RECORD * 2) + packed.flush()
    expected = {
        "n": -65,
        "text": "hi",
        "ratio": 0.5,
        "yes": True,
        "four": b"abcd",
        "again": b"efgh",
        "pairs": [{"k": 3}],
        "kind": "b",
    }
    assert list(records(avro(RECORD * 2, 2, "null"))) == [expected] * 2
    assert list(records(avro(deflated, 2, "deflate"))) == [expected] * 2


@pytest.mark.parametrize("content", [b"PAR1", b"", avro(RECORD, 1, "zstandard")])
def test_what_cannot_be_read_is_said(content: bytes) -> None:
    with pytest.raises(UnreadableError):
        list(records(content))
