"""Columns that a contract gained: filled from `unmapped` for the changes before it, as SQL and in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import MISFITS, column_reader, member_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table

    from dynaberg.contracts import Column, Contract, ParsedType

# By type: where DynamoDB's JSON holds the value, the value from that text, and the type in SQL.
_SIMPLE = {
    "string": ("S", "{}", "varchar"),
    "int": ("N", "TRY_CAST({} AS integer)", "integer"),
    "long": ("N", "TRY_CAST({} AS bigint)", "bigint"),
    "double": ("N", "TRY_CAST({} AS double)", "double"),
    "boolean": ("BOOL", "{} = 'true'", "boolean"),
    "date": ("S", "TRY_CAST({} AS date)", "date"),
    "timestamptz": (
        "S",
        "CAST(TRY(from_iso8601_timestamp_nanos({})) AS timestamp(6) with time zone)",
        "timestamp(6) with time zone",
    ),
    "binary": ("B", "from_base64({})", "varbinary"),
}
# A set of strings, numbers or binaries holds their texts.
_SETS = {"S": "SS", "N": "NS", "B": "BS"}


def gained_columns(log: Table, contract: Contract) -> list[str]:
    """The columns of a contract that the change log did not have from the start."""
    first = {field.field_id for field in log.schemas()[min(log.schemas())].fields}
    known = {field.name for field in log.schema().fields if field.field_id in first}
    return [column.name for column in contract.columns if column.name not in known]


def fill_gained(rows: pa.Table, contract: Contract, gained: Collection[str]) -> pa.Table:
    """Fill the columns that were added to a contract from `unmapped`, as the statements do.

    Args:
        rows: Rows with `unmapped`.
        contract: The table contract.
        gained: From `gained_columns`.
    """
    for column in contract.columns:
        if column.name in gained and column.name in rows.column_names:
            stored, unmapped = rows.column(column.name), rows.column("unmapped").to_pylist()
            read = _reader(column)
            values = [
                read(text) if value is None and text else value
                for value, text in zip(stored.to_pylist(), unmapped, strict=True)
            ]
            place = rows.column_names.index(column.name)
            rows = rows.set_column(place, rows.field(column.name), fitting(values, stored.type))
    return rows


def gained_more(before: pa.Table, after: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """Which rows have a value in a column that they did not have.

    Args:
        before: Rows.
        after: The same rows, filled by `fill_gained`.
        names: The columns.
    """
    import pyarrow.compute as pc

    more = [pc.and_(pc.is_null(before.column(n)), pc.is_valid(after.column(n))) for n in names]
    found = more[0]
    for each in more[1:]:
        found = pc.or_(found, each)
    return found


def fitting(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as an Arrow array; those that do not fit its type are NULL, as in the statements.

    Args:
        values: Python values.
        kind: The type.
    """
    import pyarrow as pa

    def fits(value: Any) -> bool:
        try:
            pa.array([value], kind)
        except MISFITS:
            return False
        return True

    try:
        return pa.array(values, kind)
    except MISFITS:
        return pa.array([value if fits(value) else None for value in values], kind)


def names_at(table: Table, snapshot_id: int | None) -> dict[str, str | None]:
    """Columns that had another name at a snapshot, or were not there yet (None): SQL reads it by its schema.

    Args:
        table: Native pyiceberg table.
        snapshot_id: One of its snapshots; None if it has none.
    """
    snapshot = table.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
    if snapshot is None or snapshot.schema_id is None:
        return {}
    then = {field.field_id: field.name for field in table.schemas()[snapshot.schema_id].fields}
    now = {field.name: then.get(field.field_id) for field in table.schema().fields}
    return {name: stored for name, stored in now.items() if stored != name}


def listed_at(contract: Contract, names: Sequence[str], stored: Mapping[str, str | None]) -> str:
    """A select list that takes columns by the names that they had at a snapshot; what was not there is NULL.

    Args:
        contract: The table contract.
        names: Columns by the names that they have now.
        stored: From `names_at`.
    """
    types = {column.name: _sql_type(column.parsed_type) for column in contract.columns}
    found = {name: stored.get(name, name) for name in names}
    return ", ".join(
        f'CAST(NULL AS {types.get(name, "varchar")}) AS "{name}"' if there is None else named(there, name)
        for name, there in found.items()
    )


def named(stored: str | None, name: str) -> str:
    """A column in a select list, with another name if it has one there."""
    return f'"{name}"' if stored == name else f'"{stored}" AS "{name}"'


def filled(column: Column, stored: str | None = "") -> str:
    """SQL of a column's value, or of the one that `unmapped` has for its attribute.

    Args:
        column: A column of the contract.
        stored: The name that it has in the table, by default its own; None if it is not there.
    """
    value = _unmapped_value(column)
    found = value if stored is None else f'coalesce("{stored or column.name}", {value})'
    return f'{found} AS "{column.name}"'


def _unmapped_value(column: Column) -> str:
    if column.mask:
        # What is in `unmapped` is plain: `remask` masks it.
        return f"CAST(NULL AS {_sql_type(column.parsed_type)})"
    return _value(column.parsed_type, "unmapped", f"$[{_quoted(column.attribute)}]", 0)


def _value(parsed_type: ParsedType, json_text: str, path: str, depth: int) -> str:
    """SQL of the value of a type from the attribute at a path of DynamoDB's JSON."""
    element = f"e{depth}"
    match parsed_type:
        case "json":
            return f"json_format(json_extract({json_text}, '{path}'))"
        case {"list": inner}:
            return _list(inner, json_text, path, depth)
        case {"map": inner}:
            members = f"CAST(json_extract({json_text}, '{path}.M') AS map(varchar, json))"
            value = _value(inner, element, "$", depth + 1)
            return f"transform_values({members}, (k{depth}, {element}) -> {value})"
        case {"struct": dict(members)}:
            taken = [member_of(name, inner) for name, inner in members.items()]
            values = [_value(inner, json_text, f"{path}.M[{_quoted(name)}]", depth) for name, inner in taken]
            row = f"CAST(ROW({', '.join(values)}) AS {_sql_type(parsed_type)})"
            return f"IF(json_extract({json_text}, '{path}.M') IS NULL, NULL, {row})"
        case _:
            tag, spelled, _ = _simple(parsed_type)
            return spelled.format(f"json_extract_scalar({json_text}, '{path}.{tag}')")


def _list(inner: ParsedType, json_text: str, path: str, depth: int) -> str:
    element = f"e{depth}"
    items = f"CAST(json_extract({json_text}, '{path}.L') AS array(json))"
    found = f"transform({items}, {element} -> {_value(inner, element, '$', depth + 1)})"
    if inner == "json" or (isinstance(inner, dict) and "decimal" not in inner):
        return found
    tag, spelled, _ = _simple(inner)
    if tag not in _SETS:
        return found
    texts = f"CAST(json_extract({json_text}, '{path}.{_SETS[tag]}') AS array(varchar))"
    return f"coalesce({found}, transform({texts}, {element} -> {spelled.format(element)}))"


def _quoted(attribute: str) -> str:
    return json.dumps(attribute, ensure_ascii=False).replace("'", "''")


def _sql_type(parsed_type: ParsedType) -> str:
    match parsed_type:
        case "json":
            return "varchar"
        case {"list": inner}:
            return f"array({_sql_type(inner)})"
        case {"map": inner}:
            return f"map(varchar, {_sql_type(inner)})"
        case {"struct": dict(members)}:
            fields = (f'"{name}" {_sql_type(member_of(name, m)[1])}' for name, m in members.items())
            return f"row({', '.join(fields)})"
        case _:
            return _simple(parsed_type)[2]


def _simple(parsed_type: ParsedType) -> tuple[str, str, str]:
    if isinstance(parsed_type, str):
        return _SIMPLE[parsed_type]
    precision, scale = parsed_type["decimal"]
    spelled = f"decimal({precision},{scale})"
    return "N", f"TRY_CAST({{}} AS {spelled})", spelled


def _reader(column: Column) -> Callable[[str], Any]:
    read = column_reader(column)

    def value(unmapped: str) -> Any:
        attribute = json.loads(unmapped).get(column.attribute)
        if attribute is None or column.mask:
            return None
        if column.type == "json":
            return json.dumps(attribute, separators=(",", ":"), ensure_ascii=False)
        try:
            return read(attribute)
        except MISFITS:
            return None

    return value
