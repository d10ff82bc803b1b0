"""Rows that would be too large for Firehose: their largest values are packed, so that nothing is lost.

DynamoDB takes 400 KB, and JSON makes some values several times longer: DynamoDB JSON inside a JSON string,
control characters, lists of small numbers. A packed value is the text `{"$gzip":"…"}`: compressed JSON in
base64, which no DynamoDB JSON looks like. `old_image`, `unmapped` and `json` columns are packed in place.
If that is not enough, other columns become NULL, and their attributes join `unmapped`.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

from .attributes import to_json

LEFT_OUT = "dynaberg:left-out-bytes"
"""The only attribute of an `old_image` that was left out because it did not fit even when packed."""
PACKED, _TAIL = '{"$gzip":"', '"}'
"""How packed text begins and ends."""


def pack(text: str) -> str:
    """JSON text, compressed.

    Args:
        text: JSON text.

    Example:
        >>> unpack(pack('{"S":"x"}'))
        '{"S":"x"}'
    """
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    return f"{PACKED}{packed}{_TAIL}"


def is_packed(text: Any) -> bool:
    """Whether a value is packed JSON text.

    Args:
        text: A value of `old_image`, `unmapped` or a `json` column.
    """
    return isinstance(text, str) and text.startswith(PACKED) and text.endswith(_TAIL)


def unpack(text: Any) -> Any:
    """Packed JSON text as it was; any other value unchanged.

    Args:
        text: A value of `old_image`, `unmapped` or a `json` column.

    Returns:
        JSON text.

    Example:
        >>> unpack(document)
        '{"M":{"a":{"N":"1"}}}'
    """
    if not is_packed(text):
        return text
    return gzip.decompress(base64.b64decode(text[len(PACKED) : -len(_TAIL)])).decode()


def shrink(
    row: Mapping[str, Any], image: Mapping[str, Any], attributes: Mapping[str, tuple[str, bool]], room: int
) -> dict[str, Any]:
    """A row with its largest values packed, until it fits.

    Args:
        row: The members of a change row that belong to the item, with `old_image` and `unmapped`.
        image: The item, masked, in DynamoDB JSON.
        attributes: For each column that is not a key its attribute, and whether it is a `json` column.
        room: Bytes that the members may take as JSON.
    """
    smaller = _Smaller(row, room)
    by_size = sorted(attributes, key=smaller.size, reverse=True)
    smaller.pack("old_image")
    for name in sorted(
        ["unmapped", *(c for c in by_size if attributes[c][1])], key=smaller.size, reverse=True
    ):
        smaller.pack(name)
    unmapped = json.loads(unpack(smaller.row["unmapped"]) or "{}")
    while smaller.excess > 0 and by_size:
        wanted = smaller.excess
        while wanted > 0 and by_size:
            name = by_size.pop(0)
            if smaller.row.get(name) is not None:
                wanted -= smaller.size(name)
                smaller.put(name, None)
                unmapped[attributes[name][0]] = image[attributes[name][0]]
        smaller.put("unmapped", pack(to_json(unmapped)))
    if smaller.excess > 0 and row["old_image"]:
        mark = {LEFT_OUT: {"N": str(len(row["old_image"].encode()))}}
        smaller.put("old_image", to_json(mark))
    return smaller.row


class _Smaller:
    """A row and the size of each of its members as JSON."""

    def __init__(self, row: Mapping[str, Any], room: int) -> None:
        self.row = dict(row)
        self._sizes = {name: self._bytes(name, value) for name, value in row.items()}
        self.excess = sum(self._sizes.values()) - room

    def size(self, name: str) -> int:
        """Bytes of a member; none if the row lacks it."""
        return self._sizes.get(name, 0)

    def put(self, name: str, value: Any) -> None:
        """Give a member another value."""
        size = self._bytes(name, value)
        self.excess += size - self.size(name)
        self.row[name], self._sizes[name] = value, size

    def pack(self, name: str) -> None:
        """Pack a member, if the row is still too large and that makes it smaller."""
        text = self.row.get(name)
        if self.excess > 0 and text and len(packed := pack(text)) < len(text):
            self.put(name, packed)

    @staticmethod
    def _bytes(name: str, value: Any) -> int:
        return len(to_json({name: value}).encode())
