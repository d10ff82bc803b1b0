"""The rows that a picture can draw, and a note on those that it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dynaberg.errors import SettingsError
from dynaberg.plots.canvas.axes import counted, shorten

# More lines than this are not read, and a picture of ten thousand cannot be made.
MOST_LINES = 40


def drawable(
    frame: pd.DataFrame,
    *,
    numbers: Sequence[str] = (),
    moments: Sequence[str] = (),
    others: Sequence[str] = (),
    unit: str = "row",
) -> tuple[pd.DataFrame, str]:
    """The rows that can be drawn: those whose numbers are finite and whose moments are known.

    Args:
        frame: What was given to a picture.
        numbers: Columns that must hold numbers; they are floats in the result.
        moments: Columns that must hold moments; they are in UTC in the result.
        others: Further columns that the picture reads; they may hold nulls.
        unit: What a row of the frame stands for, in the note.

    Returns:
        The rows, numbered from 0, and a note on the rows that were left out; empty if there are none.

    Raises:
        SettingsError: A column is missing, or holds something else.
    """
    require(frame, *numbers, *moments, *others)
    found: dict[str, pd.Series] = {name: as_numbers(frame[name]) for name in numbers}
    found |= {name: _in_utc(frame[name]) for name in moments}
    clean = frame.assign(**found)
    unknown = clean[[*numbers, *moments]].isna()
    left_out = unknown.any(axis=1)
    names = " or ".join(shorten(name) for name in unknown.columns[unknown.any()])
    note = f"left out: {counted(int(left_out.sum()), unit)} without {names}" if names else ""
    return clean[~left_out].reset_index(drop=True), note


def require(frame: Any, *columns: str) -> None:
    """Refuse a frame that lacks columns; one without any row and column is an empty one.

    Raises:
        SettingsError: It is no frame, or a column is missing.
    """
    if not isinstance(frame, pd.DataFrame):
        msg = f"A picture was given a {type(frame).__name__}; it draws a DataFrame."
        raise SettingsError(msg, hint="Pass the result of a query, `.df`, or one of the table's frames.")
    if missing := [name for name in columns if name not in frame]:
        msg = f"The picture needs {_names(missing)}, and the frame has {_names(frame.columns)}."
        raise SettingsError(msg, hint="The picture's help says which frame it draws, and with which columns.")


def as_numbers(values: pd.Series) -> pd.Series[float]:
    """A column as floats; infinite numbers cannot be drawn and are NaN.

    Raises:
        SettingsError: A value is not a number.
    """
    try:
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            raise TypeError  # noqa: TRY301
        numbers = pd.Series(values.to_numpy(dtype=float, na_value=np.nan), values.index, name=values.name)
    except (TypeError, ValueError):
        odd = next(value for value in values.dropna() if not _is_number(value))
    else:
        return numbers.replace([np.inf, -np.inf], np.nan)
    msg = f"{values.name!r} holds {shorten(odd, 40)!r}, which is not a number."
    raise SettingsError(msg, hint="Choose a column of numbers.")


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _in_utc(values: pd.Series) -> pd.Series[pd.Timestamp]:
    try:
        return pd.to_datetime(values, utc=True)
    except (TypeError, ValueError) as error:
        msg = f"{values.name!r} holds something that is not a moment: {error}"
        raise SettingsError(msg, hint="Choose a column of timestamps.") from error


def is_null(value: Any) -> bool:
    """Whether a value is null of any kind; lists and maps are not."""
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def first_lines(lines: pd.DataFrame, noun: str, most: int = MOST_LINES) -> tuple[pd.DataFrame, str]:
    """As many lines as can be read, and a note on the others."""
    rest = len(lines) - most
    return lines.head(most), f"not drawn: {counted(rest, noun)} more" if rest > 0 else ""


def _names(columns: Sequence[object] | pd.Index) -> str:
    if not len(columns):
        return "no column"
    shown = ", ".join(f"`{shorten(name, 40)}`" for name in columns[:12])
    return f"{'column' if len(columns) == 1 else 'columns'} {shown}{', …' if len(columns) > 12 else ''}"
