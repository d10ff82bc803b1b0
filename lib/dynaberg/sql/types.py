"""Athena's result text, turned into columns of exact types."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dynaberg.errors import QueryError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

NESTED = ("array", "map", "row")
AS_TEXT = "as_text"
"""Where `DataFrame.attrs` says why a column is Athena's own text, by its name."""

_MOMENTS_END = (
    "Moments go from the year 1 to 9999. Milliseconds read as seconds? Divide them: from_unixtime(x / 1000). "
    "CAST(… AS varchar) shows the value as it is."
)


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
    | everything else | text |

    Athena's text of an array, map or row has no quotation marks: `[a, b]` may be one text or two. It stays
    text. So does a column of moments if one of them is a wall clock that its zone shows twice or never. What
    stays text, and what to do about it, is in the DataFrame's `attrs["as_text"]`.

    Args:
        table: The columns as text, null if the value is NULL; names may repeat.
        columns: Athena's description of each.

    Raises:
        QueryError: A date or a moment that Python cannot hold.
    """
    import pandas as pd

    series: list[pd.Series[Any]] = []
    kept: dict[str, str] = {}
    for index, column in enumerate(columns):
        values, reason = _column(table.column(index), column)
        series.append(values)
        if reason:
            kept[column.name] = reason
    frame: pd.DataFrame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index([column.name for column in columns], dtype=object)
    if kept:
        frame.attrs[AS_TEXT] = kept
    return frame


def _column(text: pa.ChunkedArray, column: ResultColumn) -> tuple[pd.Series[Any], str]:
    """One column, converted as a whole, or its text and why it stays text."""
    import pyarrow as pa

    convert = _CONVERSIONS.get(column.type)
    try:
        if reason := _kept_as_text(text, column):
            return _to_pandas(text), reason
        return _to_pandas(convert(text, column) if convert else text), ""
    except (pa.ArrowInvalid, OverflowError, ValueError) as error:
        msg = f"The column {column.name!r} holds a {column.type} that Python cannot hold: {error}."
        raise QueryError(msg, hint=_MOMENTS_END) from error


def _kept_as_text(text: pa.ChunkedArray, column: ResultColumn) -> str:
    """Why the value of a column cannot be read from its text, or nothing."""
    if column.type in NESTED and text.null_count < len(text):
        return (
            f"{column.name} is Athena's text of the type {column.type}, whose parts cannot be separated: "
            f"name it in a SELECT from its table alone, or CAST({column.name} AS JSON)."
        )
    return _unclear_clock(text, column.name) if column.type == "timestamp with time zone" else ""


def _to_pandas(converted: pa.ChunkedArray) -> pd.Series[Any]:
    """A pandas column; whole numbers and booleans have room for NULL."""
    import pandas as pd
    import pyarrow as pa

    mapper = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    series: pd.Series[Any] = converted.to_pandas(types_mapper=mapper.get)
    return series


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

    if _all_in_utc(text):
        plain = pc.replace_substring_regex(text, " UTC$", "")
        return _timestamp(plain, column).cast(pa.timestamp("us", "UTC"))
    moments = [None if value is None else _moment(value) for value in text.to_pylist()]
    return pa.chunked_array([pa.array(moments, pa.timestamp("us", "UTC"))])


def _all_in_utc(text: pa.ChunkedArray) -> bool:
    import pyarrow.compute as pc

    return pc.all(pc.ends_with(text, " UTC")).as_py() is not False


def _unclear_clock(text: pa.ChunkedArray, name: str) -> str:
    """Why wall clocks are no moments: one comes twice or never in its zone, or the zone is unknown."""
    if _all_in_utc(text):
        return ""
    instead = "Select the moment itself, AT TIME ZONE 'UTC'"
    for value in text.to_pylist():
        clock, _, zone = (value or "").rpartition(" ")
        if value is None or _OFFSET.fullmatch(zone):
            continue
        try:
            region = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            return f"{name} is text: this Python does not know the time zone {zone}. {instead}."
        naive = _clock(clock).replace(tzinfo=region)
        if naive.utcoffset() != naive.replace(fold=1).utcoffset():
            return (
                f"{name} is text: {value} comes twice or never in its zone, so it is no moment. {instead}; "
                f"pandas shows it there by .dt.tz_convert({zone!r})."
            )
    return ""


_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


def _clock(text: str) -> datetime:
    """A wall clock, to the microsecond."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


def _moment(text: str) -> datetime:
    """A moment in the zone that it is written in: a name, or an offset."""
    clock, _, zone = text.rpartition(" ")
    naive = _clock(clock)
    if offset := _OFFSET.fullmatch(zone):
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
