"""Athena's result text, turned into columns of exact types."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class ResultColumn:
    """One column of a result, as Athena describes it.

    Attributes:
        name: Name, `_col0` and so on if the statement gave none.
        type: Athena's type without its parameters, such as `decimal`.
        precision: Digits of a decimal.
        scale: Digits of a decimal after the point.
    """

    name: str
    type: str
    precision: int = 0
    scale: int = 0


def to_frame(table: pa.Table, columns: list[ResultColumn]) -> pd.DataFrame:
    """A DataFrame of exact types from a table of text.

    | Athena | pandas |
    |---|---|
    | tinyint … bigint | Int8 … Int64, nullable |
    | boolean | boolean, nullable |
    | real, double | float32, float64 |
    | decimal | `decimal.Decimal` |
    | date | `datetime.date` |
    | timestamp with time zone | datetime64[us, UTC] |
    | timestamp | datetime64[us] |
    | varbinary | bytes |
    | array, map, row | list, dict |
    | everything else | text |

    Args:
        table: The columns as text, null if the value is NULL; names may repeat.
        columns: Athena's description of each.
    """
    import pandas as pd

    series = [_column(table.column(index), column) for index, column in enumerate(columns)]
    frame: pd.DataFrame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index([column.name for column in columns], dtype=object)
    return frame


def _column(text: pa.ChunkedArray, column: ResultColumn) -> pd.Series[Any]:
    """One column, converted as a whole."""
    import pandas as pd
    import pyarrow as pa

    if column.type in ("array", "map", "row"):
        return _nested(text, column.type)
    convert = _CONVERSIONS.get(column.type)
    converted = convert(text, column) if convert else text
    mapper = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    series: pd.Series[Any] = converted.to_pandas(types_mapper=mapper.get)
    return series


def _nested(text: pa.ChunkedArray, kind: str) -> pd.Series[Any]:
    import pandas as pd
    from pyathena.converter import DefaultTypeConverter

    converter: Any = DefaultTypeConverter()
    values = [None if value is None else converter.convert(kind, value) for value in text.to_pylist()]
    return pd.Series(values, dtype=object)


def _cast(type_name: str) -> Callable[[pa.ChunkedArray, ResultColumn], pa.ChunkedArray]:
    def cast(text: pa.ChunkedArray, _: ResultColumn) -> pa.ChunkedArray:
        import pyarrow as pa

        return text.cast(getattr(pa, type_name)())

    return cast


def _decimal(text: pa.ChunkedArray, column: ResultColumn) -> pa.ChunkedArray:
    import pyarrow as pa

    return text.cast(pa.decimal128(column.precision or 38, column.scale))


def _timestamp(text: pa.ChunkedArray, _: ResultColumn) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    microseconds = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")
    return microseconds.cast(pa.timestamp("us"))


def _timestamp_with_zone(text: pa.ChunkedArray, column: ResultColumn) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    in_utc = pc.all(pc.ends_with(text, " UTC")).as_py()
    if in_utc is not False:
        plain = pc.replace_substring_regex(text, " UTC$", "")
        return _timestamp(plain, column).cast(pa.timestamp("us", "UTC"))
    moments = [None if value is None else _moment(value) for value in text.to_pylist()]
    return pa.chunked_array([pa.array(moments, pa.timestamp("us", "UTC"))])


def _moment(text: str) -> datetime:
    """A moment in the zone that it is written in: a name, or an offset."""
    local, _, zone = text.strip().rpartition(" ")
    offset = re.fullmatch(r"([+-])(\d\d):(\d\d)", zone)
    naive = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", local))
    if offset:
        distance = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return (naive - distance if offset[1] == "+" else naive + distance).replace(tzinfo=UTC)
    return naive.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _binary(text: pa.ChunkedArray, _: ResultColumn) -> pa.ChunkedArray:
    import pyarrow as pa

    values = [None if value is None else bytes.fromhex(value) for value in text.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.binary())])


_CONVERSIONS: dict[str, Callable[[pa.ChunkedArray, ResultColumn], pa.ChunkedArray]] = {
    "tinyint": _cast("int8"),
    "smallint": _cast("int16"),
    "integer": _cast("int32"),
    "int": _cast("int32"),
    "bigint": _cast("int64"),
    "boolean": _cast("bool_"),
    "real": _cast("float32"),
    "float": _cast("float32"),
    "double": _cast("float64"),
    "date": _cast("date32"),
    "decimal": _decimal,
    "timestamp": _timestamp,
    "timestamp with time zone": _timestamp_with_zone,
    "varbinary": _binary,
}
