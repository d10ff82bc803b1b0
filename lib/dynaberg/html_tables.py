"""Tables for people: a DataFrame as HTML to read. The frame stays as it is, and so do its column names."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd

ROWS_SHOWN = 15
NOTHING = "\N{EN DASH}"
# Their numbers name something, so a separator would be wrong.
_NAMES = re.compile(r"(^|_)(id|year|timestamp|number)$|^(hour|minute|day|month)$")
# Columns whose sum is a figure that somebody asks for.
_ADDS_UP = re.compile(r"(^|_)usd(_per_month)?$|^(files|delete_files|files_after|files_saved|bytes_freed)$")
_UNIT_PRICE = "unit_price"
_DIGITS, _CENTS = 4, 2
_LONG_WORD = 16

_TABLE = "border-collapse:collapse;border:none;margin:.3em 0;font-size:.95em"
_CELL = "padding:.25em .7em .25em 0;border:none;vertical-align:top;max-width:42em;overflow-wrap:break-word"
_HEAD = f"{_CELL};border-bottom:1px solid currentColor;font-weight:600;background:none"
_LEFT, _RIGHT = "text-align:left;white-space:normal", "text-align:right;white-space:normal"
_NUMBER = "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"
_LINE = ";border-top:1px solid currentColor;font-weight:600"
_NOTE = "opacity:.7;font-size:.85em"

Show = Callable[[Any], str]


def use_tables() -> None:
    """In a notebook, show each DataFrame that ends a cell as `table` draws it; elsewhere, do nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        formatter = shell.display_formatter.formatters["text/html"]
        formatter.for_type(pd.DataFrame, table)
        formatter.for_type(pd.Series, lambda series: table(series.to_frame(series.name or "")))


def table(frame: pd.DataFrame, *, note: str = "") -> str:
    """Draw a DataFrame: text left, numbers right with separators and sensible digits, sums where they add up.

    Args:
        frame: Any DataFrame; it is not changed.
        note: A sentence under the table.

    Returns:
        HTML without script or color, every value escaped; of a long table the first 15 rows, with a line that
        says how many are left out.

    Example:
        >>> HTML(table(wb.list_resources()))
    """
    if not len(frame.columns):
        return f'<div style="{_NOTE}">No columns.</div>'
    index = _index_names(frame)
    columns = [_Column(frame.iloc[:, place], name) for place, name in enumerate(frame.columns)]
    head = "".join(f'<th scope="col" style="{_HEAD};{_LEFT}">{_head(name)}</th>' for name in index)
    head += "".join(column.head() for column in columns)
    shown = frame.index[: _rows_shown(len(frame))]
    rows = "".join(
        f'<tr style="background:none">{_index_cells(key, index)}{"".join(c.cell(n) for c in columns)}</tr>'
        for n, key in enumerate(shown)
    )
    body = f"<tbody>{rows}{_total(columns, len(index), len(frame))}</tbody>"
    drawn = f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead>{body}</table>'
    return f'<div style="overflow-x:auto">{drawn}</div>{_foot(len(frame), note)}'


class _Column:
    """One column: which side it is on, how its values are written, and what they add up to."""

    def __init__(self, values: pd.Series, name: Any) -> None:
        self.name = " / ".join(map(str, name)) if isinstance(name, tuple) else str(name)
        self.values = values.tolist()
        known = [value for value in self.values if not _missing(value)]
        self.show, self.number, self.unit = _writing(self.name, known)
        adds_up = _ADDS_UP.search(self.name) and _UNIT_PRICE not in self.name
        self.total = sum(known) if adds_up and self.number and len(known) > 1 else None

    def head(self) -> str:
        unit = f' <span style="opacity:.7;font-weight:400">{self.unit}</span>' if self.unit else ""
        side = _RIGHT if self.number else _LEFT
        return f'<th scope="col" style="{_HEAD};{side}">{_head(self.name)}{unit}</th>'

    def cell(self, row: int) -> str:
        return f'<td style="{_CELL};{self._side}">{self._written(self.values[row])}</td>'

    def sum_cell(self) -> str:
        text = "" if self.total is None else escape(self.show(self.total))
        return f'<td style="{_CELL};{self._side}{_LINE}">{text}</td>'

    @property
    def _side(self) -> str:
        return _NUMBER if self.number else _LEFT

    def _written(self, value: Any) -> str:
        if _missing(value):
            return NOTHING
        text = escape(self.show(value))
        return text if self.number else re.sub(r"`([^`]+)`", r"<code>\1</code>", _breakable(text))


def _head(name: str) -> str:
    """The name of a column, which may break, so that its values decide how wide it is."""
    return _breakable(escape(name), 1)


def _breakable(text: str, length: int = _LONG_WORD) -> str:
    """Long names, of resources for example, may break after their signs, but not within a word."""
    return re.sub(
        rf"[^\s<>]{{{length},}}",
        lambda word: re.sub(r"([:/|_.-]+)(?=\w)", r"\1<wbr>", word.group()),
        text,
    )


def _writing(name: str, known: list[Any]) -> tuple[Show, bool, str]:
    """How the values of a column are written, whether they are numbers, and their unit."""
    if not known:
        return str, False, ""
    if all(isinstance(value, bool | np.bool_) for value in known):
        return lambda value: "yes" if value else "no", False, ""
    if all(isinstance(value, datetime) for value in known):
        return _moment(known), False, "UTC" if all(value.tzinfo for value in known) else ""
    if not all(isinstance(value, Real | Decimal) for value in known):
        return str, False, ""
    whole = all(isinstance(value, Integral) for value in known)
    if _NAMES.search(name):
        return str if whole else "{:.0f}".format, True, ""
    if whole:
        return "{:,}".format, True, ""
    if name.endswith("seconds"):
        return f"{{:,.{min(_decimals(known), 3)}f}}".format, True, ""
    fixed = f"{{:,.{_decimals(known)}f}}".format
    is_hidden = any(value and not fixed(value).strip("-0.") for value in known)
    return _significant if is_hidden else fixed, True, ""


def _significant(value: Any) -> str:
    """A number with three digits that count, in a column in which others are a thousand times as large."""
    if not value or not math.isfinite(value):
        return f"{value:,.0f}"
    decimals = max(2 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def _decimals(known: list[Any]) -> int:
    """Digits after the point: those that amounts of money share; otherwise enough for the largest value."""
    if all(isinstance(value, Decimal) and value.is_finite() for value in known):
        scales = {max(-int(value.as_tuple().exponent), 0) for value in known}
        if len(scales) == 1 and max(scales) <= _CENTS:
            return scales.pop()
    sizes = [abs(float(value)) for value in known if math.isfinite(value)]
    largest = max(sizes, default=0.0)
    if not largest:
        return 0
    before = math.floor(math.log10(largest)) + 1
    return min(max(_DIGITS - before, 0), 2) if largest >= 1 else _DIGITS - 1 - before


def _moment(known: list[Any]) -> Show:
    letters = len(
        "2026-01-31 09:05:07.123" if any(value.microsecond for value in known) else "2026-01-31 09:05:07"
    )

    def show(value: datetime) -> str:
        moment = value.astimezone(UTC) if value.tzinfo else value
        return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:letters]

    return show


def _missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _index_names(frame: pd.DataFrame) -> list[str]:
    """Names of the index's columns; none where the index only counts the rows."""
    plain = frame.index.nlevels == 1 and frame.index.name is None
    if plain and (frame.empty or pd.api.types.is_integer_dtype(frame.index.dtype)):
        return []
    return [str(name or "") for name in frame.index.names]


def _index_cells(key: Any, names: list[str]) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    style = f"{_CELL};{_LEFT};font-weight:600;background:none"
    cells = (f'<th scope="row" style="{style}">{_label(part)}</th>' for part in parts)
    return "".join(cells) if names else ""


def _label(part: Any) -> str:
    return NOTHING if _missing(part) else escape(str(part))


def _total(columns: list[_Column], index: int, rows: int) -> str:
    """The line under the table, if some column adds up; it counts all rows, those left out too."""
    if rows < 2 or all(column.total is None for column in columns):
        return ""
    cells = [f'<th scope="row" style="{_CELL};{_LEFT}{_LINE};background:none">total</th>'] * bool(index)
    cells += [f'<td style="{_CELL}{_LINE}"></td>'] * (index - 1)
    sums = [column.sum_cell() for column in columns]
    if not index and columns[0].total is None:
        sums[0] = f'<th scope="row" style="{_CELL};{_LEFT}{_LINE};background:none">total</th>'
    return f'<tr style="background:none">{"".join(cells + sums)}</tr>'


def _rows_shown(rows: int) -> int:
    """How many rows are drawn; where one is left over, it needs no more room than the words that say so."""
    return rows if rows <= ROWS_SHOWN + 1 else ROWS_SHOWN


def _foot(rows: int, note: str) -> str:
    words, shown = [], _rows_shown(rows)
    if rows > shown:
        words.append(f"The first {shown} of {rows:,} rows; {rows - shown:,} more are in the DataFrame.")
    if rows == 0:
        words.append("No rows.")
    words += [note] if note else []
    return "".join(f'<div style="{_NOTE}">{escape(word)}</div>' for word in words)
