"""Percentiles that weigh each lag by its changes, and the picture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dynaberg import aws
from dynaberg.delivery.freshness import COLUMNS, HOPS, _lags, _Metric, _row, _worst, percentiles, period
from dynaberg.plots import plot_freshness

AT = pd.Timestamp("2026-01-31T12:00:00Z")


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 1.0])
def test_percentiles_are_those_of_the_single_values(share: float) -> None:
    seconds, weights = [3.0, 1.0, 2.0, 9.0], [1, 50, 44, 5]
    every = np.sort(np.repeat(seconds, weights))
    assert percentiles(seconds, weights, (share,)) == [every[int(np.ceil(share * len(every))) - 1]]


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": ["a", "b", "gone"],
            "received_at": [AT, AT + pd.Timedelta(seconds=1), AT],
            "lag_ms": [500, 1500, 2500],
            "changes": [3, 1, 6],
            "exact": [0, 0, 0],
        }
    )


def test_rows_of_files_that_were_rewritten_do_not_count_where_they_cannot() -> None:
    committed = {"a": AT + pd.Timedelta(seconds=4), "b": AT + pd.Timedelta(seconds=4)}
    lags, whole_seconds = _lags(rows(), committed)
    assert whole_seconds
    told = {hop: _row(hop, lags[hop], None, "")[1:5] for hop in HOPS[1:]}
    assert told == {
        HOPS[1]: (10, 2.5, 2.5, 2.5),
        HOPS[2]: (4, 4.0, 4.0, 4.0),
        HOPS[3]: (4, 4.5, 4.5, 4.5),
    }
    assert list(_lags(rows(), {})[0]) == [HOPS[1]]
    assert _lags(rows().assign(exact=1), {})[1] is False
    assert _lags(rows().head(0), committed) == ({}, False)


def test_the_picture_adds_the_hops_up() -> None:
    frame = pd.DataFrame(
        [
            (HOPS[0], 0, np.nan, np.nan, np.nan, None, np.nan, ""),
            (HOPS[1], 10, 1.0, 2.0, 3.0, None, np.nan, ""),
            (HOPS[2], 10, 4.0, 8.0, 9.0, None, np.nan, ""),
            (HOPS[3], 10, 5.0, 9.0, 11.0, None, np.nan, ""),
        ],
        columns=COLUMNS,
    )
    ax = plot_freshness(frame)
    bars: list[Any] = list(ax.patches)
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0, 1), (1, 4), (0, 5)]
    assert (
        ax.get_title().replace("\n", " ")
        == "Half of the changes arrive in 5.0 s and 95% in 9.0 s; longest: Lambda → Firehose → snapshot"
    )
    assert plot_freshness(frame.head(1)).get_title() == "The change log has no change of this time"


class FakeCloudWatch:
    """Knows one metric, under two sets of dimensions."""

    def __init__(self) -> None:
        self.queries: list[dict[str, Any]] = []

    def list_metrics(self, **call: Any) -> dict[str, Any]:
        if call["MetricName"] != "IteratorAge":
            return {"Metrics": []}
        wide = {**call, "Dimensions": [*call["Dimensions"], {"Name": "Resource", "Value": "f:1"}]}
        return {"Metrics": [wide, dict(call)]}

    def get_metric_data(self, **call: Any) -> dict[str, Any]:
        self.queries = call["MetricDataQueries"]
        return {"MetricDataResults": [{"Id": query["Id"], "Values": [10, 2_500]} for query in self.queries]}


def test_the_worst_value_of_a_metric_stands_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    cloudwatch = FakeCloudWatch()
    monkeypatch.setattr(aws, "client", lambda *_: cloudwatch)
    metrics = {
        HOPS[1]: _Metric("AWS/Lambda", "IteratorAge", {"FunctionName": "f"}, 1000),
        HOPS[2]: _Metric("AWS/Firehose", "DeliveryToIceberg.DataFreshness", {"DeliveryStreamName": "s"}, 1),
    }
    since = datetime.now(UTC) - timedelta(days=2)
    session: Any = None
    assert _worst(session, metrics, since) == {HOPS[1]: ("AWS/Lambda IteratorAge", 2.5)}
    [asked] = cloudwatch.queries
    assert len(asked["MetricStat"]["Metric"]["Dimensions"]) == 1
    assert asked["MetricStat"]["Period"] == 180, "two days in at most 1,440 points"
    assert _worst(session, {}, since) == {}


@pytest.mark.parametrize(
    ("days", "multiple"), [(0.01, 60), (2, 60), (14.9, 60), (15, 300), (40, 300), (63, 3_600), (400, 3_600)]
)
def test_older_values_are_asked_for_in_the_periods_that_cloudwatch_keeps(days: float, multiple: int) -> None:
    span = timedelta(days=days)
    seconds = period(span)
    assert seconds % multiple == 0
    assert span.total_seconds() / seconds <= 1_440
