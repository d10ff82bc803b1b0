"""Every picture, with frames of any size that it draws: what holds for one must hold for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.axes import Axes

from dynaberg import plots

START = datetime(2026, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC)


@dataclass(frozen=True)
class Subject:
    """A picture and what it draws.

    Attributes:
        draw: Draws a frame; the picture's other arguments are fixed.
        frame: A frame of so many rows.
        numbers: Columns of numbers that it needs.
        others: Other columns that it needs.
        names: A column of names that it shows; empty if it shows none.
    """

    draw: Callable[[pd.DataFrame], Axes]
    frame: Callable[[int], pd.DataFrame]
    numbers: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    names: str = ""


def _moments(rows: int, seconds: float = 1) -> list[datetime]:
    return [START.replace(microsecond=0) + timedelta(seconds=seconds * row) for row in range(rows)]


def _cycle(rows: int, *values: object) -> list[object]:
    return [values[row % len(values)] for row in range(rows)]


def _counts(rows: int) -> pd.DataFrame:
    operations = _cycle(rows, "INSERT", "MODIFY", "REMOVE", "SNAPSHOT", "RENAME")
    changes = _cycle(rows, 60, 25, 15)
    return pd.DataFrame({"moment": _moments(rows, 0.25), "operation": operations, "changes": changes}).assign(
        moment=lambda frame: frame["moment"].dt.floor("s")
    )


def _snapshots(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "committed_at": pd.to_datetime(_moments(rows, 2), utc=True),
            "operation": _cycle(rows, "append", "overwrite", "delete", "replace", "other"),
            "added_records": _cycle(rows, 150, 10),
            "total_records": _cycle(rows, 150, 400, 390),
            "written_by": [f"Trino query {row}" for row in range(rows)],
        }
    )


def _resources(rows: int) -> pd.DataFrame:
    tables, buckets = (
        ("AWS::DynamoDB::Table", "Iceberg table", "Iceberg table"),
        ("AWS::S3Tables::TableBucket",),
    )
    kinds = _cycle(rows, *tables, *buckets, "AWS::S3::Bucket")
    if rows > 100:
        kinds = [f"AWS::Kind{row}::Thing" for row in range(rows)]
    return pd.DataFrame({"kind": kinds, "name": _cycle(rows, "a", "s.t", "s.t_changes", "b", "c")})


def _grants(rows: int) -> pd.DataFrame:
    whats = _cycle(rows, "change log", "every table", "error bucket", "logs", "a new thing")
    if rows > 100:
        whats = [f"thing {row}" for row in range(rows)]
    permissions = _cycle(rows, "s3tables:PutTableData, s3tables:GetTable", "s3tables:GetTable")
    principals = _cycle(rows, "Firehose", "forwarder", "analyst")
    if rows > 100:
        principals = [f"role {row}" for row in range(rows)]
    return pd.DataFrame({"principal": principals, "what": whats, "permission": permissions, "enforced": True})


def _hourly(rows: int) -> pd.DataFrame:
    hours = _cycle(rows, *range(24))
    busy = [900 if hour == 19 else 100 + row % 3 for row, hour in enumerate(hours)]
    return pd.DataFrame({"hour": hours, "transactions": busy, "declined": _cycle(rows, 4, 5)})


def _risk(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": _cycle(rows, "EU", "APAC", "US_EAST"),
            "merchant_category": [f"kind {row // 3}" for row in range(rows)],
            "high_risk_count": _cycle(rows, 0, 9, 10, 40),
            "total_transactions": _cycle(rows, 20, 100),
        }
    )


def _merchants(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "merchant_name": [f"Merchant {row}" for row in range(rows)],
            "merchant_category": _cycle(rows, "TRAVEL", "RETAIL", "TRAVEL"),
            "amount": [float(1 + 7 * row % 900) for row in range(rows)],
            "declined": _cycle(rows, 0.0, 0.25),
        }
    )


def _bill(rows: int) -> pd.DataFrame:
    bases = _cycle(rows, "list price", "list price", "unverified price", "list price", "assumed quantity")
    return pd.DataFrame(
        {
            "pattern": _cycle(rows, "dynamodb", "kinesis", "dynamodb", "kinesis", "zero-etl"),
            "service": [f"Service {row}" for row in range(rows)],
            "usd_per_month": _cycle(rows, 9, 5, 7, 3, 30, 0.01),
            "basis": bases,
        }
    )


def _failures(rows: int) -> pd.DataFrame:
    codes = _cycle(rows, "A", "B", "B") if rows < 100 else [f"Code {row}" for row in range(rows)]
    places = _cycle(rows, "error bucket", "dead-letter queue", "parked queue", "elsewhere")
    return pd.DataFrame({"error_code": codes, "where": places})


def _lags(rows: int) -> pd.DataFrame:
    hops = ["item → stream", "stream → Lambda", "Lambda → Firehose → snapshot", "total"]
    hops += [f"hop {row}" for row in range(rows)]
    return pd.DataFrame(
        {"hop": hops[:rows], "p50_seconds": _cycle(rows, 1.0, 3.0), "p95_seconds": _cycle(rows, 2.0, 9.0)}
    )


def _drift(rows: int) -> pd.DataFrame:
    sides = {f"{name}_{side}": 0.0 for name in ("p50", "nulls") for side in ("before", "after")}
    frame = pd.DataFrame({"column": [f"column {row}" for row in range(rows)]})
    frame["distance"] = _cycle(rows, 0.5, 0.2, 0.05)
    return frame.assign(measured_on="top values", **sides, top=[[("a", 0.5, 0.1)]] * rows)


def _clocks(rows: int) -> pd.DataFrame:
    statuses = _cycle(rows, "APPROVED", "DECLINED", "APPROVED", None)
    return pd.DataFrame({"status": statuses if rows < 100 else [f"status {row}" for row in range(rows)]})


def _diff(rows: int) -> pd.DataFrame:
    changes = _cycle(rows, "added", "removed", "changed")
    return pd.DataFrame({"id": range(rows), "change": changes, "column": "status"})


def _history(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "changed_at": _moments(rows),
            "sequence_number": [f"{row:040}" for row in range(rows)],
            "operation": ["INSERT", *["MODIFY"] * (rows - 2), "REMOVE"][:rows] if rows > 1 else ["MODIFY"],
            "attribute": _cycle(rows, "status", "amount"),
            "before": None,
            "after": _cycle(rows, "PENDING_REVIEW", "9.99"),
        }
    )


def _profile(rows: int) -> pd.DataFrame:
    bins = [(0, 1, 90), (1, 2, 10), (5, 5, 40), (5, 100, 10)]
    values = [("APPROVED", 120), ("DECLINED", 30), ("FLAGGED", 15), ("OPEN", 5), ("CLOSED", 2)]
    return pd.DataFrame(
        {
            "column": [f"column {row}" for row in range(rows)],
            "rows": 200,
            "nulls": _cycle(rows, 0, 10),
            "approx_distinct": _cycle(rows, 4, 199, 30),
            "min": 0,
            "max": 99,
            "top": _cycle(rows, values, values[:2]),
            "approx_histogram": _cycle(rows, bins, [(0, 99, 10), (99, 100, 90)]),
        }
    )


def _files(rows: int) -> pd.DataFrame:
    sizes = [9.0 * 4 ** (row % 13) for row in range(rows)]
    return pd.DataFrame({"content": _cycle(rows, "data", "data", "position deletes"), "bytes": sizes})


def _lineage(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "box": [f"table {row}" for row in range(rows)],
            "kind": _cycle(rows, "source", "curated", "chart"),
            "depth": [row // 6 for row in range(rows)],
            "inputs": [[f"table {row - 6}", "elsewhere"] if row > 5 else [] for row in range(rows)],
            "rows": pd.array(_cycle(rows, 1, 1_000, None), "Int64"),
            "age_seconds": _cycle(rows, 5.0, 90.0, 7_200.0, None),
            "outcome": _cycle(rows, "replaced", "", "failed: checks failed"),
            "status": _cycle(rows, "fresh", "fresh", "failed", "behind", "missing"),
        }
    )


SUBJECTS = {
    "flow": Subject(plots.plot_flow, _resources, others=("kind", "name"), names="name"),
    "grants": Subject(
        plots.plot_grants, _grants, others=("principal", "what", "permission", "enforced"), names="what"
    ),
    "lineage": Subject(
        plots.plot_lineage,
        _lineage,
        others=("box", "kind", "depth", "inputs", "rows", "age_seconds", "outcome", "status"),
        names="box",
    ),
    "operations": Subject(plots.plot_operations, _counts, ("changes",), ("moment", "operation"), "operation"),
    "delivery": Subject(
        lambda frame: plots.plot_delivery(frame, _snapshots(9)), _counts, ("changes",), ("moment",)
    ),
    "resources": Subject(
        lambda frame: plots.plot_resources(frame, frame.iloc[1:2]), _resources, (), ("kind", "name"), "kind"
    ),
    "snapshots": Subject(
        plots.plot_snapshots, _snapshots, ("total_records",), ("committed_at", "operation"), "operation"
    ),
    "two clocks": Subject(
        lambda frame: plots.plot_two_clocks(frame, frame.iloc[2:], by="status", when=START),
        _clocks,
        others=("status",),
        names="status",
    ),
    "diff": Subject(
        lambda frame: plots.plot_diff(frame, rows_before=20_000), _diff, others=("change",)
    ),
    "history": Subject(
        plots.plot_item_history, _history, (), ("changed_at", "operation", "attribute", "after"), "attribute"
    ),
    "hourly": Subject(plots.plot_hourly, _hourly, ("hour", "transactions", "declined")),
    "risk": Subject(
        plots.plot_risk_by_region,
        _risk,
        ("high_risk_count", "total_transactions"),
        ("region", "merchant_category"),
        "merchant_category",
    ),
    "merchants": Subject(
        plots.plot_merchants, _merchants, ("amount",), ("merchant_name", "merchant_category"), "merchant_name"
    ),
    "cost": Subject(plots.plot_cost, _bill, ("usd_per_month",), ("pattern", "service", "basis"), "service"),
    "failures": Subject(plots.plot_failures, _failures, (), ("error_code", "where"), "error_code"),
    "freshness": Subject(plots.plot_freshness, _lags, ("p50_seconds", "p95_seconds"), ("hop",), "hop"),
    "drift": Subject(plots.plot_drift, _drift, ("distance",), ("column", "measured_on", "top"), "column"),
    "profile": Subject(
        plots.plot_profile, _profile, ("approx_distinct", "rows", "nulls"), ("column",), "column"
    ),
    "top values": Subject(plots.plot_top_values, _profile, ("rows", "nulls"), ("column", "top"), "column"),
    "histograms": Subject(
        plots.plot_histograms, _profile, (), ("column", "approx_histogram", "min", "max"), "column"
    ),
    "distribution": Subject(
        lambda frame: plots.plot_distribution(frame["bytes"], unit="B"), _files, ("bytes",)
    ),
    "file sizes": Subject(plots.plot_file_sizes, _files, ("bytes",), ("content",), "content"),
}  # fmt: skip


@pytest.fixture(params=sorted(SUBJECTS))
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each picture in turn."""
    return SUBJECTS[request.param]


@pytest.fixture
def every_subject() -> dict[str, Subject]:
    """All pictures by name."""
    return SUBJECTS


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    """Dynaberg's style, and no figure left open."""
    with mpl.rc_context():
        plots.use_style()
        yield
        plt.close("all")
