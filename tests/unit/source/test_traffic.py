"""The traffic: exact counts, an order that can be made, and a world that hangs together."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pandas as pd
import pytest
from botocore.exceptions import ClientError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dynaberg.errors import SettingsError, TrafficError
from dynaberg.source import traffic
from dynaberg.source.traffic import TrafficReport, _batches, _write_all, generate_traffic, split
from dynaberg.source.transactions_model import Change, Transaction, merchant_categories, plan_changes

NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)


def plan(inserts: int, updates: int, deletes: int, seed: int = 7, now: datetime = NOW) -> list[Change]:
    return list(plan_changes((inserts, updates, deletes), seed=seed, now=now))


@pytest.fixture(scope="module")
def changes() -> list[Change]:
    return plan(6_000, 2_500, 1_500)


@pytest.fixture(scope="module")
def inserted(changes: list[Change]) -> pd.DataFrame:
    return pd.DataFrame(c.transaction._asdict() for c in changes if c.operation == "INSERT")


class DynamoDB:
    """A table in memory that tells INSERT, MODIFY and REMOVE apart as DynamoDB does."""

    def __init__(self, unprocessed: int = 0, error_after: int | None = None) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.records: list[str] = []
        self.threads: set[int] = set()
        self.unprocessed = unprocessed
        self.calls = itertools.count()
        self.error_after = error_after

    def batch_write_item(self, RequestItems: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:  # noqa: N803
        call = next(self.calls)
        self.threads.add(threading.get_ident())
        if self.error_after is not None and call >= self.error_after:
            error = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow down"}}
            raise ClientError(error, "BatchWriteItem")  # type: ignore[arg-type]
        ((table, requests),) = RequestItems.items()
        assert 1 <= len(requests) <= 25
        assert len({self.key(request) for request in requests}) == len(requests)
        # Every second call leaves its last writes for later.
        left = requests[-self.unprocessed :] if self.unprocessed and call % 2 == 0 else []
        for request in requests[: len(requests) - len(left)]:
            self.write(request)
        return {"UnprocessedItems": {table: left} if left else {}}

    def key(self, request: dict[str, Any]) -> tuple[str, str]:
        inner = request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]
        return inner["transaction_id"]["S"], inner["timestamp"]["N"]

    def write(self, request: dict[str, Any]) -> None:
        key, old = self.key(request), self.items.get(self.key(request))
        if "DeleteRequest" in request:
            assert old is not None, "a delete that meets no item"
            del self.items[key]
            self.records.append("REMOVE")
            return
        item = request["PutRequest"]["Item"]
        assert item != old, "a put that changes nothing"
        self.items[key] = item
        self.records.append("MODIFY" if old else "INSERT")


def write(table: DynamoDB, changes: Sequence[Change], workers: int = 4) -> int:
    return _write_all(table, "source", changes, workers=workers, progress=False)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.tuples(*[st.integers(0, 10)] * 3), st.integers(0, 99))
def test_every_mix_is_made_exactly(total: int, shares: tuple[int, int, int], seed: int) -> None:
    assume(sum(shares))
    mix = tuple(share / sum(shares) for share in shares)
    try:
        counts = split(total, mix)  # type: ignore[arg-type]
    except TrafficError:
        assume(False)
    assert sum(counts) == total
    assert all(abs(count - total * share) < 1 for count, share in zip(counts, mix, strict=True))
    table = DynamoDB()
    write(table, plan(*counts, seed=seed))
    found = Counter(table.records)
    assert (found["INSERT"], found["MODIFY"], found["REMOVE"]) == counts


def test_the_mix_of_the_walk() -> None:
    assert split(10_000, (0.60, 0.25, 0.15)) == (6_000, 2_500, 1_500)
    assert split(1, (0.60, 0.25, 0.15)) == (1, 0, 0)


BAD_MIXES = [
    (100, (0.6, 0.6, 0.15)),
    (100, (1.2, -0.2, 0.0)),
    (100, (0.1, 0.5, 0.4)),
    (100, (0.0, 1.0, 0.0)),
]


@pytest.mark.parametrize(("total", "mix"), BAD_MIXES)
def test_mixes_that_cannot_be_made(total: int, mix: tuple[float, float, float]) -> None:
    with pytest.raises(TrafficError) as caught:
        split(total, mix)
    assert caught.value.hint


def test_the_same_seed_makes_the_same_changes() -> None:
    assert plan(60, 25, 15) == plan(60, 25, 15)
    assert plan(60, 25, 15) != plan(60, 25, 15, seed=8)


def test_a_second_run_makes_new_keys(changes: list[Change]) -> None:
    again = plan(6_000, 0, 0, now=NOW + timedelta(seconds=1))
    ids = {change.transaction.transaction_id for change in changes}
    assert len(ids) == 6_000
    assert ids.isdisjoint(change.transaction.transaction_id for change in again)


def test_each_life_is_in_order(changes: list[Change]) -> None:
    lives: dict[str, list[Change]] = {}
    for change in changes:
        lives.setdefault(change.transaction.transaction_id, []).append(change)
    for life in lives.values():
        operations = [change.operation for change in life]
        assert operations[0] == "INSERT"
        assert operations.count("INSERT") == 1
        assert "REMOVE" not in operations[:-1]
        updated = [change.transaction for change in life if change.operation != "REMOVE"]
        for before, after in itertools.pairwise(updated):
            assert after.processing_timestamp > before.processing_timestamp
            assert after.status != before.status
            assert before.status not in ("APPROVED", "DECLINED") or after.status in (
                "FLAGGED",
                "PENDING_REVIEW",
            )


def test_an_item_that_is_updated_often_changes_each_time() -> None:
    latest: dict[str, Transaction] = {}
    for change in plan(10, 190, 0):
        before = latest.get(change.transaction.transaction_id)
        assert before is None or change.transaction.processing_timestamp > before.processing_timestamp
        latest[change.transaction.transaction_id] = change.transaction
    assert len(latest) == 10


def test_reviews_decide(changes: list[Change]) -> None:
    decided = Counter(change.transaction.status for change in changes if change.operation == "MODIFY")
    assert set(decided) == {"APPROVED", "DECLINED"}
    assert decided["DECLINED"] > 100


def test_nothing_is_later_than_now_and_some_is_late(inserted: pd.DataFrame) -> None:
    ages = NOW.timestamp() * 1_000 - inserted.timestamp
    assert ages.min() >= 0
    late = (ages > 24 * 3_600_000).mean()
    assert 0.01 < late < 0.03


def test_the_day_has_its_hours(inserted: pd.DataFrame) -> None:
    by_hour = inserted.groupby("hour").size()
    assert by_hour[19] > 5 * by_hour[3]
    moments = pd.to_datetime(inserted.timestamp, unit="ms", utc=True)
    assert (moments.dt.strftime("%Y-%m-%d") == inserted.date).all()
    assert (moments.dt.hour == inserted.hour).all()
    assert (moments.dt.minute == inserted.minute).all()


def test_few_make_most(inserted: pd.DataFrame) -> None:
    for column in ("customer_id", "merchant_id"):
        sizes = inserted[column].value_counts()
        assert sizes.head(len(sizes) // 10).sum() > 0.4 * len(inserted)


def test_a_merchant_has_one_category(inserted: pd.DataFrame) -> None:
    categories = merchant_categories()
    numbers = inserted.merchant_id.str[-4:].astype(int) - 1
    assert [categories[number] for number in numbers] == list(inserted.merchant_category)
    assert inserted.merchant_category.nunique() == 7


def test_amounts_are_exact_cents_and_depend_on_the_category(inserted: pd.DataFrame) -> None:
    assert inserted.amount.str.fullmatch(r"[1-9]?[0-9]*[0-9]\.[0-9]{2}").all()
    assert (inserted.amount.astype(float) > 0).all()
    usual = inserted.amount.astype(float).groupby(inserted.merchant_category).median()
    assert usual["TRAVEL"] > 5 * usual["DINING"]


def test_the_checks_decide_the_risk_and_the_risk_the_status(inserted: pd.DataFrame) -> None:
    assert set(inserted.risk_score) == {"LOW", "MEDIUM", "HIGH"}
    suspicious = inserted[inserted.pattern_match == "SUSPICIOUS"]
    assert (suspicious.risk_score == "HIGH").mean() > 10 * (inserted.risk_score == "HIGH").mean() / 2
    assert (inserted[inserted.risk_score == "HIGH"].status != "APPROVED").all()
    assert (inserted[inserted.risk_score == "LOW"].status == "APPROVED").mean() > 0.5


def test_items_are_dynamodb_json() -> None:
    (change,) = plan(1, 0, 0)
    item = change.transaction.item()
    assert list(item) == list(Transaction._fields)
    assert all(isinstance(value, str) for attribute in item.values() for value in attribute.values())
    assert {name for name, attribute in item.items() if "N" in attribute} == {
        "timestamp",
        "hour",
        "minute",
        "amount",
        "processing_timestamp",
    }
    assert change.transaction.key().items() <= item.items()


def test_batches_are_full_and_hold_no_item_twice(changes: list[Change]) -> None:
    batches = list(_batches(changes))
    assert [change for batch in batches for change in batch] == changes
    assert len(batches) < 1.2 * len(changes) / 25


def test_unprocessed_writes_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic.time, "sleep", lambda seconds: None)
    table = DynamoDB(unprocessed=3)
    retried = write(table, plan(60, 25, 15), workers=1)
    assert retried > 0
    assert Counter(table.records) == {"INSERT": 60, "MODIFY": 25, "REMOVE": 15}


def test_writes_that_stay_unprocessed_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic.time, "sleep", lambda seconds: None)
    table = DynamoDB(unprocessed=25)
    monkeypatch.setattr(table, "calls", itertools.repeat(0))
    with pytest.raises(TrafficError, match=r"accepted 0 of 100 changes.*stayed unprocessed in 10 attempts"):
        write(table, plan(60, 25, 15), workers=1)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts arrive, also in a process that was started in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_says_how_much_was_written_and_writes_nothing_more() -> None:
    table, calls = DynamoDB(), itertools.count()
    batch_write_item = table.batch_write_item

    def interrupted(RequestItems: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:  # noqa: N803
        if next(calls) == 5:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.1)
        return batch_write_item(RequestItems)

    table.batch_write_item = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt, match=r"of 4,000 changes. Nothing more is written") as interrupt:
        write(table, plan(2_400, 1_000, 600), workers=4)
    written = len(table.records)
    assert 0 < written < 4_000
    assert f"accepted {written:,} of" in str(interrupt.value)
    time.sleep(0.2)
    assert len(table.records) == written


def test_several_threads_write_and_an_item_has_one() -> None:
    table = DynamoDB()
    together = threading.Barrier(4, timeout=60)
    by_thread: dict[str, set[int]] = {}
    batch_write_item = table.batch_write_item

    def meet(RequestItems: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:  # noqa: N803
        first = threading.get_ident() not in table.threads
        answer = batch_write_item(RequestItems)
        for request in RequestItems["source"]:
            by_thread.setdefault(table.key(request)[0], set()).add(threading.get_ident())
        if first:
            together.wait()
        return answer

    table.batch_write_item = meet  # type: ignore[method-assign]
    write(table, plan(600, 250, 150), workers=4)
    assert len(table.threads) == 4
    assert all(len(threads) == 1 for threads in by_thread.values())


def test_refused_writes_are_an_error_that_counts() -> None:
    with pytest.raises(
        TrafficError, match=r"accepted 50 of 100 changes.*ProvisionedThroughputExceeded"
    ) as caught:
        write(DynamoDB(error_after=2), plan(100, 0, 0), workers=1)
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, ClientError)


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(SettingsError, match="no time zone"):
        generate_traffic(boto3.Session(), "source", now=datetime(2026, 1, 1))  # noqa: DTZ001


def test_report(changes: list[Change]) -> None:
    report = TrafficReport(
        6_000, 2_500, 1_500, NOW, NOW + timedelta(seconds=2), 3, seed=7, plan=tuple(changes)
    )
    assert (report.changes, report.live_items, report.seconds) == (10_000, 4_500, 2.0)
    assert report.changes_per_second == 5_000
    assert repr(report) == (
        "TrafficReport: 10,000 changes in 2.0 s "
        "(6,000 inserts, 2,500 updates, 1,500 deletes, 3 retried), seed 7"
    )
    for table in (report.df, report.by_hour()):
        sums = {"inserts": 6_000, "updates": 2_500, "deletes": 1_500, "changes": 10_000}
        assert table.sum().to_dict() == sums
    assert report.df.changes.is_monotonic_decreasing
    assert report.by_hour().index.is_monotonic_increasing
    assert str(report.by_hour().index.tz) == "UTC"
