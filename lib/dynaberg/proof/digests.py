"""Digests of key ranges: they show that large tables agree without moving their rows.

A key range is all keys whose hashes have the same prefix. Athena digests the ranges of the current table and
of the change log in place; the items of DynamoDB, which can only be scanned, are digested here from the same
canonical text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import MISFITS, canonical_json, column_reader, readers_of, unmapped_of
from dynaberg.layers import latest_changes, listed_at
from dynaberg.sql import array_of

if TYPE_CHECKING:
    from dynaberg.contracts import Column, Contract

# A column's value as text, in Athena and here. Doubles and nested values have no text that is the same in
# both.
_SQL = {
    "string": '"{}"',
    "json": '"{}"',
    "int": 'CAST("{}" AS varchar)',
    "long": 'CAST("{}" AS varchar)',
    "boolean": 'CAST("{}" AS varchar)',
    "date": 'CAST("{}" AS varchar)',
    "timestamptz": 'CAST("{}" AS varchar)',
    "decimal": 'CAST("{}" AS varchar)',
    "binary": 'to_base64("{}")',
}
_PYTHON: Mapping[str, Callable[[Any], str]] = {
    "string": str,
    "int": str,
    "long": str,
    "boolean": lambda value: "true" if value else "false",
    "date": lambda value: str(value.isoformat()),
    "timestamptz": lambda value: f"{value:%Y-%m-%d %H:%M:%S.%f} UTC",
    "binary": lambda value: base64.b64encode(value).decode(),
}
_EXACT = Context(prec=200)
# Above this many items ranges are smaller, so that a differing one still holds few rows.
_MANY_ITEMS = 50_000
CURRENT, LOG = "current", "log"
# Each text with its length before it, so that no two rows have the same text.
_FRAMED = """\
array_join(transform({texts}, t -> coalesce(CAST(length(t) AS varchar) || ':' || t, '-')), '')"""
_HASHED = """\
WITH hashed AS (
  SELECT side, partition_key, key,
    to_hex(md5(to_utf8(key))) AS key_hash, to_hex(md5(to_utf8(row))) AS row_hash
  FROM (
    {sides}
  )
)
"""
_SIDE = """\
SELECT '{side}' AS side, {partition_key} AS partition_key, {key} AS key, {row} AS row
    FROM ({rows})"""
_RANGES = """\
SELECT side, substr(key_hash, 1, {digits}) AS range, count(*) AS n,
  to_hex(md5(to_utf8(array_join(array_agg(row_hash ORDER BY row_hash), '')))) AS digest
FROM hashed GROUP BY 1, 2"""
_ROWS = """\
SELECT side, partition_key, key, row_hash FROM hashed WHERE substr(key_hash, 1, {digits}) IN ({ranges})"""


@dataclass(frozen=True)
class Hashed:
    """An item's hashes and its key.

    Attributes:
        partition_key: Value of the partition key.
        key: The key in canonical text.
        key_hash: Hash of the key.
        row_hash: Hash of all columns.
    """

    partition_key: Any
    key: str
    key_hash: str
    row_hash: str


def can_digest(contract: Contract) -> bool:
    """Whether every compared column has a canonical text."""
    return all(_kind(column) in _SQL for column in contract.columns if not column.mask)


@dataclass(frozen=True)
class Past:
    """What the snapshots do not have as the contract does.

    Attributes:
        gained: Columns that were added to the contract after the change log's first rows.
        stored: By side, from `names_at`: columns that have another name there, or are not there.
    """

    gained: Collection[str] = ()
    stored: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)


def range_digits(items: int) -> int:
    """How many digits of a key's hash identify its range, for this many items."""
    return 2 if items < _MANY_ITEMS else 3


def ranges_statement(
    contract: Contract, snapshots: Mapping[str, int], digits: int, *, past: Past | None = None
) -> str:
    """The statement that returns each key range's row count and digest, for each side.

    Args:
        contract: The table contract.
        snapshots: Snapshot ids of the sides, `current` and `log`; one without a snapshot is left out.
        digits: From `range_digits`.
        past: What the snapshots do not have as the contract does.
    """
    return _hashed(contract, snapshots, past) + _RANGES.format(digits=digits)


def rows_statement(
    contract: Contract,
    snapshots: Mapping[str, int],
    digits: int,
    ranges: Iterable[str],
    *,
    past: Past | None = None,
) -> str:
    """The statement that returns the key and the hash of each row of some ranges, for each side."""
    listed = ", ".join(f"'{name}'" for name in sorted(ranges))
    return _hashed(contract, snapshots, past) + _ROWS.format(digits=digits, ranges=listed)


def hash_items(items: Iterable[Mapping[str, Any]], contract: Contract) -> list[Hashed]:
    """Hash items from the same text that Athena makes of their values.

    Args:
        items: DynamoDB JSON, binary as base64.
        contract: The table contract.
    """
    readers = readers_of(contract)
    writers = {c.name: (c.attribute, _writer(c, readers[c.name])) for c in contract.columns if not c.mask}
    partition = contract.key_columns[0]
    read_key = column_reader(partition)

    def hashed(item: Mapping[str, Any]) -> Hashed:
        texts = {name: _framed(write(item.get(attribute))) for name, (attribute, write) in writers.items()}
        unmapped = unmapped_of(contract, item)
        texts["unmapped"] = _framed(_json_text(unmapped) if unmapped else None)
        key = "".join(texts[name] for name in contract.key)
        return Hashed(read_key(item[partition.attribute]), key, _md5(key), _md5("".join(texts.values())))

    return [hashed(item) for item in items]


def digest_ranges(hashed: Iterable[Hashed], digits: int) -> dict[str, tuple[int, str]]:
    """The row count and the digest of each range, as `ranges_statement` returns them."""
    ranges: dict[str, list[str]] = defaultdict(list)
    for each in hashed:
        ranges[each.key_hash[:digits]].append(each.row_hash)
    return {name: (len(hashes), _md5("".join(sorted(hashes)))) for name, hashes in ranges.items()}


def differing_partition_keys(
    hashed: Iterable[Hashed], rows: Iterable[tuple[Any, str, str]], digits: int, ranges: Collection[str]
) -> set[Any]:
    """The partition keys with a key that is only on one side, or differs.

    Args:
        hashed: The items.
        rows: The result of `rows_statement`.
        digits: From `range_digits`.
        ranges: Those of `rows`.
    """
    here = {
        (each.partition_key, each.key, each.row_hash) for each in hashed if each.key_hash[:digits] in ranges
    }
    return {partition_key for partition_key, _, _ in here ^ set(rows)}


def _hashed(contract: Contract, snapshots: Mapping[str, int], past: Past | None) -> str:
    texts = {column.name: _sql_text(column) for column in contract.columns if not column.mask}
    texts["unmapped"] = '"unmapped"'
    names = list(texts)
    sides = [
        _SIDE.format(
            side=side,
            partition_key=f'"{contract.key[0]}"',
            key=_FRAMED.format(texts=array_of([texts[name] for name in contract.key])),
            row=_FRAMED.format(texts=array_of([*texts.values()])),
            rows=_rows_of(side, contract, names, snapshot_id, past or Past()),
        )
        for side, snapshot_id in snapshots.items()
    ]
    return _HASHED.format(sides="\n    UNION ALL ".join(sides))


def _rows_of(side: str, contract: Contract, names: Sequence[str], snapshot_id: int, past: Past) -> str:
    """The rows of a side; those of the change log as the MERGE would read them."""
    stored = past.stored.get(side, {})
    if side == CURRENT:
        taken = listed_at(contract, names, stored)
        return f'SELECT {taken} FROM "{contract.table}" FOR VERSION AS OF {snapshot_id}'  # noqa: S608
    source = f'"{contract.log_name}" FOR VERSION AS OF {snapshot_id}'
    latest = latest_changes(contract, names, source, gained=past.gained, stored=stored)
    listed = ", ".join(f'"{name}"' for name in names)
    return f"SELECT {listed} FROM (\n{latest}\n) WHERE operation <> 'REMOVE'"  # noqa: S608


def _kind(column: Column) -> str:
    parsed = column.parsed_type
    return parsed if isinstance(parsed, str) else next(iter(parsed))


def _sql_text(column: Column) -> str:
    return _SQL[_kind(column)].format(column.name)


def _framed(text: str | None) -> str:
    return "-" if text is None else f"{len(text)}:{text}"


def _writer(column: Column, read: Callable[[Any], Any]) -> Callable[[Any], str | None]:
    """The function that writes an attribute as `_sql_text` writes its column."""
    if column.type == "json":
        # In the original order, as the Lambda wrote it; another order is resolved row by row.
        return lambda attribute: attribute and _json_text(attribute)
    text = _PYTHON.get(_kind(column)) or _decimal_text(column.parsed_type)

    def write(attribute: Any) -> str | None:
        try:
            value = None if attribute is None else read(attribute)
            return None if value is None else text(value)
        except MISFITS:
            # No column can hold this, so it must not equal anything in a column.
            return f"misfit {canonical_json(attribute)}"

    return write


def _decimal_text(parsed_type: Any) -> Callable[[Decimal], str]:
    _, scale = parsed_type["decimal"]
    unit = Decimal(1).scaleb(-scale)

    def text(value: Decimal) -> str:
        rounded = value.quantize(unit, context=_EXACT)
        if rounded != value:
            msg = f"{value} has more than {scale} digits after the point"
            raise ValueError(msg)
        return f"{rounded.copy_abs() if rounded == 0 else rounded:f}"

    return text


def _json_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()
