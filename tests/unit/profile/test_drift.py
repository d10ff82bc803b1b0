"""Drift: distances worked out by hand, exact changes, and a picture that states the finding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from dynaberg import plots
from dynaberg.profile.drift import drift
from dynaberg.upkeep import compaction_saving

METRICS = ("approx_distinct", "min", "approx_p25", "approx_p50", "approx_p75", "max", "mean")


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with mpl.rc_context():
        plots.use_style()
        yield
        plt.close("all")


def profile(*lines: dict[str, Any], rows: int = 100) -> pd.DataFrame:
    blank = {"type": "string", "rows": rows, "nulls": 0, **dict.fromkeys(METRICS), "top": []}
    frame = pd.DataFrame([blank | line for line in lines], dtype=object)
    return frame.astype({"rows": "Int64", "nulls": "Int64", "approx_distinct": "Int64"})


def amounts(*values: str) -> dict[str, Any]:
    names = ("min", "approx_p25", "approx_p50", "approx_p75", "max")
    numbers = dict(zip(names, map(Decimal, values), strict=True))
    return {"column": "amount", "mean": numbers["approx_p50"], **numbers}


def test_the_same_profile_has_not_moved() -> None:
    same = profile({"column": "status", "top": [("a", 60), ("b", 40)]}, amounts("0", "1", "2", "3", "4"))
    found = drift(same, same)
    assert found["distance"].tolist() == [0, 0]
    assert found["measured_on"].tolist() == ["top values", "quantiles"]
    assert plots.plot_drift(found).get_title(loc="left") == "None of 2 columns has shifted"


def test_shares_of_values_and_nulls() -> None:
    before = profile({"column": "status", "top": [("a", 60), ("b", 40)]})
    after = profile({"column": "status", "nulls": 20, "top": [("b", 40), ("c", 120)]}, rows=200)
    line = drift(before, after).iloc[0]
    shares = [(1e-4, 0.1), (0.6, 1e-4), (0.4, 0.2), (1e-4, 0.6), (1e-4, 0.1)]
    assert line["distance"] == pytest.approx(
        math.fsum((b - a) * math.log(b / a) for a, b in shares), rel=1e-9
    )
    assert line["top"] == [("a", 0.6, 0.0), ("b", 0.4, 0.2), ("c", 0.0, 0.6)]
    assert (line["nulls_before"], line["nulls_after"], line["nulls_change"]) == (0, 0.1, 0.1)


def test_a_share_that_may_be_unseen_is_not_invented() -> None:
    before = profile({"column": "city", "top": [(name, 10) for name in "abcde"]})
    after = profile({"column": "city", "top": [(name, 10) for name in "bcdef"]})
    line = drift(before, after).iloc[0]
    assert {value: (old, new) for value, old, new in line["top"]}["a"] == (0.1, None)
    assert line["distance"] == pytest.approx(0), "a and f are among the rest of both"


def test_quantiles_and_exact_changes() -> None:
    before, after = amounts("0", "1", "2", "3", "4"), amounts("2", "3", "4", "5", "6")
    line = drift(profile(before), profile(after)).iloc[0]
    shares = [(0.25, 1e-4), (0.25, 1e-4), (0.25, 0.25), (0.25, 0.75)]
    assert line["distance"] == pytest.approx(math.fsum((b - a) * math.log(b / a) for a, b in shares))
    assert line["mean_change"] == Decimal("2")
    assert isinstance(line["mean_change"], Decimal)


def test_many_equal_quantiles() -> None:
    flat = amounts("5", "5", "5", "5", "5")
    assert drift(profile(flat), profile(flat))["distance"].tolist() == [0]
    assert drift(profile(flat), profile(amounts("9", "9", "9", "9", "9")))["distance"].iloc[0] > 5


def test_a_column_that_came_is_null_before_and_comes_first() -> None:
    status = {"column": "status", "top": [("a", 60), ("b", 40)]}
    found = drift(profile(status), profile(status, {"column": "extra", "top": [("x", 100)]}))
    assert found["column"].tolist() == ["extra", "status"]
    assert found["nulls_before"].tolist() == [1, 0]
    ax = plots.plot_drift(found)
    assert ax.get_title(loc="left") == "1 of 2 columns has shifted, extra the most"
    assert {bar.get_hatch() for bar in ax.patches} == {"///", ""}
    assert any("→" in text.get_text() for text in ax.texts)


def test_compaction_packs_small_files_and_applies_deletes() -> None:
    rows = [
        ("a", "data", 10), ("a", "data", 10), ("a", "data", 15), ("a", "data", 40),
        ("a", "position deletes", 1), ("b", "data", 30),
    ]  # fmt: skip
    files = pd.DataFrame(rows, columns=["partition", "content", "bytes"])
    found = compaction_saving(files, target_bytes=30).set_index("partition")
    assert found.loc["a"].to_dict() == {
        "files": 4, "delete_files": 1, "bytes": 75, "files_after": 3, "files_saved": 2,
    }  # fmt: skip
    assert found.loc["b", "files_after"] == 1
    assert compaction_saving(files.iloc[:0]).empty


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, None])
def test_values_that_are_no_numbers(odd: float | None) -> None:
    usual = {"column": "x", "mean": 2.0, "approx_p25": 1.0, "approx_p50": 2.0, "approx_p75": 3.0}
    line = {**usual, "min": odd, "max": odd, "mean": odd}
    for before, after in ((line, {**usual, "min": 0.0, "max": 4.0}), (usual, line), (line, line)):
        found = drift(profile(before), profile(after)).iloc[0]
        assert math.isfinite(found["distance"])
        assert found["measured_on"] == "quantiles"
    assert drift(profile(line), profile(line))["distance"].tolist() == [0]


def test_a_column_that_changed_its_type_has_no_change() -> None:
    whole, exact = {"column": "x", "mean": 2.0}, {"column": "x", "mean": Decimal("2.5")}
    assert drift(profile(whole), profile(exact)).iloc[0]["mean_change"] is None
