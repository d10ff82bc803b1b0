"""The bill: exact money, dated prices, quantities that follow the workload, measured assumptions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
import yaml
from cfnlint.decode.cfn_yaml import load
from hypothesis import given
from hypothesis import strategies as st

import dynaberg
from dynaberg import plots, prices
from dynaberg.contracts.contract import load_contract
from dynaberg.deploy.stack_state import PARTS
from dynaberg.deploy.template import TEMPLATES
from dynaberg.errors import SettingsError
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.settings import Settings
from dynaberg.source.transactions_model import plan_changes
from dynaberg.sql.result import QueryResult
from dynaberg.upkeep import cost

mpl.use("Agg")
FILE = yaml.safe_load(prices.PRICES.read_text(encoding="utf-8"))
MONTH = cost.Workload(changes=Decimal(3_000_000), hours=cost.HOURS_PER_MONTH)


def line(bill: pd.DataFrame, **values: str) -> pd.Series:
    chosen = bill
    for column, value in values.items():
        chosen = chosen[chosen[column] == value]
    (row,) = [row for _, row in chosen.iterrows()]
    return row


def test_a_pipeline_of_this_moment_has_a_bill() -> None:
    for refreshes in (0, 3):
        begun = replace(MONTH, changes=Decimal(5), hours=Decimal(0), refreshes=Decimal(refreshes))
        for pattern in cost.PATTERNS:
            assert sum(cost.estimate(pattern, begun)["usd"]) >= 0


# The prices -------------------------------------------------------------------------------------


def test_the_prices_are_dated_and_of_one_region() -> None:
    assert isinstance(FILE["seen_on"], date)
    assert FILE["region"] == "us-east-1"
    assert FILE["currency"] == "USD"


@pytest.mark.parametrize("key", FILE["prices"])
def test_every_price_is_text_with_its_source_and_how_it_was_seen(key: str) -> None:
    found = FILE["prices"][key]
    assert isinstance(found["usd"], str)
    assert Decimal(found["usd"]) >= 0
    assert found["seen"] in ("page", "memory")
    assert found["source"].startswith(("https://aws.amazon.com/", "https://docs.aws.amazon.com/"))


def test_every_price_is_used() -> None:
    everything = replace(MONTH, kms_keys=1, writes=True, queries=1, runs=Decimal(1), raw_parquet=True)
    used = {key for pattern in cost.PATTERNS for key, _, _ in cost._lines(pattern, everything)}
    of_a_backfill, while_idle = {"dynamodb-read"}, {"secret"}
    assert used | of_a_backfill | while_idle == set(FILE["prices"])


# The bill ---------------------------------------------------------------------------------------


def scanned_by_refreshes(**workload: Any) -> Decimal:
    bill = cost.estimate("dynamodb", replace(MONTH, **workload))
    found = line(bill, service="Athena", counted="refreshes of the current table")["quantity"]
    assert isinstance(found, Decimal)
    return found


def test_a_refresh_costs_what_came_since_the_last_one_however_old_the_log_is() -> None:
    month = {"refreshes": Decimal(730), "changes": 30_000_000_000 * Decimal(1), "live_items": 0}
    year = {name: value * 12 for name, value in month.items()} | {"hours": cost.HOURS_PER_MONTH * 12}
    assert scanned_by_refreshes(**year) == pytest.approx(
        12 * scanned_by_refreshes(**month), rel=Decimal("0.01")
    )


def test_no_money_is_a_float() -> None:
    bill = cost.estimate_cost(100_000)
    for column in ("quantity", "unit_price_usd", "usd_per_month"):
        assert {type(value) for value in bill[column]} == {Decimal}


def test_an_idle_kinesis_stream_costs_its_hours() -> None:
    bill = cost.estimate_cost(0)
    stream = line(bill, pattern="kinesis", unit="stream-hour")
    assert stream["usd_per_month"] == Decimal("29.20")
    assert stream["usd_per_month"] == prices.idle_usd_per_month("AWS::Kinesis::Stream")


def test_a_line_reckoned_by_hand() -> None:
    bill = cost.estimate("kinesis", replace(MONTH, item_bytes=1_500))
    captured = line(bill, unit="change data capture unit")
    assert captured["quantity"] == 6_000_000
    assert captured["usd"] == Decimal("0.60")
    # A record has 1,500 * 1.7 * 1.25 + 435 = 3,622.5 bytes, billed as 4 KB.
    assert line(bill, counted="records written")["quantity"] == Decimal("12.2880")


def test_the_alarms_of_the_bill_are_those_of_the_template() -> None:
    resources = load(str(TEMPLATES / "observe.yaml"))["Resources"].values()
    alarms = [r for r in resources if r["Type"] == "AWS::CloudWatch::Alarm"]
    always = [r for r in alarms if r.get("Condition") != "UsesKinesis"]
    bill = cost.estimate_cost(0)
    assert line(bill, pattern="kinesis", unit="alarm-month")["quantity"] == len(alarms)
    assert line(bill, pattern="dynamodb", unit="alarm-month")["quantity"] == len(always)
    assert len(alarms) > len(always) > 0


def test_a_schedule_costs_its_runs_and_its_alarms() -> None:
    without, with_one = (cost.estimate_cost(0, runs_per_day=runs) for runs in (0, 96))
    steps = line(with_one, pattern="dynamodb", unit="state transition")
    assert steps["quantity"] == Decimal(96) * 730 / 24 * 7
    resources = load(str(TEMPLATES / "schedule.yaml"))["Resources"].values()
    alarms = line(with_one, pattern="dynamodb", counted="alarms of the schedule")["quantity"]
    assert alarms == sum(r["Type"] == "AWS::CloudWatch::Alarm" for r in resources) == 2
    # A run of nothing new scans nothing.
    for bill in (without, with_one):
        assert line(bill, pattern="dynamodb", counted="refreshes of the current table")["quantity"] == 0
    assert not [counted for counted in without["counted"] if "schedule" in counted]


def test_plain_parquet_costs_its_storage_and_its_files_and_nothing_is_scanned() -> None:
    for pattern in ("dynamodb", "kinesis"):
        with_it = cost.estimate(pattern, replace(MONTH, raw_parquet=True))
        lines = with_it[with_it["service"] == "S3"].set_index("counted")
        assert len(with_it) == len(cost.estimate(pattern, MONTH)) + 2
        stored = line(with_it, counted="tables")["quantity"] - cost._current_bytes(MONTH) / cost.GB
        assert abs(lines.loc["plain Parquet of the change log", "quantity"] - stored) < Decimal("0.001")
        assert lines.loc["files copied as plain Parquet", "quantity"] >= MONTH.refreshes
    assert "S3" not in cost.estimate("zero-etl", replace(MONTH, raw_parquet=True))["service"].tolist()


def test_what_has_an_idle_price_is_what_the_templates_make() -> None:
    made = {r["Type"] for part in PARTS for r in load(str(TEMPLATES / f"{part}.yaml"))["Resources"].values()}
    assert set(FILE["idle"]) - {"AWS::KMS::Key"} <= made
    assert prices.idle_usd_per_month("AWS::S3::Bucket") == 0


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 400_000))
def test_more_changes_never_cost_less(few: int, more: int, item_bytes: int) -> None:
    few, more = sorted((few, more))

    def totals(changes: int) -> pd.Series:
        bill = cost.estimate_cost(changes, item_bytes)
        return bill.groupby("pattern")["usd_per_month"].apply(prices.total_usd)

    assert (totals(few) <= totals(more)).all()


def test_the_walk_costs_cents_and_its_writes_are_counted() -> None:
    for pattern in ("dynamodb", "kinesis"):
        bill = cost.estimate_walk(pattern)
        assert Decimal(0) < prices.total_usd(bill["usd"]) < Decimal("0.20")
        assert line(bill, unit="write request unit")["quantity"] == 10_000


def test_a_guess_is_called_one() -> None:
    bill = cost.estimate_cost(1_000)
    assert set(bill.loc[bill["basis"] == "assumed quantity", "pattern"]) == {"zero-etl"}
    assert "unverified price" in set(bill["basis"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"changes_per_day": -1}, "`changes_per_day` is -1"),
        ({"changes_per_day": 1, "buffer_seconds": 901}, "0 to 900"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        dynaberg.estimate_cost(**arguments)
    assert caught.value.hint


def test_a_query_costs_ten_megabytes_at_least_and_ddl_nothing() -> None:
    result = QueryResult(pd.DataFrame(), (), "SELECT 1", "q", 1, 1)
    assert result.cost_usd == Decimal("0.00005")
    assert replace(result, bytes_scanned=10**12).cost_usd == 5
    assert replace(result, bytes_scanned=0).cost_usd == 0


def test_the_class_says_what_idling_and_the_walk_cost() -> None:
    streams, kinesis = cost.cost_class(Settings()), cost.cost_class(Settings(stream_type="kinesis"))
    assert streams.startswith("low: about $4.")
    assert kinesis.startswith("moderate: about $3")
    assert "us-east-1" in streams
    assert FILE["seen_on"].isoformat() in streams


# The assumptions --------------------------------------------------------------------------------


def sizes() -> Iterator[tuple[int, int, int]]:
    """Bytes of the item, the change record and the change row, for changes of the traffic generator."""
    contract = load_contract(Path(__file__).parents[3] / "data" / "tables" / "transactions.yaml")
    converter = ChangeConverter(json.loads(contract.to_lambda_json()))
    before: dict[str, dict[str, Any]] = {}
    for change in plan_changes((600, 250, 150), seed=7, now=datetime(2026, 1, 1, tzinfo=UTC)):
        key, item = change.transaction.transaction_id, change.transaction.item()
        images = {"OldImage": before[key]} if key in before else {}
        if change.operation != "REMOVE":
            images["NewImage"] = before[key] = item
        record = {
            "eventID": "c4ca4238a0b923820dcc509a6f75849b",
            "eventName": change.operation,
            "eventSourceARN": "arn:aws:dynamodb:us-east-1::table/financial-transactions/stream/2026-01-01",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_764_000_000,
                "Keys": change.transaction.key(),
                "SequenceNumber": "1" * 21,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
                **images,
            },
        }
        row = converter.to_row(record, 1_764_000_000_000_000)
        yield item_bytes(item), len(json.dumps(record, separators=(",", ":"))), len(row)


def item_bytes(item: dict[str, dict[str, str]]) -> int:
    """As DynamoDB counts: names and texts in UTF-8, a number one byte for two digits and one more."""
    total = 0
    for name, value in item.items():
        number = value.get("N")
        digits = len(number.replace(".", "")) if number else 0
        total += len(name) + ((digits + 1) // 2 + 1 if number else len(value["S"].encode()))
    return total


def test_the_assumed_sizes_are_those_of_the_traffic() -> None:
    items, records, rows = (mean(column) for column in zip(*sizes(), strict=True))
    workload = replace(MONTH, item_bytes=round(items))
    assumed = cost._images_bytes(workload) + Decimal(FILE["assumptions"]["record_overhead_bytes"])
    assert float(assumed) == pytest.approx(records, rel=0.1)
    assert float(cost._row_bytes(workload)) == pytest.approx(rows, rel=0.1)


# The picture ------------------------------------------------------------------------------------


def test_the_picture_says_what_each_pattern_costs_and_whose_quantities_are_assumed() -> None:
    bill = cost.estimate_cost(100_000)
    ax = plots.plot_cost(bill)
    totals = bill.groupby("pattern")["usd_per_month"].apply(prices.total_usd)
    title = " ".join((ax.get_title(loc="left") or ax.get_title()).split())
    costs = (rf"\${totals[name]:,.0f}" for name in ("kinesis", "dynamodb"))
    assert "A month with Kinesis costs {}, with DynamoDB Streams {}".format(*costs) in title
    assert "zero-ETL" not in title
    assert "zero-ETL\n(assumed)" in [label.get_text() for label in ax.get_yticklabels()]
    written = [text.get_text().strip() for text in ax.texts]
    assert rf"about \${totals['zero-etl']:,.2f}" in written
    assert "Kinesis" in written
    mpl.pyplot.close(ax.figure)


def test_an_empty_bill_is_a_picture_too() -> None:
    ax = plots.plot_cost(cost.estimate_cost(1).iloc[:0])
    assert "no bill" in (ax.get_title(loc="left") or ax.get_title())
    mpl.pyplot.close(ax.figure)
