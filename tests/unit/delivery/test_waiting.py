"""Waiting reads metadata while much is missing, and counts only when everything could be there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tqdm import tqdm

from dynaberg import aws
from dynaberg.delivery import waiting
from dynaberg.errors import SettingsError
from dynaberg.settings import Settings


def log(records: int) -> Any:
    """A log of so many records, at a metadata location of its own."""
    snapshot = SimpleNamespace(summary={"total-records": str(records)})
    return SimpleNamespace(current_snapshot=lambda: snapshot, metadata_location=f"v{records}")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_FIRST_POLL_SECONDS", 0)


def wait(sizes: list[int], counts: list[int], wanted: int, seconds: float = 5) -> tuple[Any, int, int]:
    """Play a log that grows and what a count of it finds; returns the outcome, looks left, counts made."""
    looks: Iterator[int] = iter(sizes)
    answers, made = iter(counts), []

    def count() -> int:
        made.append(1)
        return next(answers)

    with tqdm(total=wanted, disable=True) as bar:
        found = waiting._wait(lambda: log(next(looks)), wanted, count, time.monotonic() + seconds, bar)
    return found, len(list(looks)), len(made)


def test_it_counts_at_the_beginning_and_when_enough_records_are_there() -> None:
    found, left, counted = wait([5, 6, 8, 15, 99], [0, 10], wanted=10)
    assert (found.metadata_location, left, counted) == ("v15", 1, 2)


def test_duplicates_do_not_end_it() -> None:
    found, left, counted = wait([0, 10, 10, 12, 99], [0, 8, 10], wanted=10)
    assert (found.metadata_location, left, counted) == ("v12", 1, 3)


def test_what_is_there_already_is_counted_once() -> None:
    assert wait([10, 10], [10], wanted=10)[2] == 1
    assert wait([10], [], wanted=0)[2] == 0


def test_what_arrives_between_the_look_and_the_count_is_in_the_log_that_is_returned() -> None:
    found, left, counted = wait([0, 10], [10], wanted=10)
    assert (found.metadata_location, left, counted) == ("v10", 0, 1)


def test_the_deadline() -> None:
    assert wait([5], [0], wanted=10, seconds=-1)[0] is None


class Logs:
    """A CloudWatch Logs client over two pages of events, or one that refuses."""

    def __init__(self, messages: list[str], refusal: str = "") -> None:
        self.messages, self.refusal = messages, refusal

    def get_paginator(self, name: str) -> Logs:
        assert name == "filter_log_events"
        return self

    def paginate(self, logGroupName: str, startTime: int) -> list[dict[str, Any]]:  # noqa: N803
        if self.refusal:
            raise ClientError({"Error": {"Code": self.refusal, "Message": ""}}, "FilterLogEvents")
        assert logGroupName == "/aws/kinesisfirehose/orders"
        assert 0 < time.time() * 1000 - startTime < 400_000
        events = [{"timestamp": 1_000 * n, "message": text} for n, text in enumerate(self.messages)]
        return [{"events": events[1:]}, {"events": events[:1]}]


@pytest.mark.parametrize(
    ("messages", "refusal", "told"),
    [
        (
            ['{"errorCode": "Old"}', '{"errorCode": "S3.AccessDenied", "message": "No."}'],
            "",
            "of 00:00:01 UTC: S3.AccessDenied: No. (",
        ),
        (
            ['{"errorCode": "Iceberg.InvalidJson", "failedRecords": 2000}'],
            "",
            "Iceberg.InvalidJson: 2,000 records",
        ),
        (['{"errorCode": "OverflowError"}'], "", "UTC: OverflowError ("),
        (["in words"], "", "UTC: in words ("),
        ([], "", "has written no error"),
        ([], "AccessDeniedException", "could not be read: AccessDeniedException"),
    ],
)
def test_the_last_error_of_the_delivery_is_named(
    monkeypatch: pytest.MonkeyPatch, messages: list[str], refusal: str, told: str
) -> None:
    monkeypatch.setattr(aws, "client", lambda session, name: Logs(messages, refusal))
    session: Any = None
    assert told in waiting._last_error(session, Settings(name="orders"), timeout=60)


@pytest.mark.parametrize("given", [{"since": datetime(2026, 1, 1)}, {"expected": 1}])  # noqa: DTZ001
def test_the_moment_to_count_from_has_a_time_zone(given: dict[str, Any]) -> None:
    nothing: Any = None
    with pytest.raises(SettingsError, match=r"no time zone|as `since`"):
        waiting.wait_for_delivery(nothing, nothing, nothing, **given)
