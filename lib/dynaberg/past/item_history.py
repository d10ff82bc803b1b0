"""The history of one DynamoDB item, attribute by attribute, from the change log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, SupportsIndex

from dynaberg import catalog
from dynaberg.contracts import MISFITS, read_any, reader_for, readers_of
from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.functions.change_row import SNAPSHOT
from dynaberg.functions.packing import LEFT_OUT, unpack
from dynaberg.layers import HISTORY_BEGINS, NO_SEQUENCE_NUMBER, REPAIR_PREFIX, sort_changes
from dynaberg.past.landings import find_landings
from dynaberg.past.snapshots import committed_at
from dynaberg.sql import query, revive, selected

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.catalog import Catalog
    from pyiceberg.types import IcebergType

    from dynaberg.contracts import Column, Contract
    from dynaberg.settings import Settings

_COLUMNS = ["changed_at", "operation", "attribute", "before", "after", "received_at", "sequence_number"]
# What a value of a key may be in Python; numbers may come from a DataFrame.
_KEY_VALUES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (SupportsIndex,),
    "long": (SupportsIndex,),
    "decimal": (SupportsIndex, Decimal),
    "date": (date,),
    "timestamptz": (datetime,),
    "binary": (bytes,),
}
_LANDED: dict[str, Any] = {"snapshot_id": "Int64", "committed_at": "datetime64[ms, UTC]"}


def item_history(
    session: boto3.Session, settings: Settings, contract: Contract, key: Mapping[str, Any]
) -> pd.DataFrame:
    """Every version of one DynamoDB item: which attribute changed when, from what to what.

    A change that was delivered twice counts once, where it landed first. The snapshot in which a version
    landed comes from the change log's metadata, which shows the snapshot that added its file. For versions
    that a compaction has rewritten, it is no longer known. If older changes were folded by `apply_retention`,
    the first version is a SNAPSHOT, and `.attrs["history_begins"]` of the result has the moment.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.
        key: The item's key, `{"transaction_id": "TXN_…", "timestamp": 1700000000000}`.

    Returns:
        One row per version and changed attribute, the oldest first: changed_at, operation, attribute, before,
        after, received_at, sequence_number, snapshot_id and committed_at (UTC) of the change log's snapshot
        in which the version landed, else NA. Numbers are exact.

    Raises:
        SettingsError: The key's columns are not those of the table.
        NotFoundError: The change log has no change of this key.

    Example:
        >>> item_history(session, settings, contract, {"transaction_id": "TXN_1", "timestamp": 1})
    """
    import pandas as pd

    versions = _read_versions(session, settings, contract, key)
    afters = [
        _after_snapshot(contract, version, later)
        if version["operation"] == SNAPSHOT
        else _after(contract, version)
        for version, later in zip(versions, [*versions[1:], None], strict=True)
    ]
    rows = [
        row
        for version, previous, after in zip(versions, [{}, *afters[:-1]], afters, strict=True)
        for row in _changed_attributes(contract, version, _before(contract, version, previous), after)
    ]
    names = [*_COLUMNS, *_LANDED]
    frame = pd.DataFrame(rows, columns=names)
    # As objects: exact values, and ids that would lose digits where pandas sees a gap in them.
    values = {
        name: pd.Series([row[names.index(name)] for row in rows], dtype=object)
        for name in ("before", "after", *_LANDED)
    }
    frame = frame.assign(**values).astype(_LANDED)
    if begins := versions[0]["history_begins"]:
        frame.attrs["history_begins"] = datetime.fromisoformat(begins)
    return frame


def _read_versions(
    session: boto3.Session, settings: Settings, contract: Contract, key: Mapping[str, Any]
) -> list[dict[str, Any]]:
    check_key(contract, key)
    columns = ", ".join(selected(name, kind) for name, kind in _types(contract).items())
    condition = " AND ".join(f'"{name}" = ?' for name in contract.key)
    sql = (
        'SELECT "$path" AS path, change_id, operation, changed_at, sequence_number, received_at, old_image, '
        f'unmapped, {columns}\nFROM "{contract.log_name}" AS rows_of_log\nWHERE {condition}'
    )
    found = query(session, settings, sql, [key[name] for name in contract.key]).df
    if found.empty:
        named = ", ".join(f"{name}={key[name]!r}" for name in contract.key)
        msg = f"The change log {contract.log_name!r} has no change of {named}."
        raise NotFoundError(
            msg, hint="Use a key of the table, or wait for its delivery: wait_for_delivery()."
        )
    landed = _landed(session, settings, contract, found)
    versions = found.assign(**landed).sort_values("committed_at", kind="stable").drop_duplicates("change_id")
    versions = sort_changes(_once(versions), contract.key).astype(object)
    rows: list[Any] = versions.where(versions.notna(), None).to_dict("records")
    return rows


def _once(versions: pd.DataFrame) -> pd.DataFrame:
    """Versions without what Kinesis delivered twice: repeats have the same time, but not the same id."""
    counted = versions["sequence_number"] != NO_SEQUENCE_NUMBER
    repaired = versions["change_id"].str.startswith(REPAIR_PREFIX)
    repeated = versions.duplicated(["changed_at", "operation"]) & ~counted & ~repaired
    return versions[~repeated]


def check_key(contract: Contract, key: Mapping[str, Any]) -> None:
    """Reject a key that no item can have, before anything is read.

    Args:
        contract: The table contract.
        key: Values by the names of the key columns.

    Raises:
        SettingsError: The key's columns are not those of the table, or a value has another type.
    """
    types = {column.name: column.type for column in contract.columns if column.name in contract.key}
    example = ", ".join(f'"{name}": …' for name in contract.key)
    names = [*key] if isinstance(key, Mapping) else []
    if set(names) != set(types):  # no value of anybody's in the message
        given = ", ".join(map(str, names)) or "no columns"
        raise SettingsError(
            f"The key has {given}; the table's key has {', '.join(contract.key)}.",
            hint=f"Write {{{example}}}.",
        )
    for name, value in key.items():
        if not isinstance(value, _KEY_VALUES[types[name].partition("(")[0]]):
            msg = f"The key's {name!r} is {value!r}, a {type(value).__name__}; the column is a {types[name]}."
            raise SettingsError(msg, hint="Use the value from wb.query(…).df, which has the column's type.")


def _landed(
    session: boto3.Session, settings: Settings, contract: Contract, found: pd.DataFrame
) -> dict[str, pd.Series[Any]]:
    """For each version, the snapshot in which it landed, and its time; and where history begins."""
    import pandas as pd

    log = catalog.load_table(_open_catalog(session, settings), settings, contract.log_name)
    received = {str(path): list(rows) for path, rows in found.groupby("path")["received_at"]}
    by_path = find_landings(log, received)
    snapshots = [by_path.get(path) for path in found["path"]]
    landed = {
        "snapshot_id": [snapshot and snapshot.snapshot_id for snapshot in snapshots],
        "committed_at": [snapshot and committed_at(snapshot) for snapshot in snapshots],
    }
    series = {name: pd.Series(values, dtype=object).astype(_LANDED[name]) for name, values in landed.items()}
    begins = log.properties.get(HISTORY_BEGINS)
    return series | {"history_begins": pd.Series([begins] * len(found), dtype=object)}


@lru_cache(maxsize=8)
def _open_catalog(session: boto3.Session, settings: Settings) -> Catalog:
    """The catalog, kept: opening it takes as long as finding a version."""
    return catalog.open_catalog(session, settings)


def _types(contract: Contract) -> dict[str, IcebergType]:
    """The types of the contract's columns by name, in order."""
    schema = contract.current_schema()
    return {column.name: schema.find_type(column.name) for column in contract.columns}


def _changed_attributes(
    contract: Contract, version: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[Any, ...]]:
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if name not in contract.key and old != new:
            rest = (version[column] for column in ("received_at", "sequence_number", *_LANDED))
            yield version["changed_at"], version["operation"], name, old, new, *rest


def _before(contract: Contract, version: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """The item before a version: its old image, or, if it has none, the result of the version before."""
    image = json.loads(unpack(version["old_image"]) or "{}")
    has_none = version["operation"] == SNAPSHOT or version["change_id"].startswith(REPAIR_PREFIX)
    if LEFT_OUT in image or has_none:
        return dict(previous)
    return _by_column(contract, image)


def _by_column(contract: Contract, image: Mapping[str, Any]) -> dict[str, Any]:
    """An image's values by the names of their columns; attributes without a column, by their own names."""
    columns, readers = contract.columns_by_attribute, readers_of(contract)
    found: dict[str, Any] = {}
    for attribute, value in image.items():
        taken = {c.name: _read(readers[c.name], c, value) for c in columns.get(attribute, ())}
        found |= {name: each for name, each in taken.items() if each is not None or len(taken) == 1}
        if not taken:
            found[attribute] = read_any(value)
    return found


def _read(read: Callable[[Any], Any], column: Column, attribute: Any) -> Any:
    try:
        value = read(attribute)
    except MISFITS:
        return read_any(attribute)
    is_map = isinstance(column.parsed_type, dict) and "map" in column.parsed_type
    return dict(value) if is_map and value is not None else value


def _after_snapshot(
    contract: Contract, version: Mapping[str, Any], later: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The item at the moment to which a backfill dates it.

    It was read a little later, so a change since then may be in it already: that change's old image is exact.
    """
    image = json.loads(unpack(later["old_image"]) or "{}") if later else {}
    if later is None or LEFT_OUT in image or later["operation"] == SNAPSHOT:
        return _after(contract, version)
    return _by_column(contract, image)


def _after(contract: Contract, version: Mapping[str, Any]) -> dict[str, Any]:
    if version["operation"] == "REMOVE":
        return {}
    types = _types(contract)
    columns = {c.name: _revive(c, types[c.name], version[c.name]) for c in contract.columns}
    unmapped = _by_column(contract, json.loads(unpack(version["unmapped"]) or "{}"))
    present = {name: value for name, value in columns.items() if value is not None}
    return unmapped | present


def _revive(column: Column, kind: IcebergType, value: Any) -> Any:
    """A column's value from the result; nested ones come as JSON text."""
    if value is None:
        return None
    if column.parsed_type == "json":
        return reader_for(column.parsed_type)(json.loads(unpack(value)))
    return value if kind.is_primitive else revive(kind, value)
