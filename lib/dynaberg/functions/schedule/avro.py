"""Avro files by the standard library: Iceberg's manifests and lists of manifests, which say where data is.

Source: Apache Avro, "Specification", on the binary encoding and object container files.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_MAGIC = b"Obj\x01"
_CODECS: Mapping[str, Callable[[bytes], bytes]] = {
    "null": lambda block: block,
    "deflate": lambda block: zlib.decompress(block, -15),
}


class UnreadableError(Exception):
    """A file that is not Avro, or is compressed by something that the standard library does not have."""


def records(content: bytes) -> Iterator[dict[str, Any]]:
    """The records of an Avro file.

    Args:
        content: The whole file.

    Raises:
        UnreadableError: It cannot be read.
    """
    file = io.BytesIO(content)
    if file.read(4) != _MAGIC:
        raise UnreadableError("This is not an Avro file.")
    meta = _Reader(file, {}).read({"type": "map", "values": "bytes"})
    codec = meta.get("avro.codec", b"null").decode()
    if codec not in _CODECS:
        raise UnreadableError(f"The Avro file is compressed by {codec!r}.")
    file.read(16)
    schema = json.loads(meta["avro.schema"])
    named: dict[str, Any] = {}
    while file.tell() < len(content):
        head = _Reader(file, named)
        count, size = head.long(), head.long()
        block = _Reader(io.BytesIO(_CODECS[codec](file.read(size))), named)
        file.read(16)
        for _ in range(count):
            yield block.read(schema)


class _Reader:
    """Reads values by their schema."""

    def __init__(self, file: io.BytesIO, named: dict[str, Any]) -> None:
        self._file, self._named = file, named

    def read(self, schema: Any) -> Any:
        """One value."""
        if isinstance(schema, list):
            return self.read(schema[self.long()])
        if isinstance(schema, str):
            return _PLAIN[schema](self) if schema in _PLAIN else self.read(self._named[schema])
        kind = schema["type"]
        if "name" in schema and kind in ("record", "fixed", "enum"):
            self._named[schema["name"]] = schema
        match kind:
            case "record":
                return {field["name"]: self.read(field["type"]) for field in schema["fields"]}
            case "array":
                return [self.read(schema["items"]) for _ in self._blocks()]
            case "map":
                return {self.text(): self.read(schema["values"]) for _ in self._blocks()}
            case "fixed":
                return self._file.read(schema["size"])
            case "enum":
                return schema["symbols"][self.long()]
            case _:
                return self.read(kind)

    def _blocks(self) -> Iterator[None]:
        while count := self.long():
            if count < 0:
                self.long()
            for _ in range(abs(count)):
                yield None

    def long(self) -> int:
        """A number of any width, in zigzag."""
        value = shift = 0
        while True:
            byte = self._file.read(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7

    def bytes(self) -> bytes:
        """Bytes after their length."""
        return self._file.read(self.long())

    def text(self) -> str:
        """A string."""
        return self.bytes().decode()

    def number(self, form: str, size: int) -> float:
        """A float or a double."""
        value: float = struct.unpack(form, self._file.read(size))[0]
        return value


_PLAIN: Mapping[str, Callable[[_Reader], Any]] = {
    "null": lambda reader: None,
    "boolean": lambda reader: reader._file.read(1) == b"\x01",
    "int": _Reader.long,
    "long": _Reader.long,
    "float": lambda reader: reader.number("<f", 4),
    "double": lambda reader: reader.number("<d", 8),
    "bytes": _Reader.bytes,
    "string": _Reader.text,
}
