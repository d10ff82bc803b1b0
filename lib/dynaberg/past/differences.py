"""Where two Arrow tables of the same rows differ: matched by key, compared column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class Differences:
    """The differences between two tables.

    Attributes:
        removed: Rows whose key is in the first table only.
        added: Rows whose key is in the second table only.
        before: Rows of the first table whose key is in both and that differ.
        after: The same rows of the second table, in the same order.
        changed: For each column the positions in `before` where it differs.
    """

    removed: pa.Table
    added: pa.Table
    before: pa.Table
    after: pa.Table
    changed: dict[str, np.ndarray[Any, Any]]


def compare(first: pa.Table, second: pa.Table, key: Sequence[str]) -> Differences:
    """Match the rows of two tables by key, and compare every column that is in both.

    Two NULLs are equal, and so are two NaNs. Each key must occur only once in each table.

    Args:
        first: Rows as they were.
        second: Rows as they are.
        key: Names of the key columns.
    """
    import numpy as np
    import pyarrow as pa

    codes_before, codes_after = _codes(first, second, key)
    match_in_second = _positions(codes_after, codes_before)
    match_in_first = _positions(codes_before, codes_after)
    removed = first.take(pa.array(np.flatnonzero(match_in_second < 0)))
    added = second.take(pa.array(np.flatnonzero(match_in_first < 0)))
    here = np.flatnonzero(match_in_second >= 0)
    there = match_in_second[here]
    columns = [name for name in first.column_names if name in second.column_names and name not in key]
    unequal = {
        name: _unequal(_take(first.column(name), here), _take(second.column(name), there)) for name in columns
    }
    differing = np.flatnonzero(np.logical_or.reduce([*unequal.values(), np.zeros(len(here), bool)]))
    return Differences(
        removed,
        added,
        first.take(pa.array(here[differing])),
        second.take(pa.array(there[differing])),
        {name: np.flatnonzero(mask[differing]) for name, mask in unequal.items() if mask.any()},
    )


def _take(column: pa.ChunkedArray, positions: np.ndarray[Any, Any]) -> pa.ChunkedArray:
    """Values by position; mostly all of them are wanted, in the same order."""
    import numpy as np
    import pyarrow as pa

    in_place = len(positions) == len(column) and bool((np.diff(positions) == 1).all())
    return column if in_place else column.take(pa.array(positions))


def _codes(
    first: pa.Table, second: pa.Table, key: Sequence[str]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A number for each row of both tables, the same for the same key; NULL is a value like any other."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    codes = np.zeros(len(first) + len(second), dtype=np.int64)
    for name in key:
        column = first.column(name)
        other = second.column(name).cast(column.type)
        encoded = pa.chunked_array([*column.chunks, *other.chunks], column.type).combine_chunks()
        encoded = encoded.dictionary_encode(null_encoding="encode")
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy()
        codes, _ = pd.factorize(codes)
    return codes[: len(first)], codes[len(first) :]


def _positions(wanted: np.ndarray[Any, Any], codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """For each of `codes` its position in `wanted`, or -1."""
    import numpy as np

    size = max(wanted.max(initial=-1), codes.max(initial=-1)) + 1
    where = np.full(size, -1, dtype=np.int64)
    where[wanted] = np.arange(len(wanted))
    found: np.ndarray[Any, Any] = where[codes]
    return found


def _unequal(first: pa.ChunkedArray, second: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Where two columns differ."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_nested(first.type) or pa.types.is_nested(second.type):
        pairs = zip(_plain_values(first), _plain_values(second), strict=True)
        return np.fromiter((a != b for a, b in pairs), bool, len(first))
    if first.type != second.type:
        second = second.cast(first.type)
    differ = pc.fill_null(pc.not_equal(first, second), False)
    if pa.types.is_floating(first.type):
        nans = pc.and_(pc.fill_null(pc.is_nan(first), False), pc.fill_null(pc.is_nan(second), False))
        differ = pc.and_not(differ, nans)
    result = pc.or_(differ, pc.xor(first.is_null(), second.is_null()))
    array: np.ndarray[Any, Any] = result.to_numpy()
    return array


def to_long_form(differences: Differences, key: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """One line per differing value: the key, change, column, before, after.

    A removed or added row has a line for each column that has a value, so that nothing is hidden.

    Args:
        differences: From `compare`.
        key: Names of the key columns.
        columns: Names of the columns to show, in their order.
    """
    import pandas as pd

    parts = [*_one_sided(differences.added, "added", key, columns), *_two_sided(differences, key, columns)]
    parts += _one_sided(differences.removed, "removed", key, columns)
    names = [*key, "change", "column", "before", "after"]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in names})
    frame = pd.concat(parts, ignore_index=True)
    order = {name: index for index, name in enumerate(columns)}
    frame["_column"] = frame["column"].map(order)
    return frame.sort_values([*key, "_column"], kind="stable", ignore_index=True)[names]


def _one_sided(
    rows: pa.Table, change: str, key: Sequence[str], columns: Sequence[str]
) -> Iterator[pd.DataFrame]:
    import numpy as np
    import pyarrow.compute as pc

    shown = [name for name in columns if name in rows.column_names and name not in key]
    for name in shown if len(rows) else ():
        positions = np.flatnonzero(pc.is_valid(rows.column(name)).to_numpy())
        sides: dict[str, Any] = {"before": None, "after": None}
        sides["after" if change == "added" else "before"] = _values(rows, name, positions)
        if len(positions):
            yield _lines(rows, positions, key, change, name, sides)


def _two_sided(
    differences: Differences, key: Sequence[str], columns: Sequence[str]
) -> Iterator[pd.DataFrame]:
    for name in columns:
        positions = differences.changed.get(name)
        if positions is not None:
            sides = {
                "before": _values(differences.before, name, positions),
                "after": _values(differences.after, name, positions),
            }
            yield _lines(differences.after, positions, key, "changed", name, sides)


def _lines(
    rows: pa.Table,
    positions: np.ndarray[Any, Any],
    key: Sequence[str],
    change: str,
    column: str,
    sides: dict[str, Any],
) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    keys = rows.select(list(key)).take(pa.array(positions)).to_pandas()
    empty = pd.Series([None] * len(positions), dtype=object)
    sides = {side: empty if values is None else values for side, values in sides.items()}
    lines: pd.DataFrame = keys.assign(change=change, column=column, **sides)
    return lines


def _values(rows: pa.Table, name: str, positions: np.ndarray[Any, Any]) -> pd.Series[Any]:
    import pandas as pd
    import pyarrow as pa

    return pd.Series(_plain_values(rows.column(name).take(pa.array(positions))), dtype=object)


def _types() -> Any:
    from pyarrow import types

    return types


def _plain_values(column: pa.ChunkedArray) -> list[Any]:
    """Python values, maps as dicts: the order of a map's entries has no meaning."""
    values: list[Any] = column.to_pylist()
    return [_plain(value, column.type) for value in values] if _types().is_nested(column.type) else values


def _plain(value: Any, type_: pa.DataType) -> Any:
    types = _types()
    if value is None or not types.is_nested(type_):
        return value
    if types.is_map(type_):
        return {name: _plain(item, type_.item_type) for name, item in value}
    if types.is_struct(type_):
        return {field.name: _plain(value[field.name], field.type) for field in type_}
    return [_plain(item, type_.value_type) for item in value]
