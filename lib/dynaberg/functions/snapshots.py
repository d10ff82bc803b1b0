"""An item that a backfill read: its change record, and its change row straight from its text.

The item was not changed, but it was so at that time. Items of one table mostly have the same attributes in
the same order. For each such order there is one regular expression, which finds the values of an item if all
of them are plain; the change row is written from those, and the item is never parsed. Every other item
becomes a change record, which is converted like any change.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from .attributes import ConversionError, MomentRules, read_moment
from .change_row import MAX_ROW_BYTES, SNAPSHOT
from .plain_images import escaped, pad, plain_type

SNAPSHOT_PREFIX = "!snapshot-"
"""Prefix of the change ids of a backfill: it sorts before every id that DynamoDB gives."""
# Each pattern is tried in turn, and takes milliseconds to compile.
MOST_PATTERNS = 8
# Of the items that no pattern fits, which ones are looked at for another pattern: the first, and a few later.
_FIRST_MISSES, _EACH_LATER_MISS = 32, 512
_NO_SEQUENCE_NUMBER = "0" * 40
_JSON, _BETWEEN = json.JSONDecoder(), re.compile(r"[\s,]*").match
_TEXT = r'"([^"\\\x00-\x1f]*)"'
# By type letter: the pattern of a plain value, and what is written for it inside the JSON text of `unmapped`.
_VALUES = {"S": _TEXT, "N": '"([-+.0-9Ee]+)"', "BOOL": "(true|false)", "NULL": "true"}
_UNMAPPED = {"S": r"\"%s\"", "N": r"\"%s\"", "BOOL": "%s", "NULL": "true"}

Write = Callable[[str], Any]


def snapshot_record(
    source_table: str, key_attributes: Sequence[str], item: Mapping[str, Any], second: int
) -> dict[str, Any]:
    """The change record of an item that was read, as if DynamoDB had written it at a moment.

    Args:
        source_table: Name of the DynamoDB table.
        key_attributes: Names of its key attributes.
        item: The item as DynamoDB JSON.
        second: To which second since 1970 it is dated.

    Returns:
        The record; the same item and second give the same id.

    Raises:
        KeyError: The item lacks a key attribute.
    """
    key = {name: item[name] for name in key_attributes}
    return {
        "eventID": _change_id(json.dumps([second, key], sort_keys=True)),
        "eventName": SNAPSHOT,
        "tableName": source_table,
        "dynamodb": {
            "ApproximateCreationDateTime": second,
            "SequenceNumber": "0",
            "Keys": key,
            "NewImage": item,
        },
    }


class PlainItems:
    """Finds plain items in JSON text, and writes their change rows.

    Args:
        document: What `Contract.to_lambda_json` writes. With several tables, or masks, no item is plain.
        key_attributes: Names of the key attributes of the DynamoDB table.
        second: To which second since 1970 the items are dated.

    Attributes:
        log: Name of the change log that the rows are for.

    Example:
        >>> plain = PlainItems(document, ("PK", "SK"), 1_764_000_000)
        >>> plain.learn({"PK": {"S": "a"}, "SK": {"S": "b"}})
        >>> plain.row('{"PK":{"S":"c"},"SK":{"S":"d"}}', 0, received_at_us=1_764_000_000_000_000)
        (b'{"change_id":"!snapshot-…",…}', 31)
    """

    def __init__(self, document: Mapping[str, Any], key_attributes: Sequence[str], second: int) -> None:
        self.log = f"{document.get('tables', [document])[0]['table']}_changes"
        self._columns = _plain_columns(document)
        self._key, self._second = tuple(sorted(key_attributes)), second
        self._seen: set[tuple[tuple[str, str], ...]] = set()
        self._patterns: list[_Pattern] = []
        self._misses = 0

    def row(self, text: str, position: int, received_at_us: int) -> tuple[bytes, int] | None:
        """The change row of the item that begins at a position, and where the item ends.

        Args:
            text: Text that holds items as DynamoDB JSON, without spaces.
            position: Where the item begins.
            received_at_us: When it was read, in microseconds since 1970.

        Returns:
            None if it is not a plain item of a known kind.
        """
        for number, pattern in enumerate(self._patterns):
            if found := pattern.match(text, position):
                if number:
                    self._patterns.insert(0, self._patterns.pop(number))
                row = pattern.row(found, received_at_us)
                return (row, found.end()) if row else None
        return None

    def read(self, text: str, position: int) -> tuple[list[bytes], list[Any], int]:
        """Read a JSON array of items, and learn from those that are not known.

        Args:
            text: Text that holds the array.
            position: Behind its opening bracket.

        Returns:
            The change rows of the plain items, the other items, and the position behind the array.
        """
        rows: list[bytes] = []
        others: list[Any] = []
        received_at_us, position = time.time_ns() // 1_000, _end(text, position)
        while not text.startswith("]", position):
            if found := self.row(text, position, received_at_us):
                rows.append(found[0])
                position = _end(text, found[1])
                continue
            item, end = _JSON.raw_decode(text, position)
            if not (self.wants() and self.learn(item)):
                others.append(item)
                position = _end(text, end)
        return rows, others, position + 1

    def wants(self) -> bool:
        """Whether an item that was not plain should be parsed and learned now."""
        self._misses += 1
        often = self._misses <= _FIRST_MISSES or self._misses % _EACH_LATER_MISS == 0
        return self._columns is not None and often and len(self._patterns) < MOST_PATTERNS

    def learn(self, item: Any) -> bool:
        """Know items like this one from now on; returns whether that is possible and new."""
        if self._columns is None:
            return False
        try:
            kind = tuple((name, _tag(attribute)) for name, attribute in item.items())
            if kind in self._seen or len(self._patterns) >= MOST_PATTERNS:
                return False
            self._seen.add(kind)
            self._patterns.insert(0, _Pattern(kind, self._columns, self._key, self._second))
        except (AttributeError, KeyError, TypeError, ValueError):
            return False
        return True


@dataclass(frozen=True)
class _PlainColumn:
    """A column whose values can be plain.

    Attributes:
        name: Its name.
        tag: The type letters of its attribute.
        value: Pattern of the attribute's value.
        quote: What is around the value in the row.
        write: Makes the value of the row; None where it is the attribute's own.
    """

    name: str
    tag: str
    value: str
    quote: str = ""
    write: Write | None = None


class _Pattern:
    """Items with the same attributes, of the same types, in the same order.

    Args:
        kind: Name and type letters of each attribute.
        columns: By attribute: its column, None where it has one that cannot be plain.
        key: The key attributes, in the order of their names.
        second: To which second since 1970 the items are dated.

    Raises:
        KeyError: They lack a key attribute, or an attribute cannot be plain.
    """

    def __init__(
        self,
        kind: Sequence[tuple[str, str]],
        columns: Mapping[str, _PlainColumn | None],
        key: Sequence[str],
        second: int,
    ) -> None:
        values, members, unmapped = [], [], []
        self._writes: list[tuple[int, Write]] = []
        # The groups of the expression are in the order of the item; in the row, what is unmapped is last.
        groups = {name: number for number, name in enumerate(n for n, tag in kind if tag != "NULL")}
        taken = [name for name in groups if name in columns]
        for name, tag in kind:
            if name not in columns:
                values.append(_VALUES[tag])
                unmapped.append(rf"\"{_percent(escaped(name))}\":{{\"{tag}\":{_UNMAPPED[tag]}}}")
                continue
            value, member, write = _member(columns[name], name, tag)
            values.append(value)
            members.append(member)
            if write:
                self._writes.append((taken.index(name), write))
        attributes = [
            rf'{re.escape(encode_basestring(name))}:\{{"{tag}":{value}\}}'
            for (name, tag), value in zip(kind, values, strict=True)
        ]
        self.match = re.compile(rf"\{{{','.join(attributes)}\}}").match
        order = [groups[name] for name in (*taken, *(n for n in groups if n not in columns))]
        self._order = order if order != sorted(order) else None
        self._key = [groups[name] for name in key]
        tags = dict(kind)
        keys = ", ".join(f'{_percent(json.dumps(name))}: {{"{tags[name]}": %s}}' for name in key)
        self._key_text = f"[{second}, {{{keys}}}]"
        rest = f'"{{{",".join(unmapped)}}}"' if unmapped else "null"
        self._row = (
            f'{{"change_id":"%s","operation":"{SNAPSHOT}","changed_at":{second * 1_000_000},'
            f'"sequence_number":"{_NO_SEQUENCE_NUMBER}","received_at":%d,{",".join(members)},'
            f'"old_image":null,"unmapped":{rest},"deleted_by":null}}'
        )

    def row(self, found: re.Match[str], received_at_us: int) -> bytes | None:
        """The change row of an item; None if a value does not fit its column, or the row is too large."""
        values: Sequence[Any] = found.groups()
        key = tuple([encode_basestring_ascii(values[group]) for group in self._key])
        if self._order:
            values = [values[group] for group in self._order]
        try:
            if self._writes:
                values = list(values)
                for slot, write in self._writes:
                    values[slot] = write(values[slot])
            row = (self._row % (_change_id(self._key_text % key), received_at_us, *values)).encode()
        except (ConversionError, UnicodeEncodeError):
            return None
        return row if len(row) <= MAX_ROW_BYTES else None


def _member(column: _PlainColumn | None, name: str, tag: str) -> tuple[str, str, Write | None]:
    """The pattern of an attribute's value, its member of the row, and what makes the member's value."""
    if column is None or tag not in (column.tag, "NULL"):
        raise KeyError(name)
    member = f'"{_percent(column.name)}":'
    if tag == "NULL":
        return _VALUES[tag], f"{member}null", None
    return column.value, f"{member}{column.quote}%s{column.quote}", column.write


def _plain_columns(document: Mapping[str, Any]) -> dict[str, _PlainColumn | None] | None:
    """The columns by attribute, None where one cannot be plain; None if no item is plain."""
    tables = document.get("tables", [document])
    table = tables[0]
    masked = table.get("masks") or any(column["mask"] for column in table["columns"])
    if len(tables) > 1 or table.get("when") or masked:
        return None
    found: dict[str, _PlainColumn | None] = {}
    for column in table["columns"]:
        attribute = column.get("attribute", column["name"])
        is_key = column["name"] in table["key"]
        found[attribute] = None if attribute in found else _plain_column(column, is_key=is_key)
    return found


def _plain_column(column: Mapping[str, Any], *, is_key: bool) -> _PlainColumn | None:
    name, kind = column["name"], column["type"]
    if column.get("after") or column.get("before"):
        return None
    if kind == "boolean":
        return _PlainColumn(name, "BOOL", _VALUES["BOOL"])
    if kind == "timestamptz" and not is_key:
        rules = MomentRules(column.get("round"), column.get("zone"))
        return _PlainColumn(name, "S", _TEXT, write=partial(read_moment, rules=rules))
    try:
        tag, pattern, quote = plain_type(kind)
    except KeyError:
        return None
    scale = kind["decimal"][1] if isinstance(kind, dict) else 0
    write = partial(_with_scale, scale=scale) if scale else None
    return _PlainColumn(name, tag, f'"({pattern})"' if pattern else _TEXT, quote, write)


def _with_scale(text: str, scale: int) -> str:
    return text if text[-scale - 1 : -scale] == "." else pad(text, scale)


def _end(text: str, position: int) -> int:
    """Where the next item of an array begins, or the array ends."""
    return _BETWEEN(text, position).end()  # type: ignore[union-attr]


def _change_id(key_text: str) -> str:
    return f"{SNAPSHOT_PREFIX}{hashlib.sha256(key_text.encode()).hexdigest()[:32]}"


def _tag(attribute: Mapping[str, Any]) -> str:
    [tag] = attribute
    return tag


def _percent(text: str) -> str:
    """Text as it is written in a template of the operator %."""
    return text.replace("%", "%%")
