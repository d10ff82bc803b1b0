"""Rows as they would be if none of their values had been packed because they were too large for Firehose."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import MISFITS, member_of, readers_of
from dynaberg.functions.attributes import to_json
from dynaberg.functions.packing import is_packed, unpack
from dynaberg.layers.gained import fitting

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dynaberg.contracts import Contract, ParsedType


def unpack_rows(rows: pa.Table, contract: Contract) -> pa.Table:
    """Rows with packed values as they were, and columns that were moved to `unmapped` in their place.

    Args:
        rows: Rows of the current table or of the change log, with `unmapped`.
        contract: The table contract.
    """
    if not count_packed(rows, contract):
        return rows
    unpacked = _unpacked({name: rows.column(name).to_pylist() for name in rows.column_names}, contract)
    for name, values in unpacked.items():
        field = rows.schema.field(name)
        rows = rows.set_column(rows.column_names.index(name), field, fitting(values, field.type))
    return rows


def unpack_column(rows: pa.Table, name: str) -> pa.Table:
    """Rows with the packed values of one column as they were; what was moved to `unmapped` stays there.

    Args:
        rows: Rows of the current table or of the change log.
        name: A column of JSON text.
    """
    import pyarrow as pa

    field = rows.schema.field(name)
    values = [unpack(text) for text in rows.column(name).to_pylist()]
    return rows.set_column(rows.column_names.index(name), field, pa.array(values, field.type))


def unpack_frame(frame: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """As `unpack_rows`, for a DataFrame, in which maps are dicts.

    Args:
        frame: Rows of the current table or of the change log, with `unmapped`.
        contract: The table contract.
    """
    import pandas as pd

    if not any(any(map(is_packed, frame[name])) for name in _texts([*frame.columns], contract)):
        return frame
    types = {column.name: column.parsed_type for column in contract.columns}
    columns = {name: [*frame[name].astype(object).where(frame[name].notna(), None)] for name in frame.columns}
    for name, values in _unpacked(columns, contract).items():
        plain = [_with_dicts(types.get(name, "string"), value) for value in values]
        frame[name] = pd.Series(plain, frame.index, dtype=object).astype(frame[name].dtype)
    return frame


def count_packed(rows: pa.Table, contract: Contract) -> int:
    """How many rows have a packed value.

    Args:
        rows: Rows of the current table or of the change log.
        contract: The table contract.
    """
    return len({i for name in _texts(rows.column_names, contract) for i in _places(rows.column(name))})


def _places(column: pa.ChunkedArray) -> list[int]:
    import pyarrow.compute as pc

    if not len(column):
        return []  # pyarrow 21 and older crash on a column without chunks
    candidates: list[int] = pc.indices_nonzero(pc.starts_with(column, '{"$')).to_pylist()
    return [i for i in candidates if is_packed(column[i].as_py())]


def _texts(names: Sequence[str], contract: Contract) -> list[str]:
    """The columns that may hold packed values."""
    json_columns = {column.name for column in contract.columns if column.type == "json"}
    return [name for name in names if name in json_columns or name in ("unmapped", "old_image")]


def _unpacked(columns: Mapping[str, Sequence[Any]], contract: Contract) -> dict[str, list[Any]]:
    """The columns that change, by name."""
    changed = {name: [*map(unpack, columns[name])] for name in _texts([*columns], contract)}
    held = [json.loads(unpack(text)) if is_packed(text) else {} for text in columns.get("unmapped", ())]
    moved = {attribute for attributes in held for attribute in attributes}
    readers = readers_of(contract)
    for column in contract.columns:
        if column.attribute not in moved or column.name not in columns:
            continue
        read = to_json if column.type == "json" else readers[column.name]
        values = changed.get(column.name, columns[column.name])
        changed[column.name] = [
            _read(read, attributes.get(column.attribute)) if value is None else value
            for value, attributes in zip(values, held, strict=True)
        ]
    return changed


def _read(read: Callable[[Any], Any], attribute: Any) -> Any:
    try:
        return None if attribute is None else read(attribute)
    except MISFITS:
        return None


def _with_dicts(parsed_type: ParsedType, value: Any) -> Any:
    """A value whose maps are lists of pairs, with dicts instead."""
    match parsed_type:
        case _ if value is None:
            return None
        case {"list": inner}:
            return [_with_dicts(inner, each) for each in value]
        case {"map": inner}:
            return {name: _with_dicts(inner, each) for name, each in dict(value).items()}
        case {"struct": dict(members)}:
            types = {name: member_of(name, member)[1] for name, member in members.items()}
            return {name: _with_dicts(types[name], each) for name, each in value.items()}
        case _:
            return value
