"""Tables are for reading: sides, separators, sums, what is left out; the frame stays, values are escaped."""

import re
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from html import unescape
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from dynaberg.html_tables import NOTHING, ROWS_SHOWN, table, use_tables
from dynaberg.sql.result import QueryResult

NOON = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)


def cells(html: str) -> list[list[str]]:
    """The table's text, row by row."""
    rows = re.findall(r"<tr.*?>(.*?)</tr>", html)
    return [
        [re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)] for row in rows
    ]


def column(name: str, *values: object) -> list[str]:
    return [row[0] for row in cells(table(pd.DataFrame({name: list(values)})))[1:]]


@pytest.mark.parametrize(
    ("name", "values", "shown"),
    [
        ("rows", [1234567, 2], ["1,234,567", "2"]),
        ("snapshot_id", [7531069896871323169, 2], ["7531069896871323169", "2"]),
        ("timestamp", [1767225600000], ["1767225600000"]),
        ("hour", [7, 23], ["7", "23"]),
        ("share", [0.145543, 1.0], ["0.15", "1.00"]),
        ("seconds", [0.081, None], ["0.081", NOTHING]),
        ("p50_seconds", [0.000012, 0.0], ["0.000", "0.000"]),
        ("usd", [0.000012, 0.0], ["0.0000120", "0.0000000"]),
        ("mean", [351536.49, 0.5], ["351,536", "0.5"]),
        ("unit_price_usd", [Decimal("0.0000006250"), Decimal("3.00"), 0], ["0.000000625", "3", "0"]),
        ("quantity", [Decimal(16_401), Decimal("0.03530"), 0.0], ["16,401", "0.0353", "0"]),
        ("quantity", [Decimal("16401.0000"), Decimal("0.0005")], ["16,401", "0.0005"]),
        ("nulls_after", [0.000206, 0.9], ["0.000206", "0.9"]),
        ("runtime", [0.0, 0.0], ["0", "0"]),
        ("amount", [Decimal("351536.49"), Decimal("1.20")], ["351,536.49", "1.20"]),
        ("amount", [Decimal("1.5"), Decimal("20.25")], ["1.50", "20.25"]),
        ("ok", [True, np.False_, None], ["yes", "no", NOTHING]),
        ("day", [date(2026, 1, 31)], ["2026-01-31"]),
        ("note", ["", "a `b` c", None], ["", "a b c", NOTHING]),
        ("old", [{"a": 1}, [1, 2]], ["{&#x27;a&#x27;: 1}", "[1, 2]"]),
        ("never", [None, float("nan"), pd.NaT], [NOTHING, NOTHING, NOTHING]),
    ],
)
def test_values_are_written_for_people(name: str, values: list[object], shown: list[str]) -> None:
    frame = pd.DataFrame({name: pd.Series(values, dtype=object)})
    assert [row[0] for row in cells(table(frame))[1 : len(values) + 1]] == shown


def test_moments_are_in_utc_with_the_unit_in_the_head() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert cells(table(pd.DataFrame({"at": [elsewhere]}))) == [["at UTC"], ["2026-01-31 12:00:05"]]
    finer = NOON.replace(microsecond=123456)
    assert column("at", finer, NOON) == ["2026-01-31 12:00:05.123", "2026-01-31 12:00:05.000"]


def test_text_is_on_the_left_and_numbers_are_on_the_right() -> None:
    html = table(pd.DataFrame({"name": ["x" * 500], "rows": [3]}))
    text, number = re.findall(r'<td style="([^"]*)"', html)
    assert "text-align:left" in text
    assert "text-align:right" in number
    assert "x" * 500 in html, "a reason is never cut off"


def test_a_long_name_may_break_after_its_signs_and_stays_the_same_text() -> None:
    name = "arn:aws:s3tables:us-east-1:bucket/streamtablebucket & <more>"
    html = table(pd.DataFrame({"name": [name]}))
    assert "arn:<wbr>aws:<wbr>s3tables:<wbr>us-<wbr>east-<wbr>1" in html
    assert unescape(cells(html)[1][0]) == name
    assert "<wbr>" not in table(pd.DataFrame({"name": ["short-name"]}))


def test_what_adds_up_has_a_total_over_all_rows_and_what_does_not_has_none() -> None:
    costs = {
        "what": [f"part {n}" for n in range(40)],
        "unit_price_usd": [2] * 40,
        "usd": [Decimal("0.25")] * 40,
    }
    shown = cells(table(pd.DataFrame(costs)))
    assert shown[-1] == ["total", "", "10.00"]
    assert len(shown) == 1 + ROWS_SHOWN + 1
    for name in ("p50_seconds", "share", "total_records", "unit_price_usd"):
        assert "total" not in table(pd.DataFrame({"a": ["x", "y"], name: [1, 2]})).replace(
            "total_<wbr>records", ""
        )
    assert "total" not in table(pd.DataFrame({"a": ["x"], "usd": [1]})), "one row adds up to itself"


def test_what_is_left_out_is_said() -> None:
    assert "The first 15 of 1,000 rows; 985 more are in the DataFrame." in table(
        pd.DataFrame({"n": range(1000)})
    )
    for rows in (ROWS_SHOWN, ROWS_SHOWN + 1):
        drawn = table(pd.DataFrame({"n": range(rows)}))
        assert "more are" not in drawn
        assert drawn.count("<tr") == 1 + rows
    assert "No rows." in table(pd.DataFrame({"n": []}))
    assert "No columns." in table(pd.DataFrame())


def test_an_index_with_a_meaning_is_shown_and_a_counter_is_not() -> None:
    frame = pd.DataFrame({"kind": ["a", "b", "a"], "n": [1, 2, 3]})
    assert cells(table(frame[frame["n"] > 1]))[0] == ["kind", "n"]
    assert cells(table(frame.groupby("kind").sum())) == [["kind", "n"], ["a", "4"], ["b", "2"]]
    by_both = frame.assign(m=[1, 1, 2]).groupby(["kind", "m"]).sum()
    assert cells(table(by_both))[1] == ["a", "1", "1"]
    assert cells(table(by_both.unstack("m")))[0] == ["kind", "n / 1", "n / 2"]


def test_everything_is_escaped_and_nothing_has_a_color_or_a_script() -> None:
    attack = "<script>alert(1)</script>"
    frame = pd.DataFrame({attack: [attack, 1]}, index=pd.Index([attack, "b"], name=attack))
    html = table(frame, note=attack)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 5
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b|rgb\(|class=", html)


def test_the_frame_is_not_changed() -> None:
    frame = pd.DataFrame({"usd": [Decimal("1.5"), None], "at": [NOON, NOON], "n": [1, 2]}, index=[4, 2])
    before = frame.copy(deep=True)
    table(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_a_notebook_shows_frames_and_series_so_and_a_plain_python_nothing(monkeypatch) -> None:
    formatter = DisplayFormatter()
    shell = SimpleNamespace(display_formatter=formatter)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    use_tables()
    frame = pd.DataFrame({"rows": [12345]})
    for shown in (frame, frame["rows"]):
        assert "12,345" in formatter.format(shown)[0]["text/html"]
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    use_tables()


def test_a_query_s_result_is_drawn_the_same() -> None:
    frame = pd.DataFrame({"transactions": [12345]})
    result = QueryResult(df=frame, columns=(), sql="", query_id="q-1", runtime_ms=1, bytes_scanned=2)
    assert table(frame) in result._repr_html_()


def test_heads_break_after_their_signs_so_that_numbers_decide_how_wide_a_column_is():
    html = table(pd.DataFrame({"rows_with_<b>": [1], "note": ["x"]}))
    assert "rows_<wbr>with_&lt;b&gt;" in html
    heads = re.findall(r"<th [^>]*>", html)
    assert len(heads) == 2
    assert not any("nowrap" in head for head in heads)
