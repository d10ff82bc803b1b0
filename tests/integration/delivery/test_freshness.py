"""The lag of each hop, from the log, its metadata and CloudWatch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from dynaberg.delivery.freshness import HOPS, freshness
from dynaberg.errors import SettingsError
from dynaberg.plots import plot_freshness


@pytest.fixture(scope="module")
def lags(story: Any) -> pd.DataFrame:
    pipeline = story.pipeline
    return freshness(pipeline.session, pipeline.settings, pipeline.contract).set_index("hop")


def by_hand(story: Any) -> pd.DataFrame:
    """The lags of every change, from each snapshot's own rows."""
    log = story.pipeline.load("transactions_changes")
    parts, before = [], 0
    for snapshot in sorted(log.snapshots(), key=lambda each: each.timestamp_ms):
        rows = log.scan(snapshot_id=snapshot.snapshot_id).to_pandas()
        new = rows[~rows["change_id"].isin([i for part in parts for i in part["change_id"]])]
        assert len(rows) == before + len(new)
        before = len(rows)
        at = pd.Timestamp(snapshot.timestamp_ms, unit="ms", tz="UTC")
        parts.append(
            pd.DataFrame(
                {
                    "change_id": new["change_id"],
                    HOPS[1]: (new["received_at"] - new["changed_at"]).dt.total_seconds(),
                    HOPS[2]: (at - new["received_at"]).dt.total_seconds(),
                    HOPS[3]: (at - new["changed_at"]).dt.total_seconds(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_lags_are_those_of_every_change(story: Any, lags: pd.DataFrame) -> None:
    expected = by_hand(story)
    assert lags.index.to_list() == list(HOPS)
    for hop in HOPS[1:]:
        assert lags.loc[hop, "changes"] == len(expected) == 45
        ranked = expected[hop].sort_values(ignore_index=True)
        for column, place in (("p50_seconds", 22), ("p95_seconds", 42), ("max_seconds", 44)):
            assert lags.loc[hop, column] == pytest.approx(ranked[place], abs=0.003), (hop, column)


def test_what_the_log_cannot_tell_is_said(lags: pd.DataFrame) -> None:
    first = lags.loc[HOPS[0]]
    assert first["changes"] == 0
    assert pd.isna(first["p50_seconds"])
    assert "once" in first["note"]
    assert "down to the second" in lags.loc[HOPS[1], "note"]


def test_cloudwatch_stands_beside(lags: pd.DataFrame) -> None:
    assert lags.loc[HOPS[2], "metric"] == "AWS/Firehose DeliveryToIceberg.DataFreshness"
    assert 0 < lags.loc[HOPS[2], "metric_max_seconds"] < 60


def test_since_leaves_out_what_was_before(story: Any) -> None:
    pipeline = story.pipeline
    told = freshness(pipeline.session, pipeline.settings, pipeline.contract, since=story.between)
    assert told["changes"].to_list() == [0, 5, 5, 5]
    later = freshness(
        pipeline.session, pipeline.settings, pipeline.contract, since=datetime.now(UTC) + timedelta(hours=1)
    )
    assert later["changes"].to_list() == [0, 0, 0, 0]
    assert plot_freshness(later).get_title() == "The change log has no change of this time"


def test_a_moment_needs_a_time_zone(story: Any) -> None:
    pipeline = story.pipeline
    with pytest.raises(SettingsError, match="time zone"):
        freshness(pipeline.session, pipeline.settings, pipeline.contract, since=datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_picture_states_the_finding(lags: pd.DataFrame) -> None:
    ax = plot_freshness(lags.reset_index())
    total = lags.loc["total"]
    half, most = (f"{total[name]:,.1f} s" for name in ("p50_seconds", "p95_seconds"))
    found = f"in {half} and 95% in {most}" if half != most else f"95% of the changes arrive in {most}"
    assert found in ax.get_title().replace("\n", " ")
    assert [label.get_text() for label in ax.get_yticklabels()] == list(HOPS[1:])
