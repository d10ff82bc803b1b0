"""Items of DynamoDB against rows of Iceberg: every column, with exact types, and the cause of differences."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import (
    MISFITS,
    canonical_json,
    column_reader,
    key_attribute,
    member_of,
    readers_of,
    unmapped_of,
)
from dynaberg.past import Differences, compare, to_long_form

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dynaberg.contracts import Column, Contract, ParsedType
    from dynaberg.source import Item

PENDING, NOT_LOGGED, EDITED = "refresh pending", "not in the log", "current table edited"
UNFIT = "key does not fit"
MISSING, EXTRA, UNLOGGED = "missing", "extra", "unlogged"
Key = tuple[Any, ...]


def compare_sides(
    items: Sequence[Item], current: pa.Table, logged: pa.Table, behind: Collection[Key], contract: Contract
) -> tuple[pd.DataFrame, set[Key]]:
    """Compare items with the current table and with the change log, to find out where differences arose.

    If the change log agrees with DynamoDB, the current table waits for a refresh or was edited; if it does
    not, the change is not in the change log.

    Args:
        items: Items as DynamoDB JSON, binary as base64.
        current: The same keys in the current table.
        logged: The same keys in their latest state by the change log.
        behind: Keys that a refresh would update.
        contract: The table contract.

    Returns:
        One row per difference, as `ReconcileReport.df`; and the keys for which only the change log is ahead.
    """
    import pandas as pd

    key = list(contract.key)
    shown, said = compare_items(items, current, contract), compare_items(items, logged, contract)
    differing, unlogged = set(keys_of(shown, key)), set(keys_of(said, key))
    causes = [
        NOT_LOGGED if each in unlogged else PENDING if each in behind else EDITED
        for each in keys_of(shown, key)
    ]
    coming = (unlogged - differing) & set(behind)
    alone = only(said, [each not in differing and each not in coming for each in keys_of(said, key)])
    parts = [shown.assign(cause=causes), alone.assign(problem=UNLOGGED, cause=NOT_LOGGED)]
    found = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return found.sort_values([*key, "problem"], kind="stable", ignore_index=True), coming


def keys_of(df: pd.DataFrame, key: Sequence[str]) -> list[Key]:
    """The key of each row."""
    return list(df[list(key)].itertuples(index=False, name=None))


def only(df: pd.DataFrame, wanted: Sequence[bool]) -> pd.DataFrame:
    """The rows that are wanted; if there are none, the columns stay."""
    import numpy as np

    return df.loc[np.array(wanted, dtype=bool)]


def key_of(item: Item, contract: Contract) -> Key | None:
    """An item's key as the current table has it; None if no row can have it."""
    columns = contract.key_columns
    given = [item[column.attribute] for column in columns]
    try:
        values = [column_reader(column)(attribute) for column, attribute in zip(columns, given, strict=True)]
    except MISFITS:
        return None
    spelled = [key_attribute(column, value) for column, value in zip(columns, values, strict=True)]
    # Numeric keys compare by their value, all others by their spelling.
    same = all(
        "N" in there or canonical_json(here) == canonical_json(there)
        for here, there in zip(spelled, given, strict=True)
    )
    return tuple(values) if same else None


def compare_items(items: Sequence[Item], rows: pa.Table, contract: Contract) -> pd.DataFrame:
    """Compare items with rows of Iceberg, in every column that is not masked and in `unmapped`.

    Args:
        items: Items as DynamoDB JSON, binary as base64.
        rows: The rows, with the contract's types.
        contract: The table contract.

    Returns:
        One row per difference: the key, problem (`missing`, `extra`, `stale`), column, dynamodb, iceberg.
    """
    dynamodb, iceberg = _align(items, rows, contract)
    return _name_differences(compare(dynamodb, iceberg, contract.key), contract)


def _align(items: Sequence[Item], iceberg: pa.Table, contract: Contract) -> tuple[pa.Table, pa.Table]:
    """Both sides with the same types and spellings, column by column."""
    import pyarrow as pa

    readers = readers_of(contract)
    sides = {
        column.name: _align_column(items, iceberg.column(column.name), column, readers[column.name])
        for column in contract.columns
        if not column.mask
    }
    sides["unmapped"] = _align_unmapped(items, iceberg.column("unmapped"), contract)
    dynamodb = pa.table({name: ours for name, (ours, _) in sides.items()})
    return dynamodb, pa.table({name: theirs for name, (_, theirs) in sides.items()})


def _align_column(
    items: Sequence[Item], stored: pa.ChunkedArray, column: Column, read: Callable[[Any], Any]
) -> tuple[Any, Any]:
    import pyarrow as pa

    attributes = [item.get(column.attribute) for item in items]
    if _holds_json(column.parsed_type):
        texts = [_canonical(column.parsed_type, value) for value in stored.to_pylist()]
        stored = pa.chunked_array([pa.array(texts, stored.type)])
    try:
        values = [None if attribute is None else read(attribute) for attribute in attributes]
        if _all_sets(attributes):
            values = [values and sorted(values) for values in values]
            stored = pa.chunked_array([pa.array([v and sorted(v) for v in stored.to_pylist()], stored.type)])
        return pa.array(values, stored.type), stored
    except (*MISFITS, pa.ArrowException):
        return _as_text(attributes, stored, read)


def _holds_json(parsed_type: ParsedType) -> bool:
    if isinstance(parsed_type, dict) and "struct" in parsed_type:
        members = parsed_type["struct"].items()
        return any(_holds_json(member_of(name, member)[1]) for name, member in members)
    if isinstance(parsed_type, dict):
        return any(_holds_json(inner) for inner in parsed_type.values() if not isinstance(inner, list))
    return parsed_type == "json"


def _canonical(parsed_type: ParsedType, value: Any) -> Any:
    """A stored value whose DynamoDB JSON, at any depth, has the one spelling that is compared."""
    match parsed_type:
        case _ if value is None:
            return None
        case "json":
            return canonical_json(json.loads(value))
        case {"list": inner}:
            return [_canonical(inner, each) for each in value]
        case {"map": inner}:
            return [(name, _canonical(inner, each)) for name, each in value]
        case {"struct": dict(members)}:
            types = {name: member_of(name, member)[1] for name, member in members.items()}
            return {name: _canonical(types[name], each) for name, each in value.items()}
        case _:
            return value


def _align_unmapped(items: Sequence[Item], stored: pa.ChunkedArray, contract: Contract) -> tuple[Any, Any]:
    """Unmapped attributes, on both sides without those that have a column by now."""
    import pyarrow as pa

    def spelled(attributes: Mapping[str, Any]) -> str | None:
        left = unmapped_of(contract, attributes)
        return canonical_json({"M": left}) if left else None

    rows = [spelled(json.loads(text)) if text else None for text in stored.to_pylist()]
    return pa.array([spelled(item) for item in items], pa.string()), pa.array(rows, pa.string())


def _all_sets(attributes: Sequence[Any]) -> bool:
    """Whether a column holds sets, whose order has no meaning."""
    kinds = {next(iter(attribute)) for attribute in attributes if attribute is not None}
    return bool(kinds) and kinds <= {"SS", "NS", "BS"}


def _as_text(attributes: Sequence[Any], stored: pa.ChunkedArray, read: Any) -> tuple[Any, Any]:
    """Both sides as text, if DynamoDB holds values that the column cannot: they equal nothing."""
    import pyarrow as pa

    def text(attribute: Any) -> str | None:
        try:
            value = None if attribute is None else pa.array([read(attribute)], stored.type)[0].as_py()
        except (*MISFITS, pa.ArrowException):
            return canonical_json(attribute)
        return None if value is None else str(value)

    rows = [None if value is None else str(value) for value in stored.to_pylist()]
    return pa.array([text(attribute) for attribute in attributes], pa.string()), pa.array(rows, pa.string())


def _name_differences(differences: Differences, contract: Contract) -> pd.DataFrame:
    """One line per missing or extra key, and per differing column of a stale one."""
    import pandas as pd

    columns = [*(column.name for column in contract.columns), "unmapped"]
    lines = to_long_form(differences, contract.key, columns)
    lines = lines.rename(columns={"change": "problem", "before": "dynamodb", "after": "iceberg"})
    lines = lines[lines["problem"] == "changed"]
    whole = {"missing": differences.removed, "extra": differences.added}
    parts = [
        rows.select(list(contract.key))
        .to_pandas()
        .assign(problem=problem, column=None, dynamodb=None, iceberg=None)
        for problem, rows in whole.items()
    ]
    frame: pd.DataFrame = pd.concat([*parts, lines.assign(problem="stale")], ignore_index=True)
    return frame.sort_values([*contract.key, "problem"], kind="stable", ignore_index=True)
